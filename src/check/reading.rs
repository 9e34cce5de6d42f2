//! What of the texts could not be read, and what a reader of them should know.

use super::manifest::is_object;
use super::said::{Said, Sort};
use super::{Fault, Input, Notice, Report, Spot};
use crate::source::{Document, SourceError, SourceErrorKind};
use std::ops::Range;

/// Adds what of the texts could not be read, and what a reader of them should know.
pub(crate) fn read_faults(inputs: &[Input], report: &mut Report<'_>) {
    let mut said = Said::default();
    for (index, input) in inputs.iter().enumerate() {
        read(index, input, &mut said);
    }
    report.faults.extend(said.faults.into_iter().map(|(_, _, fault)| fault));
    report.notices.extend(said.notices.into_iter().map(|(_, _, notice)| notice));
}

/// The same of one of them.
pub(super) fn read(index: usize, input: &Input, said: &mut Said) {
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
    for error in input.errors() {
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
    }
}
