//! What of the texts could not be read, and what a reader of them should know.

use super::manifest::is_object;
use super::said::{Said, Sort};
use super::template::{Template, has_reference};
use super::{Fault, Input, Notice, Report, Spot, Tally, What};
use crate::model::FieldPath;
use crate::source::{Document, SourceError, SourceErrorKind};
use std::borrow::Cow;
use std::ops::Range;

/// Adds what of the texts could not be read, and what a reader of them should know.
pub(crate) fn read_faults(inputs: &[Input], report: &mut Report<'_>) {
    let (mut said, mut tally) = (Said::default(), Tally::default());
    for (index, input) in inputs.iter().enumerate() {
        read(index, input, &mut said, &mut tally);
    }
    said.tell_of_templates();
    report.not_judged.extend(tally.entries());
    report.faults.extend(said.faults.into_iter().map(|(_, _, fault)| fault));
    report.notices.extend(said.notices.into_iter().map(|(_, _, notice)| notice));
}

/// The same of one of them. What is no manifest, and was not named, is counted in `tally`.
pub(super) fn read(index: usize, input: &Input, said: &mut Said, tally: &mut Tally) {
    if input.named && input.read().is_empty() && input.part_of.is_none() {
        let name = &input.source.name;
        // A template that renders to nothing leaves its comments. Nothing at all, as the output of a command that
        // failed, must not look like a clean bill.
        if input.source.text.trim().is_empty() {
            let help = Some("check the command or the path that it comes from".to_owned());
            let fault = Fault { spot: None, message: format!("there is no manifest in {name}"), help };
            said.faults.push((Sort::Reading, index, fault));
        } else {
            let message = format!("there is nothing but comments in {name}");
            said.notices.push((Sort::Reading, index, Notice { spot: None, message }));
        }
    }
    let is_template = |error: &&SourceError| error.kind == SourceErrorKind::Template;
    let templates = input.errors().filter(is_template).count();
    let mut first_template = true;
    let mut is_counted = false;
    for error in input.errors() {
        if let Some(what) = passed_over(input, error) {
            if !std::mem::replace(&mut is_counted, true) {
                tally.add(what, || {
                    format!("{}:{}", input.source.name, input.source.position(error.offset).line)
                });
            }
            continue;
        }
        let mut message = error.message.clone();
        // A template that was not rendered is one mistake, however many of its documents are unreadable.
        if is_template(&error) && templates > 1 {
            if !std::mem::take(&mut first_template) {
                continue;
            }
            let places = if templates == 2 { "place" } else { "places" };
            message.push_str(&format!("; {} more {places} in this file", templates - 1));
        }
        let end = (error.offset + 1).min(input.source.text.len());
        let help = Some(error.help.to_string());
        let spot = Some(Spot { input: index, start: error.offset.min(end), end });
        said.fault(Sort::Reading, Fault { spot, message, help });
    }
    // What is odd in the other files of a folder is nobody's business here.
    let told = |document: &&Document| input.named || is_object(&document.value);
    for document in input.documents().filter(told) {
        for notice in &document.notices {
            let Range { start, end } = notice.span;
            let spot = Some(Spot { input: index, start, end });
            said.notice(Sort::Reading, Notice { spot, message: notice.message.clone() });
        }
        if let Some(template) = Template::of(&document.value)
            && template.objects.iter().any(has_reference)
        {
            let Range { start, end } = document.span(&FieldPath::root().key("kind")).point();
            said.templates.push(Spot { input: index, start, end });
        }
    }
}

/// What a file is that was met in a folder and cannot be read, if it is no manifest: a template of one, or a file of another tool.
fn passed_over(input: &Input, error: &SourceError) -> Option<What> {
    if !input.is_met() {
        return None;
    }
    // A part of a long text may be that of a manifest in which neither word stands.
    let is_whole = input.part_of.is_none();
    if is_whole && !is_like_manifest(&input.source.text) {
        return Some(What::Unreadable);
    }
    (error.kind == SourceErrorKind::Template).then_some(What::Template)
}

/// Whether a text that cannot be read has keys as a manifest has them.
fn is_like_manifest(text: &str) -> bool {
    // UTF-16, as some shells write it, has a NUL byte in each letter.
    let text = if text.contains('\0') { text.replace('\0', "").into() } else { Cow::Borrowed(text) };
    has_key(&text, "apiVersion") || (has_key(&text, "kind") && has_key(&text, "metadata"))
}

/// Whether a text has a key of that name, in whatever case: `"apiVersion":`, `kind :`, `Kind:`.
fn has_key(text: &str, key: &str) -> bool {
    let is_key = |line: &str| {
        let at = |start: usize| {
            line.get(start..start + key.len()).is_some_and(|word| word.eq_ignore_ascii_case(key))
        };
        let ends = |start: usize| {
            let rest = line.get(start + key.len()..).unwrap_or_default();
            rest.trim_start_matches(['"', '\'', ' ', '\t']).starts_with(':')
        };
        line.char_indices().any(|(start, _)| at(start) && ends(start))
    };
    text.lines().any(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_may_be_a_manifest() {
        for text in [
            "apiVersion: v1\nkind: Pod\nmetadata: [\n",
            "apiversion : v1\n\tkind: Pod\n",
            "{\"apiVersion\": \"v1\", \"kind\": ",
            "- {kind: Pod, 'metadata': {",
            "Kind: Pod\nMetadata:\n\tname: a\n",
            "a\0p\0i\0V\0e\0r\0s\0i\0o\0n\0:\0",
        ] {
            assert!(is_like_manifest(text), "{text:?}");
        }
        for text in [
            "a: [\n",
            "kind: DaemonSet\nimage: [\n",
            "// the kind: of metadata\n{",
            "see apiVersion and kind\n[",
            "",
        ] {
            assert!(!is_like_manifest(text), "{text:?}");
        }
    }
}
