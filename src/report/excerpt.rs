//! The lines of an input around a place, with marks under them.

use crate::check::{Input, Spot};
use annotate_snippets::{AnnotationKind, Group, Level, Snippet};
use std::borrow::Cow;
use std::ops::Range;

/// A line of more bytes than this, as of minified JSON, is shown only around the place.
const LONG_LINE: usize = 500;
/// How many bytes of a long line are shown on each side.
const AROUND: usize = 60;

/// Adds the lines from the first place to the last, and not the whole file: the renderer leaves out those between.
pub(super) fn excerpt<'i>(
    group: Group<'i>,
    inputs: &'i [Input],
    spot: &Spot,
    label: &'i str,
    related: &'i [(Spot, String)],
) -> Group<'i> {
    let Some(source) = inputs.get(spot.input).map(|input| &input.source) else { return group };
    let related: Vec<&(Spot, String)> =
        related.iter().filter(|(other, _)| other.input == spot.input).collect();
    let starts = related.iter().map(|(other, _)| other.start).chain([spot.start]);
    let ends = related.iter().map(|(other, _)| other.end).chain([spot.end]);
    let from = starts.min().unwrap_or(spot.start);
    let to = ends.max().unwrap_or(spot.end);
    let window = lines(&source.text, from..to);
    let text = source.text.get(window.clone()).unwrap_or_default();
    let at = source.position(spot.start);
    if text.lines().any(|line| line.len() > LONG_LINE) {
        let (text, mark) = around(&source.text, spot);
        let primary = AnnotationKind::Primary.span(mark);
        let snippet = Snippet::source(text).line_start(at.line);
        // The renderer would count the column from the piece's start.
        let place = format!("{}:{}:{}", source.name, at.line, at.column);
        let place = Level::NOTE.with_name("at").message(place);
        return group.element(snippet.annotation(labelled(primary, label))).element(place);
    }
    let inside = |spot: &Spot| -> Range<usize> {
        let start = spot.start.saturating_sub(window.start).min(text.len());
        let end = spot.end.saturating_sub(window.start).clamp(start, text.len());
        first_line(text, start..end)
    };
    let mut snippet = Snippet::source(text)
        .path(source.name.as_str())
        .line_start(source.position(window.start).line)
        .annotation(labelled(AnnotationKind::Primary.span(inside(spot)), label));
    for (other, note) in related {
        snippet = snippet.annotation(AnnotationKind::Context.span(inside(other)).label(note.as_str()));
    }
    group.element(snippet)
}

type Annotation<'i> = annotate_snippets::Annotation<'i>;

fn labelled<'i>(annotation: Annotation<'i>, label: &'i str) -> Annotation<'i> {
    if label.is_empty() { annotation } else { annotation.label(label) }
}

/// The range widened to whole lines, without the line break at its end.
fn lines(text: &str, range: Range<usize>) -> Range<usize> {
    let from = range.start.min(text.len());
    let to = range.end.clamp(from, text.len());
    let start = text.get(..from).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(to..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| to + at);
    // A carriage return at the end would be shown as a character.
    let bare = text.get(start..end).map_or(0, |window| window.trim_end_matches('\r').len());
    start..start + bare
}

/// A place of many lines is shown by its first.
fn first_line(text: &str, range: Range<usize>) -> Range<usize> {
    let start = boundary(text, range.start);
    let line_end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
    // A place may end inside a character where the bytes were no text.
    let end = (range.end..=line_end).find(|at| text.is_char_boundary(*at)).unwrap_or(line_end);
    start..end
}

/// The start of the character that the byte is in.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A piece of a long line with the place in it, and where it is in the piece.
fn around<'i>(text: &'i str, spot: &Spot) -> (Cow<'i, str>, Range<usize>) {
    let start = spot.start.min(text.len());
    let end = spot.end.clamp(start, text.len()).min(start.saturating_add(AROUND));
    let (start, end) = (boundary(text, start), boundary(text, end));
    let line = lines(text, start..start);
    let from = boundary(text, start.saturating_sub(AROUND)).max(line.start);
    let to = boundary(text, end.saturating_add(AROUND).min(line.end)).max(start);
    let before = if from > line.start { "..." } else { "" };
    let after = if to < line.end { "..." } else { "" };
    let piece = text.get(from..to).unwrap_or_default();
    let mark = (start - from + before.len())..(end.min(to) - from + before.len());
    (Cow::Owned(format!("{before}{piece}{after}")), mark)
}
