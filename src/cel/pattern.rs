//! Regular expressions, within bounds: what they look at is counted by the size of the pattern.

use super::limits;
use regex::{Regex, RegexBuilder};

/// A compiled regular expression.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    /// The steps that it takes to look at 16 bytes.
    weight: u64,
}

impl Pattern {
    /// Compiles it, and tells the steps that this takes.
    ///
    /// # Errors
    /// Why it is no regular expression, or that it is too large, as a fragment.
    pub(crate) fn compile(text: &str) -> Result<(Self, u64), String> {
        for (size, weight, steps) in limits::PATTERNS {
            match RegexBuilder::new(text).size_limit(size).build() {
                Ok(regex) => return Ok((Self { regex, weight }, steps)),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => {
                    let error = error.to_string();
                    let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    return Err(format!("{text:?} is no regular expression: {last}"));
                }
            }
        }
        Err(format!(
            "the regular expression {text:?} is too large: write smaller numbers in {{…}}, or [a-z] for \\pL"
        ))
    }

    /// The steps of one search through so many bytes.
    pub(crate) fn steps(&self, bytes: usize) -> u64 {
        limits::SEARCH + limits::text(bytes).saturating_mul(self.weight)
    }

    /// Whether the text matches anywhere.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first match, or an empty text.
    pub(crate) fn find<'t>(&self, text: &'t str) -> &'t str {
        self.regex.find(text).map_or("", |found| found.as_str())
    }

    /// All matches, each with the place behind it.
    pub(crate) fn find_all<'t>(&self, text: &'t str) -> impl Iterator<Item = (&'t str, usize)> {
        self.regex.find_iter(text).map(|found| (found.as_str(), found.end()))
    }
}
