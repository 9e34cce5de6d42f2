//! What an expression may cost. The library has no limits of its own but the parser's recursion, so they are set here.

use kube_cel::cel::common::types::{CelBytes, CelList, CelMap, CelOptional, CelString};
use kube_cel::cel::common::value::Val;

/// The longest expression, in bytes.
pub(super) const LENGTH: usize = 4096;
/// How deep parentheses, lists, maps and calls may nest.
pub(super) const NESTING: u16 = 24;
/// How deep the parsed expression may be; a chain of fields or sums is as deep as it is long.
pub(super) const DEPTH: usize = 32;
/// How many loops (`all`, `exists`, `existsOne`, `map`, `filter`) may stand inside each other.
pub(super) const LOOPS: usize = 3;
/// How many variables a rule may have.
pub(super) const VARIABLES: usize = 32;
/// What all expressions of a rule together may cost on one object, in steps. A step is about one node of the
/// expression for one item of a loop, or one value that is copied.
pub(super) const STEPS: u64 = 250_000;
/// The stack of the thread that parses. The generated parser needs about 200 KiB for each level when it is built
/// without optimisation, and a chain of 2000 fields makes a tree of that depth before it can be refused.
pub(super) const PARSER_STACK: usize = 128 << 20;

/// The steps that it takes to copy a text of that length.
pub(super) fn text(bytes: usize) -> u64 {
    1 + bytes as u64 / 16
}

/// The steps that it takes to copy a value.
pub(super) fn weight(value: &dyn Val) -> u64 {
    if let Some(list) = value.downcast_ref::<CelList>() {
        return 1 + list.inner().iter().map(|item| weight(item.as_ref())).sum::<u64>();
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return 1 + map.inner().values().map(|item| 1 + weight(item.as_ref())).sum::<u64>();
    }
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return 1 + optional.inner().map_or(0, weight);
    }
    match (value.downcast_ref::<CelString>(), value.downcast_ref::<CelBytes>()) {
        (Some(string), _) => text(string.inner().len()),
        (_, Some(bytes)) => text(bytes.inner().len()),
        _ => 1,
    }
}
