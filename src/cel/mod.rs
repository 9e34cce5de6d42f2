//! CEL, the expression language of Kubernetes' own admission policies: parser, type check, evaluation within a budget.
//! Knows of no rule: what `object`, `facts` and the other variables hold is given to it.

mod budget;
mod format;
mod globals;
mod library;
pub(crate) mod limits;
mod operators;
mod parse;
mod pattern;
mod program;
mod reads;
mod run;
mod time;
mod types;
mod value;

pub(crate) use budget::Fault;
pub(crate) use globals::{Global, Globals, Shared};
pub(crate) use library::as_text;
#[cfg(test)]
pub(crate) use library::{FUNCTIONS, is_there};
pub(crate) use parse::names;
#[cfg(test)]
pub(crate) use program::compile_own;
pub(crate) use program::{Known, Program, compile};
pub(crate) use reads::{OfScaled, reads_pod_alone};
pub(crate) use run::{Code, Run};
pub(crate) use types::{Kind, Type};
pub(crate) use value::Val;
