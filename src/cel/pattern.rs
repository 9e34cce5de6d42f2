//! Regular expressions, within bounds: what they look at is counted by the size of the pattern.

use super::limits;
use super::run::{Answer, Fault, Run, mismatch};
use super::value::{Text, Val};
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

    fn steps(&self, bytes: usize) -> u64 {
        limits::SEARCH + limits::text(bytes).saturating_mul(self.weight)
    }

    /// Whether the text matches anywhere.
    pub(crate) fn matches<'r>(&self, run: &mut Run<'r>, text: &Text<'r>) -> Answer<'r> {
        run.charge(self.steps(text.len()))?;
        Ok(Val::Bool(self.regex.is_match(text)))
    }

    /// The first match, or an empty text.
    pub(crate) fn find<'r>(&self, run: &mut Run<'r>, text: &Text<'r>) -> Answer<'r> {
        run.charge(self.steps(text.len()))?;
        Ok(Val::text(self.regex.find(text).map_or("", |found| found.as_str())))
    }

    /// All matches, or so many.
    pub(crate) fn find_all<'r>(
        &self,
        run: &mut Run<'r>,
        text: &Text<'r>,
        most: Option<&Val<'r>>,
    ) -> Answer<'r> {
        let most = match most {
            None => usize::MAX,
            // A negative number means all, as in Go.
            Some(Val::Int(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
            Some(other) => return Err(mismatch("`findAll`", &[other])),
        };
        let mut found = Vec::new();
        let mut at = 0;
        for item in self.regex.find_iter(text).take(most) {
            // Each search may look at all that is left before it settles for less.
            run.charge(limits::LETTER + self.steps(text.len().saturating_sub(at)))?;
            at = item.end();
            found.push(Val::text(item.as_str()));
        }
        run.charge(self.steps(text.len().saturating_sub(at)))?;
        Ok(Val::list(found))
    }
}

/// Which of the functions with a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    Matches,
    Find,
    FindAll,
}

impl Search {
    /// Runs it; the text and the pattern are the first two that it is called with.
    pub(crate) fn run<'r>(self, run: &mut Run<'r>, known: Option<&Pattern>, args: &[Val<'r>]) -> Answer<'r> {
        let [Val::Text(text), Val::Text(pattern), rest @ ..] = args else {
            return Err(Fault::new("a regular expression looks at a string"));
        };
        let made;
        let pattern = match known {
            Some(pattern) => pattern,
            None => {
                made = run.pattern(pattern)?;
                &made
            }
        };
        match self {
            Self::Matches => pattern.matches(run, text),
            Self::Find => pattern.find(run, text),
            Self::FindAll => pattern.find_all(run, text, rest.first()),
        }
    }
}
