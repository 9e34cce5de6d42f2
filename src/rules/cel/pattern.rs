//! Regular expressions. The library compiles one at every call, which can take longer than all else together; here each
//! is compiled once for an evaluation, within bounds, and what it looks at is counted by the size of the pattern.

use super::library::{Run, run};
use super::limits;
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{ExecutionError, FunctionContext, ResolveResult, Value};
use regex::{Regex, RegexBuilder};
use std::sync::Arc;

/// A compiled regular expression.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// The steps that it takes to look at 16 bytes.
    weight: u64,
}

impl Pattern {
    /// Compiles it, and tells the steps that this takes.
    ///
    /// # Errors
    /// Why it is no regular expression, or that it is too large, as a fragment.
    pub(super) fn compile(text: &str) -> Result<(Self, u64), String> {
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
        Err(format!("the regular expression {text:?} is too large: write smaller numbers in {{…}}, or [a-z] for \\pL"))
    }

    fn steps(&self, bytes: usize) -> u64 {
        limits::SEARCH + limits::text(bytes).saturating_mul(self.weight)
    }
}

/// Compiles the pattern, or takes it from the evaluation, in which there is one; counts what it costs.
fn pattern(ftx: &FunctionContext<'_, '_>, text: &str) -> Result<Arc<Pattern>, ExecutionError> {
    let opaque = run(ftx.ptx).ok();
    match opaque.as_ref().and_then(|run| run.downcast_ref::<Run>()) {
        Some(run) => run.pattern(text)?.map_err(|message| ftx.error(message)),
        // The probe of a constant, when the policy is loaded.
        None => Pattern::compile(text).map(|(pattern, _)| Arc::new(pattern)).map_err(|message| ftx.error(message)),
    }
}

fn charge(ftx: &FunctionContext<'_, '_>, steps: u64) -> Result<(), ExecutionError> {
    match run(ftx.ptx).ok().as_ref().and_then(|run| run.downcast_ref::<Run>()) {
        Some(run) => run.charge(steps),
        None => Ok(()),
    }
}

pub(super) fn matches(
    ftx: &FunctionContext<'_, '_>,
    This(this): This<Arc<String>>,
    text: Arc<String>,
) -> Result<bool, ExecutionError> {
    let pattern = pattern(ftx, &text)?;
    charge(ftx, pattern.steps(this.len()))?;
    Ok(pattern.regex.is_match(&this))
}

pub(super) fn find(
    ftx: &FunctionContext<'_, '_>,
    This(this): This<Arc<String>>,
    text: Arc<String>,
) -> ResolveResult {
    let pattern = pattern(ftx, &text)?;
    charge(ftx, pattern.steps(this.len()))?;
    let found = pattern.regex.find(&this).map_or_else(String::new, |found| found.as_str().to_owned());
    Ok(Value::String(Arc::new(found)))
}

pub(super) fn find_all(
    ftx: &FunctionContext<'_, '_>,
    This(this): This<Arc<String>>,
    Arguments(arguments): Arguments,
) -> ResolveResult {
    let (text, most) = match arguments.as_slice() {
        [Value::String(text)] => (text, usize::MAX),
        // A negative number means all, as in Go.
        [Value::String(text), Value::Int(most)] => (text, usize::try_from(*most).unwrap_or(usize::MAX)),
        _ => return Err(ftx.error("takes a regular expression, and perhaps the most that is looked for")),
    };
    let pattern = pattern(ftx, text)?;
    let mut found = Vec::new();
    let mut at = 0;
    for item in pattern.regex.find_iter(&this).take(most) {
        // Each search may look at all that is left before it settles for less.
        charge(ftx, limits::LETTER + pattern.steps(this.len().saturating_sub(at)))?;
        at = item.end();
        found.push(Value::String(Arc::new(item.as_str().to_owned())));
    }
    charge(ftx, pattern.steps(this.len().saturating_sub(at)))?;
    Ok(Value::List(Arc::new(found)))
}
