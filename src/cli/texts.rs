//! The texts of a run: files that are read when they are needed, and what was read once and cannot be read again.

use super::bytes::{MOST_BYTES, STDIN, bounded, too_large, unreadable};
use super::render::Rendered;
use crate::check::{Fault, Input, Manifest, Stream, changed, few_texts, in_parallel};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
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
    origin: Origin,
    /// How many bytes it had when it was found.
    bytes: u64,
    /// Whether the user named it.
    named: bool,
    pub(super) patch: bool,
    /// Whether a kustomization names it as a resource.
    pub(super) built: bool,
    pub(super) folder: usize,
    /// How many faults were known before it.
    after: usize,
}

enum Origin {
    /// A file, whose path is UTF-8.
    File(PathBuf),
    Bytes {
        name: String,
        text: Vec<u8>,
    },
    Rendered(Rendered),
}

/// Where a part of a text stands.
pub(super) struct Place {
    /// Which text.
    text: usize,
    from: usize,
    bytes: usize,
    /// The line that it begins at, and which input is its first part, where it is a part.
    part: Option<(usize, usize)>,
}

/// All texts of a run, in their order.
#[derive(Default)]
pub(super) struct Texts(Vec<Text>);

impl Texts {
    /// Adds a file; `after` faults were found before it. What is no regular file can be read once, and is read at once.
    pub(super) fn add_file(&mut self, path: PathBuf, named: bool, after: usize) -> Result<(), Fault> {
        let (is_regular, bytes) =
            std::fs::metadata(&path).map_or((true, 0), |meta| (meta.is_file(), meta.len()));
        if is_regular {
            self.0.push(Text {
                origin: Origin::File(path),
                bytes,
                named,
                patch: false,
                built: false,
                folder: 0,
                after,
            });
        } else {
            let name = path.to_string_lossy().into_owned();
            let read = File::open(&path).map_err(|error| error.to_string()).and_then(bounded);
            let read = read.map_err(|why| unreadable(&name, &why))?;
            self.add_bytes(name, read, named, after);
        }
        Ok(())
    }

    pub(super) fn add_stdin(&mut self, bytes: Vec<u8>) {
        self.add_bytes(STDIN.to_owned(), bytes, true, 0);
    }

    fn add_bytes(&mut self, name: String, text: Vec<u8>, named: bool, after: usize) {
        let (bytes, origin) = (text.len() as u64, Origin::Bytes { name, text });
        self.0.push(Text { origin, bytes, named, patch: false, built: false, folder: 0, after });
    }

    pub(super) fn add_rendered(&mut self, file: Rendered) {
        let (bytes, origin) = (file.text.len() as u64, Origin::Rendered(file));
        self.0.push(Text { origin, bytes, named: false, patch: false, built: false, folder: 0, after: 0 });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter_mut(&mut self, from: usize) -> impl Iterator<Item = &mut Text> {
        self.0.iter_mut().skip(from)
    }

    /// How many bytes they have, as far as that is known before they are read.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|text| text.bytes).sum()
    }

    /// Reads all of them, and keeps them. What cannot be read is a fault, each with the number of those before it.
    pub(super) fn read(&self) -> (Vec<Input>, Vec<(usize, Fault)>) {
        let mut faults = Vec::new();
        let few = few_texts(self.0.len(), usize::try_from(self.bytes()).unwrap_or(usize::MAX));
        let read = in_parallel(&self.0, few, |text| Ok(text.input(&text.all()?)));
        let inputs = self.0.iter().zip(read).filter_map(|(text, read)| {
            read.map_err(|why: String| faults.push((text.after, unreadable(text.name(), &why)))).ok()
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
            if first.bytes > PORTION {
                if let Err(why) = self.pass_parts(next, first, stream, is_kept) {
                    faults.push((first.after, unreadable(first.name(), &why)));
                }
                next += 1;
                continue;
            }
            let mut bytes = 0;
            let small = self.0.iter().skip(next).take(MOST_FILES).take_while(|text| {
                bytes += text.bytes;
                text.bytes <= PORTION && (bytes <= PORTION || bytes == text.bytes)
            });
            let portion: Vec<(usize, &Text)> =
                small.enumerate().map(|(at, text)| (next + at, text)).collect();
            next += portion.len().max(1);
            let few = few_texts(portion.len(), usize::try_from(bytes).unwrap_or(usize::MAX));
            let read = in_parallel(&portion, few, |(index, text)| {
                let bytes = text.all().map_err(|why| (text.after, unreadable(text.name(), &why)))?;
                Ok((text.input(&bytes), Place { text: *index, from: 0, bytes: bytes.len(), part: None }))
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
            let few = few_texts(portion.len(), usize::try_from(bytes).unwrap_or(usize::MAX));
            let read = in_parallel(&portion, few, |part| {
                let input = text.input(&part.bytes);
                let place = Place { text: index, from: part.from, bytes: part.bytes.len(), part: None };
                if part.is_whole {
                    return (input, place);
                }
                let place = Place { part: Some((part.line, first)), ..place };
                (input.as_part(part.from, part.line, first), place)
            });
            stream.add(read, is_kept);
            end?;
        }
    }

    /// Reads a text once more.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub(super) fn read_again(&self, place: &Place) -> Result<Input, Fault> {
        let Some(text) = self.0.get(place.text) else { return Err(changed("a file", "it is gone")) };
        // Of a whole file one more byte is asked for, which must not be there.
        let most = place.bytes as u64 + u64::from(place.part.is_none());
        let bytes = text.again(place.from as u64, most);
        let input = text.input(&bytes.map_err(|error| changed(text.name(), &error.to_string()))?);
        Ok(match place.part {
            Some((line, first)) => input.as_part(place.from, line, first),
            None => input,
        })
    }
}

impl Text {
    /// The file's path, where it is one.
    pub(super) fn path(&self) -> Option<&std::path::Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Bytes { .. } | Origin::Rendered(_) => None,
        }
    }

    /// What a report calls it.
    fn name(&self) -> &str {
        match &self.origin {
            Origin::File(path) => path.to_str().unwrap_or_default(),
            Origin::Bytes { name, .. } => name,
            Origin::Rendered(file) => &file.origin,
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
            Origin::Bytes { text, .. } => Box::new(text.as_slice()),
            Origin::Rendered(file) => Box::new(file.text.as_slice()),
        })
    }

    fn all(&self) -> Result<Vec<u8>, String> {
        match &self.origin {
            // One reading, as of nearly all files.
            Origin::File(path) if self.bytes <= PORTION => {
                let mut bytes = Vec::with_capacity(usize::try_from(self.bytes + 1).unwrap_or_default());
                let read =
                    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
                read.map_err(|error| error.to_string())?;
                if bytes.len() as u64 > MOST_BYTES { Err(too_large()) } else { Ok(bytes) }
            }
            _ => bounded(self.open()?),
        }
    }

    fn input(&self, bytes: &[u8]) -> Input {
        let mut input = match &self.origin {
            Origin::Rendered(file) => Input::from_rendered(&file.origin, bytes),
            Origin::File(_) | Origin::Bytes { .. } => Input::from_bytes(self.name(), bytes, self.named),
        };
        input.patch = self.patch;
        input.built = self.built;
        input.folder = self.folder;
        input
    }

    /// So many bytes from there on.
    fn again(&self, from: u64, most: u64) -> std::io::Result<Vec<u8>> {
        fn read(mut text: impl Read + Seek, from: u64, most: u64) -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::with_capacity(usize::try_from(most).unwrap_or_default());
            text.seek(SeekFrom::Start(from))?;
            text.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        match &self.origin {
            Origin::File(path) => read(File::open(path)?, from, most),
            Origin::Bytes { text, .. } => read(Cursor::new(text), from, most),
            Origin::Rendered(file) => read(Cursor::new(&file.text), from, most),
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

    /// What is read of a text: the documents, and the places of what is no document.
    fn read(text: &str, from: usize, found: &mut Vec<String>) {
        for document in crate::source::parse(text) {
            found.push(match document {
                Ok(document) => format!("{} at {}", document.value, document.span.start + from),
                Err(error) => format!("{error} at {}", error.offset + from),
            });
        }
    }

    #[test]
    fn a_text_that_is_cut_says_the_same_as_the_whole() {
        let odd = [
            "%YAML 1.2\n---\na: 1\n",
            "a: 2\n...\n%YAML 1.2\n---\nb: 2\n",
            "a: 3\n...\n# end\n",
            "a: |\n  text\n---\n  more\n",
            "a: \"x\n---\n  y\"\n",
            "--- # a comment\na: 4\n",
            "--- a: 5\n",
            "a: 6\r\n---\r\nb: 6\r\n",
            "{a: 7}\n",
            "\n\n---\n---\n",
            "a: [\n",
        ];
        // So that each of them is at a place where the text is cut, and just before and behind one.
        for before in [PART - 4_000, PART - 30, PART - 3, PART, PART + 3] {
            for odd in odd {
                let filled = format!("fill: {}\n---\n", "x".repeat(before - 11));
                let text = format!("{filled}{odd}---\n{odd}---\nlast: 1\n---\n{}", filled.repeat(4));
                let parts = parts(&text);
                assert!(parts.len() > 1);
                let (mut whole, mut cut) = (Vec::new(), Vec::new());
                read(&text, 0, &mut whole);
                parts.iter().for_each(|part| read(str::from_utf8(&part.bytes).unwrap(), part.from, &mut cut));
                assert_eq!(whole, cut, "{before}: {odd:?}");
            }
        }
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
