//! The functions of expressions: CEL's own and those of texts, lists, sets and regular expressions are here, where they
//! keep count of what they cost; what Kubernetes adds (quantities, addresses, URLs, versions, formats) is the library's.

mod conversions;
mod foreign;
mod lists;
mod searches;
mod texts;

use super::budget::{Answer, Budget, mismatch};
use super::format;
use super::parse::Operator;
use super::pattern::Pattern;
use super::time;
use super::types::Kind;
use super::value::{Text, Val};
use std::sync::Arc;

/// A function as it can be called. What a method is called on is the first of what it takes.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) method: bool,
    pub(crate) takes: &'static [Kind],
    /// Whether the last of what it takes may stand any number of times.
    more: bool,
    pub(crate) gives: Gives,
    how: How,
}

/// What a function comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    Of(Kind),
    /// A list of that kind.
    ListOf(Kind),
    /// What the first argument is.
    Same,
    /// An item of the list that is the first argument.
    Item,
    OptionalItem,
    OptionalOf(Kind),
    OptionalTexts,
    /// An optional with the argument in it.
    OptionalSame,
    /// What is in the optional that is the first argument.
    Inside,
}

#[derive(Debug)]
enum How {
    Own(for<'r> fn(&mut Budget, &[Val<'r>]) -> Answer<'r>),
    Search(Search),
    Library,
}

use Kind::{
    Any, Bool, Bytes, Cidr, Double, Format, Int, Ip, List, Map, Number, Optional, Quantity, Semver, Span,
    Time, Uint, Url,
};
use conversions::{
    has_value, optional_of, optional_of_non_zero, optional_value, same, to_bool, to_bytes, to_double, to_int,
    to_text, to_type, to_uint,
};
use foreign::in_library;
#[cfg(test)]
pub(crate) use foreign::is_there;
use lists::{
    bit_not, bits, distinct, end, extreme, flatten, is_sorted, last_place_in_list, place_in_list, range,
    reverse, sets_contains, sets_equivalent, sets_intersects, shifted, slice, sort, sum,
};
use searches::Search;
use texts::{
    changed, char_at, contains, ends_with, format_named, index_of, join, last_index_of, replace, size, split,
    starts_with, substring,
};
const TEXT: Kind = Kind::Text;

const fn function(
    name: &'static str,
    takes: &'static [Kind],
    gives: Gives,
    run: for<'r> fn(&mut Budget, &[Val<'r>]) -> Answer<'r>,
) -> Signature {
    Signature { name, method: false, takes, more: false, gives, how: How::Own(run) }
}

const fn method(
    name: &'static str,
    takes: &'static [Kind],
    gives: Gives,
    run: for<'r> fn(&mut Budget, &[Val<'r>]) -> Answer<'r>,
) -> Signature {
    Signature { name, method: true, takes, more: false, gives, how: How::Own(run) }
}

const fn search(
    name: &'static str,
    method: bool,
    takes: &'static [Kind],
    gives: Gives,
    what: Search,
) -> Signature {
    Signature { name, method, takes, more: false, gives, how: How::Search(what) }
}

const fn library(name: &'static str, takes: &'static [Kind], gives: Gives) -> Signature {
    Signature { name, method: false, takes, more: false, gives, how: How::Library }
}

const fn library_method(name: &'static str, takes: &'static [Kind], gives: Gives) -> Signature {
    Signature { name, method: true, takes, more: false, gives, how: How::Library }
}

const fn many(mut signature: Signature) -> Signature {
    signature.more = true;
    signature
}

const TRUTH: Gives = Gives::Of(Bool);
const A_TEXT: Gives = Gives::Of(TEXT);
const AN_INT: Gives = Gives::Of(Int);
const ANYTHING: Gives = Gives::Of(Any);

/// All functions that an expression can call.
#[rustfmt::skip]
pub(crate) static FUNCTIONS: &[Signature] = &[
    // CEL's own
    function("bool", &[Bool], TRUTH, same),
    function("bool", &[TEXT], TRUTH, to_bool),
    function("bytes", &[Bytes], Gives::Of(Bytes), same),
    function("bytes", &[TEXT], Gives::Of(Bytes), to_bytes),
    function("double", &[Number], Gives::Of(Double), to_double),
    function("double", &[TEXT], Gives::Of(Double), to_double),
    function("duration", &[Span], Gives::Of(Span), same),
    function("duration", &[TEXT], Gives::Of(Span), time::duration),
    function("dyn", &[Any], ANYTHING, same),
    function("int", &[Number], AN_INT, to_int),
    function("int", &[TEXT], AN_INT, to_int),
    function("int", &[Time], AN_INT, to_int),
    function("int", &[Span], AN_INT, to_int),
    function("string", &[Any], A_TEXT, to_text),
    function("timestamp", &[Time], Gives::Of(Time), same),
    function("timestamp", &[TEXT], Gives::Of(Time), time::timestamp),
    function("timestamp", &[Int], Gives::Of(Time), time::timestamp),
    function("type", &[Any], Gives::Of(Kind::Type), to_type),
    function("uint", &[Number], Gives::Of(Uint), to_uint),
    function("uint", &[TEXT], Gives::Of(Uint), to_uint),
    function("size", &[TEXT], AN_INT, size),
    function("size", &[Bytes], AN_INT, size),
    function("size", &[List], AN_INT, size),
    function("size", &[Map], AN_INT, size),
    method("size", &[TEXT], AN_INT, size),
    method("size", &[Bytes], AN_INT, size),
    method("size", &[List], AN_INT, size),
    method("size", &[Map], AN_INT, size),
    method("contains", &[TEXT, TEXT], TRUTH, contains),
    method("contains", &[List, Any], TRUTH, contains),
    method("contains", &[Map, Any], TRUTH, contains),
    method("endsWith", &[TEXT, TEXT], TRUTH, ends_with),
    method("startsWith", &[TEXT, TEXT], TRUTH, starts_with),
    search("matches", true, &[TEXT, TEXT], TRUTH, Search::Matches),
    search("matches", false, &[TEXT, TEXT], TRUTH, Search::Matches),
    search("find", true, &[TEXT, TEXT], A_TEXT, Search::Find),
    search("findAll", true, &[TEXT, TEXT], Gives::ListOf(TEXT), Search::FindAll),
    search("findAll", true, &[TEXT, TEXT, Int], Gives::ListOf(TEXT), Search::FindAll),
    // times
    method("getDate", &[Time], AN_INT, time::date),
    method("getDate", &[Time, TEXT], AN_INT, time::date),
    method("getDayOfMonth", &[Time], AN_INT, time::day_of_month),
    method("getDayOfMonth", &[Time, TEXT], AN_INT, time::day_of_month),
    method("getDayOfWeek", &[Time], AN_INT, time::day_of_week),
    method("getDayOfWeek", &[Time, TEXT], AN_INT, time::day_of_week),
    method("getDayOfYear", &[Time], AN_INT, time::day_of_year),
    method("getDayOfYear", &[Time, TEXT], AN_INT, time::day_of_year),
    method("getFullYear", &[Time], AN_INT, time::full_year),
    method("getFullYear", &[Time, TEXT], AN_INT, time::full_year),
    method("getHours", &[Span], AN_INT, time::hours),
    method("getHours", &[Time], AN_INT, time::hours),
    method("getHours", &[Time, TEXT], AN_INT, time::hours),
    method("getMilliseconds", &[Span], AN_INT, time::milliseconds),
    method("getMilliseconds", &[Time], AN_INT, time::milliseconds),
    method("getMilliseconds", &[Time, TEXT], AN_INT, time::milliseconds),
    method("getMinutes", &[Span], AN_INT, time::minutes),
    method("getMinutes", &[Time], AN_INT, time::minutes),
    method("getMinutes", &[Time, TEXT], AN_INT, time::minutes),
    method("getMonth", &[Time], AN_INT, time::month),
    method("getMonth", &[Time, TEXT], AN_INT, time::month),
    method("getSeconds", &[Span], AN_INT, time::seconds),
    method("getSeconds", &[Time], AN_INT, time::seconds),
    method("getSeconds", &[Time, TEXT], AN_INT, time::seconds),
    // optionals; `or` and `orValue` are the evaluation's own
    function("optional.none", &[], Gives::Of(Optional), |_, _| Ok(Val::Optional(None))),
    function("optional.of", &[Any], Gives::OptionalSame, optional_of),
    function("optional.ofNonZeroValue", &[Any], Gives::OptionalSame, optional_of_non_zero),
    method("hasValue", &[Optional], TRUTH, has_value),
    method("value", &[Optional], Gives::Inside, optional_value),
    // texts
    method("charAt", &[TEXT, Int], A_TEXT, char_at),
    method("indexOf", &[TEXT, TEXT], AN_INT, index_of),
    method("indexOf", &[TEXT, TEXT, Int], AN_INT, index_of),
    method("indexOf", &[List, Any], AN_INT, place_in_list),
    method("join", &[List], A_TEXT, join),
    method("join", &[List, TEXT], A_TEXT, join),
    method("lastIndexOf", &[TEXT, TEXT], AN_INT, last_index_of),
    method("lastIndexOf", &[TEXT, TEXT, Int], AN_INT, last_index_of),
    method("lastIndexOf", &[List, Any], AN_INT, last_place_in_list),
    method("lowerAscii", &[TEXT], A_TEXT, |budget, args| changed(budget, args, |text| text.to_ascii_lowercase())),
    method("replace", &[TEXT, TEXT, TEXT], A_TEXT, replace),
    method("replace", &[TEXT, TEXT, TEXT, Int], A_TEXT, replace),
    method("reverse", &[TEXT], A_TEXT, |budget, args| changed(budget, args, |text| text.chars().rev().collect())),
    method("reverse", &[List], Gives::Same, reverse),
    method("split", &[TEXT, TEXT], Gives::ListOf(TEXT), split),
    method("split", &[TEXT, TEXT, Int], Gives::ListOf(TEXT), split),
    method("substring", &[TEXT, Int], A_TEXT, substring),
    method("substring", &[TEXT, Int, Int], A_TEXT, substring),
    method("trim", &[TEXT], A_TEXT, |budget, args| changed(budget, args, |text| text.trim().to_owned())),
    method("upperAscii", &[TEXT], A_TEXT, |budget, args| changed(budget, args, |text| text.to_ascii_uppercase())),
    method("format", &[TEXT, List], A_TEXT, format::format),
    library("strings.quote", &[TEXT], A_TEXT),
    // lists and sets
    method("distinct", &[List], Gives::Same, distinct),
    method("first", &[List], Gives::OptionalItem, |_, args| Ok(Val::Optional(end(args, 0).map(Arc::new)))),
    method("flatten", &[List], Gives::Of(List), flatten),
    method("flatten", &[List, Int], Gives::Of(List), flatten),
    method("isSorted", &[List], TRUTH, is_sorted),
    method("last", &[List], Gives::OptionalItem, |_, args| Ok(Val::Optional(end(args, 1).map(Arc::new)))),
    method("max", &[List], Gives::Item, |budget, args| extreme(budget, args, Operator::Greater)),
    method("min", &[List], Gives::Item, |budget, args| extreme(budget, args, Operator::Less)),
    method("slice", &[List, Int, Int], Gives::Same, slice),
    method("sort", &[List], Gives::Same, sort),
    method("sum", &[List], Gives::Item, sum),
    function("lists.range", &[Int], Gives::ListOf(Int), range),
    function("sets.contains", &[List, List], TRUTH, sets_contains),
    function("sets.equivalent", &[List, List], TRUTH, sets_equivalent),
    function("sets.intersects", &[List, List], TRUTH, sets_intersects),
    // numbers
    many(function("max", &[Any], ANYTHING, |budget, args| extreme(budget, args, Operator::Greater))),
    many(function("min", &[Any], ANYTHING, |budget, args| extreme(budget, args, Operator::Less))),
    library("math.abs", &[Number], Gives::Same),
    function("math.bitAnd", &[Int, Int], AN_INT, |_, args| bits(args, |a, b| a & b)),
    function("math.bitAnd", &[Uint, Uint], Gives::Of(Uint), |_, args| bits(args, |a, b| a & b)),
    function("math.bitNot", &[Int], AN_INT, bit_not),
    function("math.bitNot", &[Uint], Gives::Of(Uint), bit_not),
    function("math.bitOr", &[Int, Int], AN_INT, |_, args| bits(args, |a, b| a | b)),
    function("math.bitOr", &[Uint, Uint], Gives::Of(Uint), |_, args| bits(args, |a, b| a | b)),
    function("math.bitShiftLeft", &[Int, Int], AN_INT, |_, args| shifted(args, u64::checked_shl)),
    function("math.bitShiftLeft", &[Uint, Int], Gives::Of(Uint), |_, args| shifted(args, u64::checked_shl)),
    function("math.bitShiftRight", &[Int, Int], AN_INT, |_, args| shifted(args, u64::checked_shr)),
    function("math.bitShiftRight", &[Uint, Int], Gives::Of(Uint), |_, args| shifted(args, u64::checked_shr)),
    function("math.bitXor", &[Int, Int], AN_INT, |_, args| bits(args, |a, b| a ^ b)),
    function("math.bitXor", &[Uint, Uint], Gives::Of(Uint), |_, args| bits(args, |a, b| a ^ b)),
    library("math.ceil", &[Double], Gives::Of(Double)),
    library("math.floor", &[Double], Gives::Of(Double)),
    library("math.greatest", &[List], Gives::Item),
    many(library("math.greatest", &[Number], ANYTHING)),
    library("math.isFinite", &[Double], TRUTH),
    library("math.isInf", &[Double], TRUTH),
    library("math.isNaN", &[Double], TRUTH),
    library("math.least", &[List], Gives::Item),
    many(library("math.least", &[Number], ANYTHING)),
    library("math.round", &[Double], Gives::Of(Double)),
    library("math.sign", &[Number], Gives::Same),
    library("math.sqrt", &[Number], Gives::Of(Double)),
    library("math.trunc", &[Double], Gives::Of(Double)),
    // quantities
    library("isQuantity", &[TEXT], TRUTH),
    library("quantity", &[TEXT], Gives::Of(Quantity)),
    library("sign", &[Quantity], AN_INT),
    library_method("add", &[Quantity, Int], Gives::Of(Quantity)),
    library_method("add", &[Quantity, Quantity], Gives::Of(Quantity)),
    library_method("asApproximateFloat", &[Quantity], Gives::Of(Double)),
    library_method("asInteger", &[Quantity], AN_INT),
    library_method("compareTo", &[Quantity, Quantity], AN_INT),
    library_method("isGreaterThan", &[Quantity, Quantity], TRUTH),
    library_method("isInteger", &[Quantity], TRUTH),
    library_method("isLessThan", &[Quantity, Quantity], TRUTH),
    library_method("sign", &[Quantity], AN_INT),
    library_method("sub", &[Quantity, Int], Gives::Of(Quantity)),
    library_method("sub", &[Quantity, Quantity], Gives::Of(Quantity)),
    // versions
    library("isSemver", &[TEXT], TRUTH),
    library("isSemver", &[TEXT, Bool], TRUTH),
    library("semver", &[TEXT], Gives::Of(Semver)),
    library("semver", &[TEXT, Bool], Gives::Of(Semver)),
    library_method("compareTo", &[Semver, Semver], AN_INT),
    library_method("isGreaterThan", &[Semver, Semver], TRUTH),
    library_method("isLessThan", &[Semver, Semver], TRUTH),
    library_method("major", &[Semver], AN_INT),
    library_method("minor", &[Semver], AN_INT),
    library_method("patch", &[Semver], AN_INT),
    // addresses
    library("cidr", &[TEXT], Gives::Of(Cidr)),
    library("ip", &[TEXT], Gives::Of(Ip)),
    library("ip.isCanonical", &[TEXT], TRUTH),
    library("isCIDR", &[TEXT], TRUTH),
    library("isIP", &[TEXT], TRUTH),
    library_method("containsCIDR", &[Cidr, Cidr], TRUTH),
    library_method("containsCIDR", &[Cidr, TEXT], TRUTH),
    library_method("containsIP", &[Cidr, Ip], TRUTH),
    library_method("containsIP", &[Cidr, TEXT], TRUTH),
    library_method("family", &[Ip], AN_INT),
    library_method("ip", &[Cidr], Gives::Of(Ip)),
    library_method("isGlobalUnicast", &[Ip], TRUTH),
    library_method("isLinkLocalMulticast", &[Ip], TRUTH),
    library_method("isLinkLocalUnicast", &[Ip], TRUTH),
    library_method("isLoopback", &[Ip], TRUTH),
    library_method("isUnspecified", &[Ip], TRUTH),
    library_method("masked", &[Cidr], Gives::Of(Cidr)),
    library_method("prefixLength", &[Cidr], AN_INT),
    // URLs and encodings
    library("base64.decode", &[TEXT], Gives::Of(Bytes)),
    library("base64.encode", &[Bytes], A_TEXT),
    library("isURL", &[TEXT], TRUTH),
    library("jsonpatch.escapeKey", &[TEXT], A_TEXT),
    library("url", &[TEXT], Gives::Of(Url)),
    library_method("getEscapedPath", &[Url], A_TEXT),
    library_method("getHost", &[Url], A_TEXT),
    library_method("getHostname", &[Url], A_TEXT),
    library_method("getPort", &[Url], A_TEXT),
    library_method("getQuery", &[Url], Gives::Of(Map)),
    library_method("getScheme", &[Url], A_TEXT),
    // formats
    library("format.byte", &[], Gives::Of(Format)),
    library("format.date", &[], Gives::Of(Format)),
    library("format.datetime", &[], Gives::Of(Format)),
    library("format.dns1035Label", &[], Gives::Of(Format)),
    library("format.dns1035LabelPrefix", &[], Gives::Of(Format)),
    library("format.dns1123Label", &[], Gives::Of(Format)),
    library("format.dns1123LabelPrefix", &[], Gives::Of(Format)),
    library("format.dns1123Subdomain", &[], Gives::Of(Format)),
    library("format.dns1123SubdomainPrefix", &[], Gives::Of(Format)),
    library("format.labelValue", &[], Gives::Of(Format)),
    function("format.named", &[TEXT], Gives::OptionalOf(Format), format_named),
    library("format.qualifiedName", &[], Gives::Of(Format)),
    library("format.uri", &[], Gives::Of(Format)),
    library("format.uuid", &[], Gives::Of(Format)),
    library_method("validate", &[Format, TEXT], Gives::OptionalTexts),
];

impl Signature {
    /// Whether it takes so many.
    pub(crate) fn takes_count(&self, count: usize) -> bool {
        count == self.takes.len() || (self.more && count > self.takes.len())
    }

    /// What it takes at that place.
    pub(crate) fn wanted(&self, index: usize) -> Kind {
        self.takes.get(index).or(self.takes.last()).copied().unwrap_or(Any)
    }

    /// Whether it takes these values.
    pub(crate) fn takes(&self, args: &[Val<'_>]) -> bool {
        args.iter().enumerate().all(|(index, arg)| self.wanted(index).takes(arg.kind()))
    }

    /// Whether the second argument is a regular expression.
    pub(crate) fn searches(&self) -> bool {
        matches!(self.how, How::Search(_))
    }
}

/// Calls a function with values that it takes. `pattern` is its regular expression, where that is a constant.
pub(crate) fn call<'r>(
    budget: &mut Budget,
    signature: &'static Signature,
    pattern: Option<&Pattern>,
    args: &[Val<'r>],
) -> Answer<'r> {
    match &signature.how {
        How::Own(function) => function(budget, args),
        How::Search(search) => search.run(budget, pattern, args),
        How::Library => in_library(budget, signature.name, signature.method, args),
    }
}

fn refused<'r>(name: &str, args: &[Val<'r>]) -> Answer<'r> {
    Err(mismatch(&format!("`{name}`"), &args.iter().collect::<Vec<_>>()))
}

/// The text that a value is, for a finding.
pub(crate) fn as_text<'v>(value: &'v Val<'_>) -> Option<&'v str> {
    match value {
        Val::Text(Text::Lent(text)) => Some(text),
        Val::Text(Text::Own(text)) => Some(text),
        _ => None,
    }
}
