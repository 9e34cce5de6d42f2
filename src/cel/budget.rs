//! What an evaluation may take, and how it ends when it cannot go on. The functions and operators of expressions know this
//! much of it.

use super::limits;
use super::pattern::Pattern;
use super::value::{Text, Val};
use std::collections::HashMap;
use std::sync::Arc;

/// Why an evaluation came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The steps are used up.
    Steps,
    /// As a fragment.
    Because(Arc<str>),
}

impl Fault {
    pub(crate) fn new(message: impl AsRef<str>) -> Self {
        let mut text = message.as_ref().replace(['\n', '\r'], " ");
        if let Some((cut, _)) = text.char_indices().nth(200) {
            text.truncate(cut);
            text.push('…');
        }
        Self::Because(text.into())
    }
}

pub(crate) type Answer<'r> = Result<Val<'r>, Fault>;

/// What a function or operator says of values that it does not take.
pub(crate) fn mismatch(what: &str, values: &[&Val<'_>]) -> Fault {
    let kinds: Vec<&str> = values.iter().map(|value| value.kind().name()).collect();
    Fault::new(format!(
        "{what} does not take {}; a field may be null or of another type",
        kinds.join(" and ")
    ))
}

/// The steps that an evaluation has left, and the regular expressions that it has paid for.
pub(crate) struct Budget {
    patterns: HashMap<Arc<str>, Result<Arc<Pattern>, String>>,
    left: u64,
}

impl Budget {
    /// One of so many steps.
    pub(crate) fn new(steps: u64) -> Self {
        Self { patterns: HashMap::new(), left: steps }
    }

    /// The steps that are left.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Takes that many steps.
    ///
    /// # Errors
    /// When there are not that many left; from then on none are.
    pub(crate) fn charge(&mut self, steps: u64) -> Result<(), Fault> {
        match self.left.checked_sub(steps) {
            Some(rest) if rest > 0 => {
                self.left = rest;
                Ok(())
            }
            _ => {
                self.left = 0;
                Err(Fault::Steps)
            }
        }
    }

    /// A regular expression, compiled when it is first needed.
    ///
    /// # Errors
    /// Why it is none, or that there are not enough steps left to compile it.
    pub(crate) fn pattern(&mut self, text: &Text<'_>) -> Result<Arc<Pattern>, Fault> {
        if let Some(known) = self.patterns.get(&**text) {
            return known.clone().map_err(Fault::new);
        }
        // Before it is tried: what is too large is so only after the work.
        let least = limits::PATTERNS.first().map_or(0, |(_, _, steps)| *steps);
        self.charge(least + limits::text(text.len()))?;
        let compiled = Pattern::compile(text);
        let steps = match &compiled {
            Ok((_, steps)) => *steps,
            Err(_) => limits::PATTERNS.iter().map(|(_, _, steps)| *steps).sum(),
        };
        self.charge(steps)?;
        let pattern = compiled.map(|(pattern, _)| Arc::new(pattern));
        self.patterns.insert(text.shared(), pattern.clone());
        pattern.map_err(Fault::new)
    }

    /// The steps of looking up a key: those of an object stand in no order.
    pub(crate) fn look_up(&mut self, map: &Val<'_>) -> Result<(), Fault> {
        match map {
            Val::Json(node) if !node.is_list() => self.charge(node.fields().len() as u64 / limits::KEYS),
            _ => Ok(()),
        }
    }
}
