//! What an expression may cost.

/// The longest expression, in bytes.
pub(crate) const LENGTH: usize = 4096;
/// How deep parentheses, lists, maps, calls and choices may nest.
pub(crate) const NESTING: usize = 24;
/// How deep the parsed expression may be; a chain of fields or sums is as deep as it is long.
pub(crate) const DEPTH: usize = 32;
/// How many loops (`all`, `exists`, `existsOne`, `map`, `filter` …) may stand inside each other.
pub(crate) const LOOPS: usize = 3;
/// How many variables a rule may have.
pub(crate) const VARIABLES: usize = 32;
/// What all expressions of a rule together may cost on one object, in steps. A step is what a machine does in about a
/// third of a microsecond at most; `examples/cel_limit.rs` measures what that comes to.
pub(crate) const STEPS: u64 = 250_000;
/// What all rules together may cost on one object, in steps.
pub(crate) const REVIEW: u64 = 4_000_000;
/// How many containers, paths and claims of one object an expression is given.
pub(crate) const ROWS: usize = 10_000;
/// The steps of one round of a loop besides its body's.
pub(crate) const ROUND: u64 = 3;
/// The steps of an item that is put into a list or a map.
pub(crate) const ITEM: u64 = 2;
/// How many keys of a map are looked at in one step.
pub(crate) const KEYS: u64 = 32;
/// The steps of a call into Kubernetes' library, besides what it is called with.
pub(crate) const LIBRARY: u64 = 4;
/// The steps of a search by a regular expression, besides what it looks at.
pub(crate) const SEARCH: u64 = 16;
/// The steps that each letter or part takes into which a text is cut.
pub(crate) const LETTER: u64 = 4;
/// The most digits behind the point in a `format`.
pub(crate) const PRECISION: usize = 64;
/// How large a compiled regular expression may be, in bytes, with the steps that it takes to look at 16 bytes, and those
/// that it takes to compile it. The first that it fits in holds.
pub(crate) const PATTERNS: [(usize, u64, u64); 3] =
    [(4 << 10, 2, 500), (32 << 10, 16, 2_500), (256 << 10, 128, 20_000)];

/// The steps that it takes to look at a text of that length, or to copy it.
pub(crate) fn text(bytes: usize) -> u64 {
    1 + bytes as u64 / 16
}
