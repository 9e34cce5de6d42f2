//! The functions with a regular expression.

use super::super::budget::{Answer, Budget, Fault, mismatch};
use super::super::limits;
use super::super::pattern::Pattern;
use super::super::value::Val;

/// Which of the functions with a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Matches,
    Find,
    FindAll,
}

impl Search {
    /// Runs it; the text and the pattern are the first two that it is called with.
    pub(super) fn run<'r>(
        self,
        budget: &mut Budget,
        known: Option<&Pattern>,
        args: &[Val<'r>],
    ) -> Answer<'r> {
        let [Val::Text(text), Val::Text(pattern), rest @ ..] = args else {
            return Err(Fault::new("a regular expression looks at a string"));
        };
        let made;
        let pattern = match known {
            Some(pattern) => pattern,
            None => {
                made = budget.pattern(pattern)?;
                &made
            }
        };
        match self {
            Self::Matches => {
                budget.charge(pattern.steps(text.len()))?;
                Ok(Val::Bool(pattern.matches(text)))
            }
            Self::Find => {
                budget.charge(pattern.steps(text.len()))?;
                Ok(Val::text(pattern.find(text)))
            }
            Self::FindAll => find_all(budget, pattern, text, rest.first()),
        }
    }
}

/// All matches, or so many.
fn find_all<'r>(budget: &mut Budget, pattern: &Pattern, text: &str, most: Option<&Val<'r>>) -> Answer<'r> {
    let most = match most {
        None => usize::MAX,
        // A negative number means all, as in Go.
        Some(Val::Int(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
        Some(other) => return Err(mismatch("`findAll`", &[other])),
    };
    let mut found = Vec::new();
    let mut at = 0;
    for (item, end) in pattern.find_all(text).take(most) {
        // Each search may look at all that is left before it settles for less.
        budget.charge(limits::LETTER + pattern.steps(text.len().saturating_sub(at)))?;
        at = end;
        found.push(Val::text(item));
    }
    budget.charge(pattern.steps(text.len().saturating_sub(at)))?;
    Ok(Val::list(found))
}
