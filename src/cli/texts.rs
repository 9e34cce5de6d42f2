//! The texts of a run: files that are read when they are needed, and what was read once and cannot be read again.

use super::input::{MOST_BYTES, STDIN, bounded, too_large, unreadable};
use super::render::Rendered;
use crate::check::{Again, Fault, Input, Manifest, Stream, in_parallel};
use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// How much text is judged at once, in bytes.
const PORTION: u64 = 1 << 20;
/// How many files are judged at once.
const MOST_FILES: usize = 2_048;
/// A longer text is cut between its documents, in parts of about that many bytes.
const PART: usize = 32 << 10;
/// What begins a document of YAML, at the beginning of a line.
const SEPARATOR: &[u8] = b"\n---";

/// One text.
pub(super) struct Text {
    name: String,
    origin: Origin,
    /// Whether the user named it.
    named: bool,
    pub(super) patch: bool,
    pub(super) folder: usize,
    /// How many faults were known before it.
    after: usize,
}

enum Origin {
    File(PathBuf),
    Bytes(Vec<u8>),
    Rendered(Rendered),
}

/// Where a part of a file stands, and what was in it.
pub(super) struct Place {
    /// Which text.
    text: usize,
    from: u64,
    bytes: usize,
    digest: u64,
    /// Where it begins, and which input is its first part, where it is a part.
    part: Option<(usize, usize)>,
}

/// All texts of a run, in their order.
#[derive(Default)]
pub(super) struct Texts(Vec<Text>);

impl Texts {
    /// Adds a file; `after` faults were found before it. What is no regular file can be read once, and is read at once.
    pub(super) fn add_file(
        &mut self,
        path: PathBuf,
        name: &str,
        named: bool,
        after: usize,
    ) -> Result<(), Fault> {
        let is_regular = std::fs::metadata(&path).map_or(true, |meta| meta.is_file());
        let origin = if is_regular {
            Origin::File(path)
        } else {
            let read = File::open(&path).map_err(|error| error.to_string()).and_then(bounded);
            Origin::Bytes(read.map_err(|why| unreadable(name, &why))?)
        };
        self.0.push(Text { name: name.to_owned(), origin, named, patch: false, folder: 0, after });
        Ok(())
    }

    pub(super) fn add_stdin(&mut self, bytes: Vec<u8>) {
        let origin = Origin::Bytes(bytes);
        self.0.push(Text { name: STDIN.to_owned(), origin, named: true, patch: false, folder: 0, after: 0 });
    }

    pub(super) fn add_rendered(&mut self, file: Rendered) {
        let (name, origin) = (file.origin.clone(), Origin::Rendered(file));
        self.0.push(Text { name, origin, named: false, patch: false, folder: 0, after: 0 });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter_mut(&mut self, from: usize) -> impl Iterator<Item = &mut Text> {
        self.0.iter_mut().skip(from)
    }

    /// How many bytes they have, as far as that is known before they are read.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(Text::bytes).sum()
    }

    /// Reads all of them, and keeps them. What cannot be read is a fault, each with the number of those before it.
    pub(super) fn read(&self) -> (Vec<Input>, Vec<(usize, Fault)>) {
        let mut faults = Vec::new();
        let read = in_parallel(&self.0, |text| Ok(text.input(&text.all()?)));
        let inputs = self.0.iter().zip(read).filter_map(|(text, read)| {
            read.map_err(|why: String| faults.push((text.after, unreadable(&text.name, &why)))).ok()
        });
        (inputs.collect(), faults)
    }

    /// Gives all of them to a run, a portion after another. The faults are as in [`read`](Self::read).
    pub(super) fn pass_to(
        &self,
        stream: &mut Stream<'_, Place>,
        is_kept: impl Fn(&Manifest<'_>) -> bool + Copy,
    ) -> Vec<(usize, Fault)> {
        let mut faults = Vec::new();
        let mut next = 0;
        while let Some(first) = self.0.get(next) {
            if first.bytes() > PORTION {
                if let Err(why) = self.pass_parts(next, first, stream, is_kept) {
                    faults.push((first.after, unreadable(&first.name, &why)));
                }
                next += 1;
                continue;
            }
            let mut bytes = 0;
            let small = self.0.iter().skip(next).take(MOST_FILES).take_while(|text| {
                let own = text.bytes();
                bytes += own;
                own <= PORTION && (bytes <= PORTION || bytes == own)
            });
            let portion: Vec<(usize, &Text)> =
                small.enumerate().map(|(at, text)| (next + at, text)).collect();
            next += portion.len().max(1);
            let read = in_parallel(&portion, |(index, text)| {
                let bytes = text.all().map_err(|why| (text.after, unreadable(&text.name, &why)))?;
                Ok((text.input(&bytes), text.again(*index, 0, &bytes, None)))
            });
            let (read, failed): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
            faults.extend(failed.into_iter().filter_map(Result::err));
            stream.add(read.into_iter().flatten().collect(), is_kept);
        }
        faults
    }

    /// Gives a long text to a run, part by part.
    fn pass_parts(
        &self,
        index: usize,
        text: &Text,
        stream: &mut Stream<'_, Place>,
        is_kept: impl Fn(&Manifest<'_>) -> bool + Copy,
    ) -> Result<(), String> {
        let mut parts = Parts::of(text.open()?);
        let first = stream.len();
        loop {
            let mut portion = Vec::new();
            let mut bytes = 0;
            let mut end = Ok(());
            while bytes < PORTION {
                match parts.next_part() {
                    Ok(Some(part)) => {
                        bytes += part.bytes.len() as u64;
                        portion.push(part);
                    }
                    Ok(None) => break,
                    Err(why) => {
                        end = Err(why);
                        break;
                    }
                }
            }
            if portion.is_empty() {
                return end;
            }
            let read = in_parallel(&portion, |part| {
                let input = text.input(&part.bytes);
                if part.is_whole {
                    return (input, text.again(index, 0, &part.bytes, None));
                }
                let place = text.again(index, part.from, &part.bytes, Some((part.line, first)));
                (input.as_part(part.from, part.line, first), place)
            });
            stream.add(read, is_kept);
            end?;
        }
    }

    /// Reads a text once more that must be what it was.
    ///
    /// # Errors
    /// It changed, or cannot be read any more.
    pub(super) fn read_again(&self, place: &Place) -> Result<Input, Fault> {
        let Some(text) = self.0.get(place.text) else { return Err(changed("a file", "it is gone")) };
        let Origin::File(path) = &text.origin else { return Err(changed(&text.name, "it is gone")) };
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(place.from))?;
            // Of a whole file one more byte is asked for, which must not be there.
            let most = place.bytes as u64 + u64::from(place.part.is_none());
            let mut bytes = Vec::with_capacity(place.bytes + 1);
            file.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| changed(&text.name, &error.to_string()))?;
        if bytes.len() != place.bytes || digest(&bytes) != place.digest {
            return Err(changed(&text.name, "its content is another one"));
        }
        let input = text.input(&bytes);
        Ok(match place.part {
            Some((line, first)) => {
                input.as_part(usize::try_from(place.from).unwrap_or(usize::MAX), line, first)
            }
            None => input,
        })
    }
}

impl Text {
    /// The file's path, where it is one.
    pub(super) fn path(&self) -> Option<&std::path::Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Bytes(_) | Origin::Rendered(_) => None,
        }
    }

    fn bytes(&self) -> u64 {
        match &self.origin {
            Origin::File(path) => std::fs::metadata(path).map_or(0, |meta| meta.len()),
            Origin::Bytes(bytes) => bytes.len() as u64,
            Origin::Rendered(file) => file.text.len() as u64,
        }
    }

    fn open(&self) -> Result<Box<dyn Read + '_>, String> {
        Ok(match &self.origin {
            Origin::File(path) => {
                let file = File::open(path).map_err(|error| error.to_string())?;
                let size = file.metadata().map_err(|error| error.to_string())?.len();
                if size > MOST_BYTES {
                    return Err(too_large());
                }
                Box::new(file.take(MOST_BYTES))
            }
            Origin::Bytes(bytes) => Box::new(bytes.as_slice()),
            Origin::Rendered(file) => Box::new(file.text.as_slice()),
        })
    }

    fn all(&self) -> Result<Vec<u8>, String> {
        bounded(self.open()?)
    }

    fn input(&self, bytes: &[u8]) -> Input {
        let mut input = match &self.origin {
            Origin::Rendered(file) => Input::from_rendered(&file.origin, bytes),
            Origin::File(_) | Origin::Bytes(_) => Input::from_bytes(&self.name, bytes, self.named),
        };
        input.patch = self.patch;
        input.folder = self.folder;
        input
    }

    fn again(&self, text: usize, from: usize, bytes: &[u8], part: Option<(usize, usize)>) -> Again<Place> {
        match self.origin {
            Origin::File(_) => Again::From(Place {
                text,
                from: from as u64,
                bytes: bytes.len(),
                digest: digest(bytes),
                part,
            }),
            Origin::Bytes(_) | Origin::Rendered(_) => Again::Kept,
        }
    }
}

/// Puts faults that were found late where they belong among the others.
pub(super) fn put_in_order(faults: &mut Vec<Fault>, late: Vec<(usize, Fault)>) {
    let mut late = late.into_iter().peekable();
    for (index, fault) in std::mem::take(faults).into_iter().enumerate() {
        while let Some((_, late)) = late.next_if(|(after, _)| *after <= index) {
            faults.push(late);
        }
        faults.push(fault);
    }
    faults.extend(late.map(|(_, fault)| fault));
}

fn changed(name: &str, why: &str) -> Fault {
    Fault {
        spot: None,
        message: format!("{name} changed while volgate judged it, and is not judged: {why}"),
        help: Some("run it again when nothing writes to the files any more".to_owned()),
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Whether a document begins in the second of these bytes: `-----BEGIN CERTIFICATE-----` begins none.
fn begins_document(bytes: &[u8]) -> bool {
    bytes.strip_prefix(SEPARATOR).is_some_and(|next| matches!(next, [b' ' | b'\t' | b'\r' | b'\n']))
}

/// A long text, cut before lines that begin a document of YAML.
struct Parts<R> {
    reader: R,
    /// What was read and not given yet.
    rest: Vec<u8>,
    from: usize,
    line: usize,
    at_end: bool,
}

struct Part {
    bytes: Vec<u8>,
    from: usize,
    line: usize,
    /// Whether it is the whole text.
    is_whole: bool,
}

impl<R: Read> Parts<R> {
    fn of(reader: R) -> Self {
        Self { reader, rest: Vec::new(), from: 0, line: 0, at_end: false }
    }

    /// The next part; none after the last. JSON is not cut: it begins no document at a line.
    fn next_part(&mut self) -> Result<Option<Part>, String> {
        let mut searched = PART;
        let end = loop {
            while !self.at_end && self.rest.len() < searched + PART {
                self.fill()?;
            }
            let is_json = self.from == 0 && self.rest.trim_ascii_start().starts_with(b"{");
            let found = self
                .rest
                .get(searched..)
                .filter(|_| !is_json)
                .and_then(|rest| rest.windows(SEPARATOR.len() + 1).position(begins_document));
            match found {
                Some(at) => break searched + at + 1,
                None if self.at_end => break self.rest.len(),
                // A separator may lie across what was read and what comes next.
                None => searched = self.rest.len() - SEPARATOR.len(),
            }
        };
        if end == 0 {
            return Ok(None);
        }
        let rest = self.rest.split_off(end);
        let bytes = std::mem::replace(&mut self.rest, rest);
        let is_whole = self.from == 0 && self.rest.is_empty();
        let part = Part { from: self.from, line: self.line, is_whole, bytes };
        self.from += part.bytes.len();
        self.line += part.bytes.iter().filter(|byte| **byte == b'\n').count();
        Ok(Some(part))
    }

    fn fill(&mut self) -> Result<(), String> {
        let known = self.rest.len();
        let mut more = self.reader.by_ref().take((PART as u64).max(known as u64));
        let read = more.read_to_end(&mut self.rest).map_err(|error| error.to_string())?;
        self.at_end = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        let mut parts = Parts::of(text.as_bytes());
        std::iter::from_fn(|| parts.next_part().unwrap()).collect()
    }

    #[test]
    fn a_text_is_cut_between_its_documents() {
        let document = |index: usize| format!("---\na: {index}\ntext: |\n  {}\n", "x --- y\n  ".repeat(700));
        let text: String = (0..40).map(document).collect();
        let parts = parts(&text);
        assert!(parts.len() > 4, "{}", parts.len());
        let whole: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
        assert!(whole == text.as_bytes());
        for part in parts {
            assert!(!part.is_whole && part.bytes.starts_with(b"---\n") && part.bytes.len() < 2 * PART);
            let before = &text[..part.from];
            assert_eq!(part.line, before.matches('\n').count());
        }
    }

    #[test]
    fn what_has_no_place_to_cut_stays_whole() {
        let json = format!("\n{{\"a\": [\n{}1]}}", "1,\n---".repeat(20_000));
        let long = format!("a: |\n{}", "  line\n".repeat(20_000));
        let pem = format!("a: \"\n{}\"\n", "-----BEGIN CERTIFICATE-----\n---x\n".repeat(5_000));
        for text in [json.as_str(), long.as_str(), pem.as_str(), "a: 1\n"] {
            let parts = parts(text);
            assert!(parts.len() == 1 && parts[0].is_whole && parts[0].bytes == text.as_bytes());
        }
        assert!(parts("").is_empty());
    }

    #[test]
    fn late_faults_stand_where_they_belong() {
        let fault = |message: &str| Fault { spot: None, message: message.to_owned(), help: None };
        let mut faults = vec![fault("b"), fault("d")];
        put_in_order(&mut faults, vec![(0, fault("a")), (1, fault("c")), (2, fault("e"))]);
        let messages: String = faults.iter().map(|fault| fault.message.as_str()).collect();
        assert_eq!(messages, "abcde");
    }
}
