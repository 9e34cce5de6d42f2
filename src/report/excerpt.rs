//! The lines of an input around a place, with marks under them.

use crate::check::{FAR, Input, Spot};
use crate::model::printable_name;
use crate::source::Source;
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
    // What stands far from the place is shown by itself, so that no excerpt is longer than its few lines.
    let (related, far): (Vec<_>, Vec<_>) =
        related.into_iter().partition(|(other, _)| source.distance(other.start, spot.start) <= FAR);
    let starts = related.iter().map(|(other, _)| other.start).chain([spot.start]);
    let from = starts.clone().min().unwrap_or(spot.start);
    let to = starts.max().unwrap_or(spot.start);
    let window = source.line_of(from).start..source.line_of(to).end;
    let text = source.text.get(window.clone()).unwrap_or_default();
    let at = source.position(spot.start);
    // Lines are looked at only where they are short together.
    if text.len() > FAR + 2 * LONG_LINE || text.lines().any(|line| line.len() > LONG_LINE) {
        let (text, mark) = around(source, spot);
        let primary = AnnotationKind::Primary.span(mark);
        let snippet = Snippet::source(text).line_start(at.line);
        // The renderer would count the column from the piece's start.
        let place = format!("{}:{}:{}", printable_name(&source.name), at.line, at.column);
        let place = Level::NOTE.with_name("at").message(place);
        let group = group.element(snippet.annotation(labelled(primary, label))).element(place);
        return apart(group, source, &far);
    }
    let inside = |spot: &Spot| -> Range<usize> {
        let start = spot.start.saturating_sub(window.start).min(text.len());
        let end = spot.end.saturating_sub(window.start).clamp(start, text.len());
        first_line(text, start..end)
    };
    let mut snippet = Snippet::source(text)
        .path(printable_name(&source.name))
        .line_start(source.position(window.start).line)
        .annotation(labelled(AnnotationKind::Primary.span(inside(spot)), label));
    for (other, note) in related {
        snippet = snippet.annotation(AnnotationKind::Context.span(inside(other)).label(printable_name(note)));
    }
    apart(group.element(snippet), source, &far)
}

/// Adds the lines of other places, each by itself.
fn apart<'i>(mut group: Group<'i>, source: &'i Source, places: &[&'i (Spot, String)]) -> Group<'i> {
    for (spot, note) in places {
        let (text, mark) = around(source, spot);
        let snippet = Snippet::source(text)
            .path(printable_name(&source.name))
            .line_start(source.position(spot.start).line)
            .annotation(AnnotationKind::Context.span(mark).label(printable_name(note)));
        group = group.element(snippet);
    }
    group
}

type Annotation<'i> = annotate_snippets::Annotation<'i>;

fn labelled<'i>(annotation: Annotation<'i>, label: &'i str) -> Annotation<'i> {
    if label.is_empty() { annotation } else { annotation.label(label) }
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
fn around<'i>(source: &'i Source, spot: &Spot) -> (Cow<'i, str>, Range<usize>) {
    let text: &str = &source.text;
    let start = spot.start.min(text.len());
    let end = spot.end.clamp(start, text.len()).min(start.saturating_add(AROUND));
    let (start, end) = (boundary(text, start), boundary(text, end));
    let line = source.line_of(start);
    let from = boundary(text, start.saturating_sub(AROUND)).max(line.start);
    let to = boundary(text, end.saturating_add(AROUND).min(line.end)).max(start);
    let before = if from > line.start { "..." } else { "" };
    let after = if to < line.end { "..." } else { "" };
    let piece = text.get(from..to).unwrap_or_default();
    let mark = (start - from + before.len())..(end.min(to) - from + before.len());
    (Cow::Owned(format!("{before}{piece}{after}")), mark)
}
