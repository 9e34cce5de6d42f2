//! What an expression may cost. The library has no limits of its own but the parser's recursion, so they are set here.

use kube_cel::cel::common::types::{CelBytes, CelList, CelMap, CelOptional, CelString};
use kube_cel::cel::Value;
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
/// What all expressions of a rule together may cost on one object, in steps. A step is what a machine does in about a
/// third of a microsecond; `examples/cel_limit.rs` measures what that comes to.
pub(super) const STEPS: u64 = 250_000;
/// The steps of one round of a loop besides its body's: a scope is made for it.
pub(super) const ROUND: u64 = 8;
/// The steps that each node of a loop's body takes.
pub(super) const NODE: u64 = 2;
/// The steps of a search by a regular expression, besides what it looks at.
pub(super) const SEARCH: u64 = 16;
/// The steps that each letter or part takes into which a text is cut.
pub(super) const LETTER: u64 = 4;
/// The most digits behind the point in a `format`.
pub(super) const PRECISION: usize = 64;
/// How large a compiled regular expression may be, in bytes, with the steps that it takes to look at 16 bytes, and those
/// that it takes to compile it. The first that it fits in holds.
pub(super) const PATTERNS: [(usize, u64, u64); 3] = [(4 << 10, 2, 500), (32 << 10, 16, 2_500), (256 << 10, 128, 20_000)];
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
        return LIST + list.inner().iter().map(|item| weight(item.as_ref())).sum::<u64>();
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return MAP + map.inner().values().map(|item| ENTRY + weight(item.as_ref())).sum::<u64>();
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

/// [`weight`] for the other form of values.
pub(super) fn copied(value: &Value) -> u64 {
    match value {
        Value::List(items) => LIST + items.iter().map(copied).sum::<u64>(),
        Value::Map(map) => MAP + map.map.values().map(|value| ENTRY + copied(value)).sum::<u64>(),
        Value::String(text) => self::text(text.len()),
        Value::Bytes(bytes) => text(bytes.len()),
        _ => 1,
    }
}

/// The steps of a list besides its items.
const LIST: u64 = 4;
/// The steps of a map besides its entries.
const MAP: u64 = 12;
/// The steps of an entry besides its value.
const ENTRY: u64 = 6;
