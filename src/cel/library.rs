//! The functions of expressions: CEL's own and those of texts, lists, sets and regular expressions are here, where they
//! keep count of what they cost; what Kubernetes adds (quantities, addresses, URLs, versions, formats) is the library's.

use super::format;
use super::limits;
use super::parse::Operator;
use super::pattern::Search;
use super::run::{Answer, Call, Fault, Run, mismatch};
use super::time;
use super::types::Kind;
use super::value::{Foreign, Key, Text, Val};
use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::objects::{Key as LibraryKey, Map as LibraryMap, OptionalValue};
use kube_cel::cel::{Context, ExecutionError, IdedExpr, Value};
use std::sync::{Arc, LazyLock};

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
    Own(for<'r> fn(&mut Run<'r>, &[Val<'r>]) -> Answer<'r>),
    Search(Search),
    Library,
}

use Kind::{
    Any, Bool, Bytes, Cidr, Double, Format, Int, Ip, List, Map, Number, Optional, Quantity, Semver, Span,
    Time, Uint, Url,
};
const TEXT: Kind = Kind::Text;

const fn function(
    name: &'static str,
    takes: &'static [Kind],
    gives: Gives,
    run: for<'r> fn(&mut Run<'r>, &[Val<'r>]) -> Answer<'r>,
) -> Signature {
    Signature { name, method: false, takes, more: false, gives, how: How::Own(run) }
}

const fn method(
    name: &'static str,
    takes: &'static [Kind],
    gives: Gives,
    run: for<'r> fn(&mut Run<'r>, &[Val<'r>]) -> Answer<'r>,
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
    method("lowerAscii", &[TEXT], A_TEXT, |run, args| changed(run, args, |text| text.to_ascii_lowercase())),
    method("replace", &[TEXT, TEXT, TEXT], A_TEXT, replace),
    method("replace", &[TEXT, TEXT, TEXT, Int], A_TEXT, replace),
    method("reverse", &[TEXT], A_TEXT, |run, args| changed(run, args, |text| text.chars().rev().collect())),
    method("reverse", &[List], Gives::Same, reverse),
    method("split", &[TEXT, TEXT], Gives::ListOf(TEXT), split),
    method("split", &[TEXT, TEXT, Int], Gives::ListOf(TEXT), split),
    method("substring", &[TEXT, Int], A_TEXT, substring),
    method("substring", &[TEXT, Int, Int], A_TEXT, substring),
    method("trim", &[TEXT], A_TEXT, |run, args| changed(run, args, |text| text.trim().to_owned())),
    method("upperAscii", &[TEXT], A_TEXT, |run, args| changed(run, args, |text| text.to_ascii_uppercase())),
    method("format", &[TEXT, List], A_TEXT, format::format),
    library("strings.quote", &[TEXT], A_TEXT),
    // lists and sets
    method("distinct", &[List], Gives::Same, distinct),
    method("first", &[List], Gives::OptionalItem, |_, args| Ok(Val::Optional(end(args, 0).map(Arc::new)))),
    method("flatten", &[List], Gives::Of(List), flatten),
    method("flatten", &[List, Int], Gives::Of(List), flatten),
    method("isSorted", &[List], TRUTH, is_sorted),
    method("last", &[List], Gives::OptionalItem, |_, args| Ok(Val::Optional(end(args, 1).map(Arc::new)))),
    method("max", &[List], Gives::Item, |run, args| extreme(run, args, Operator::Greater)),
    method("min", &[List], Gives::Item, |run, args| extreme(run, args, Operator::Less)),
    method("slice", &[List, Int, Int], Gives::Same, slice),
    method("sort", &[List], Gives::Same, sort),
    method("sum", &[List], Gives::Item, sum),
    function("lists.range", &[Int], Gives::ListOf(Int), range),
    function("sets.contains", &[List, List], TRUTH, sets_contains),
    function("sets.equivalent", &[List, List], TRUTH, sets_equivalent),
    function("sets.intersects", &[List, List], TRUTH, sets_intersects),
    // numbers
    many(function("max", &[Any], ANYTHING, |run, args| extreme(run, args, Operator::Greater))),
    many(function("min", &[Any], ANYTHING, |run, args| extreme(run, args, Operator::Less))),
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

/// Calls a function with values that it takes.
pub(crate) fn call<'r>(
    run: &mut Run<'r>,
    signature: &'static Signature,
    made: &Call,
    args: &[Val<'r>],
) -> Answer<'r> {
    match &signature.how {
        How::Own(function) => function(run, args),
        How::Search(search) => search.run(run, made.pattern.as_deref(), args),
        How::Library => in_library(run, signature.name, signature.method, args),
    }
}

static LIBRARY: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());
/// The names of what a function is called with there.
const PLACES: [&str; 4] = ["@0", "@1", "@2", "@3"];

/// Calls a function of the library.
fn in_library<'r>(run: &mut Run<'r>, name: &str, method: bool, args: &[Val<'r>]) -> Answer<'r> {
    run.charge(limits::LIBRARY + args.iter().map(Val::weight).sum::<u64>())?;
    let mut scope = LIBRARY.new_inner_scope();
    let mut places = Vec::with_capacity(args.len());
    let many = [Val::list(args.to_vec())];
    // Any number of them it also takes as a list.
    let args = if args.len() > PLACES.len() { &many } else { args };
    for (place, arg) in PLACES.iter().zip(args) {
        scope.add_variable_from_value(*place, to_library(arg)?);
        places.push(IdedExpr { id: 0, expr: Expr::Ident((*place).to_owned()) });
    }
    let mut places = places.into_iter();
    let (target, func_name) = match name.split_once('.') {
        Some((prefix, rest)) => (Some(IdedExpr { id: 0, expr: Expr::Ident(prefix.to_owned()) }), rest),
        None if method => (places.next(), name),
        None => (None, name),
    };
    let made =
        CallExpr { func_name: func_name.to_owned(), target: target.map(Box::new), args: places.collect() };
    let answer = scope.resolve(&IdedExpr { id: 0, expr: Expr::Call(made) });
    let value = from_library(answer.map_err(|error| Fault::new(why(&error, name)))?)?;
    run.charge(value.weight())?;
    Ok(value)
}

/// How the library's messages call the types of its own code.
const TYPES: [&str; 8] = ["Arc<", "Bool(", "Float", "Int(", "Opaque", "String(", "UInt", "Value::"];

/// Why the library's function failed, in words that are not those of its own types.
fn why(error: &ExecutionError, name: &str) -> String {
    match error {
        ExecutionError::FunctionError { message, .. } if !TYPES.iter().any(|name| message.contains(name)) => {
            format!("{name}: {message}")
        }
        _ => format!("{name} cannot be had of this value"),
    }
}

fn to_library(value: &Val<'_>) -> Result<Value, Fault> {
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(truth) => Value::Bool(*truth),
        Val::Int(number) => Value::Int(*number),
        Val::Uint(number) => Value::UInt(*number),
        Val::Double(number) => Value::Float(*number),
        Val::Text(text) => Value::String(Arc::new(text.to_string())),
        Val::Bytes(bytes) => Value::Bytes(Arc::new(bytes.to_vec())),
        Val::Opaque(foreign) => Value::Opaque(foreign.0.clone()),
        // Of these only `format` makes a text.
        Val::Span(_) | Val::Time(_) => Value::String(Arc::new(time::shown(value))),
        Val::Type(name) => Value::String(Arc::new(name.to_string())),
        Val::List(_) | Val::Map(_) | Val::Json(_) if value.kind() == Kind::List => {
            Value::List(Arc::new(value.items().map(|item| to_library(&item)).collect::<Result<_, _>>()?))
        }
        Val::List(_) | Val::Map(_) | Val::Json(_) => {
            let entry = |(key, value): (Val<'_>, Val<'_>)| {
                let key = match Key::of(&key) {
                    Some(Key::Bool(truth)) => LibraryKey::Bool(truth),
                    Some(Key::Int(number)) => LibraryKey::Int(number),
                    Some(Key::Uint(number)) => LibraryKey::Uint(number),
                    Some(Key::Text(text)) => LibraryKey::String(Arc::new(text.to_string())),
                    None => return Err(mismatch("a map", &[&key])),
                };
                Ok((key, to_library(&value)?))
            };
            let entries = value.entries().into_iter().map(entry).collect::<Result<_, _>>()?;
            Value::Map(LibraryMap { map: Arc::new(entries) })
        }
        Val::Optional(_) => return Err(mismatch("a function", &[value])),
    })
}

fn from_library<'r>(value: Value) -> Answer<'r> {
    Ok(match value {
        Value::Null => Val::Null,
        Value::Bool(truth) => Val::Bool(truth),
        Value::Int(number) => Val::Int(number),
        Value::UInt(number) => Val::Uint(number),
        Value::Float(number) => Val::Double(number),
        Value::String(text) => Val::text(text.as_str()),
        Value::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
        Value::List(items) => Val::list(items.iter().cloned().map(from_library).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let entry = |(key, value): (&LibraryKey, &Value)| {
                let key = match key {
                    LibraryKey::Bool(truth) => Key::Bool(*truth),
                    LibraryKey::Int(number) => Key::Int(*number),
                    LibraryKey::Uint(number) => Key::Uint(*number),
                    LibraryKey::String(text) => Key::Text(text.as_str().into()),
                };
                Ok((key, from_library(value.clone())?))
            };
            Val::Map(Arc::new(map.map.iter().map(entry).collect::<Result<_, _>>()?))
        }
        Value::Opaque(opaque) => match opaque.downcast_ref::<OptionalValue>() {
            Some(optional) => {
                Val::Optional(optional.value().cloned().map(from_library).transpose()?.map(Arc::new))
            }
            None => Val::Opaque(Foreign(opaque)),
        },
        _ => return Err(Fault::new("the function came to a value of an unknown type")),
    })
}

fn same<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    args.first().cloned().ok_or_else(|| Fault::new("nothing was given"))
}

fn refused<'r>(name: &str, args: &[Val<'r>]) -> Answer<'r> {
    Err(mismatch(&format!("`{name}`"), &args.iter().collect::<Vec<_>>()))
}

fn cannot<'r>(args: &[Val<'r>], wanted: &str) -> Answer<'r> {
    let shown = match args {
        [Val::Text(text), ..] => format!("{:?}", text.chars().take(60).collect::<String>()),
        [Val::Double(number), ..] => number.to_string(),
        [Val::Int(number), ..] => number.to_string(),
        [Val::Uint(number), ..] => number.to_string(),
        [other, ..] => other.kind().name().to_owned(),
        [] => "nothing".to_owned(),
    };
    Err(Fault::new(format!("{shown} cannot become {wanted}")))
}

fn to_bool<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text)] = args else { return refused("bool", args) };
    match &**text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
        _ => cannot(args, "a bool"),
    }
}

fn to_bytes<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text)] = args else { return refused("bytes", args) };
    run.charge(limits::text(text.len()))?;
    Ok(Val::Bytes(text.as_bytes().into()))
}

fn to_double<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Double(number)] => Ok(Val::Double(*number)),
        [Val::Int(number)] => Ok(Val::Double(*number as f64)),
        [Val::Uint(number)] => Ok(Val::Double(*number as f64)),
        [Val::Text(text)] => text.parse().map(Val::Double).or_else(|_| cannot(args, "a double")),
        _ => refused("double", args),
    }
}

fn to_int<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let number = match args {
        [Val::Int(number)] => Some(*number),
        [Val::Uint(number)] => i64::try_from(*number).ok(),
        // What rounds to a number that 64 bits cannot hold is none; neither is the smallest, as in Go.
        [Val::Double(number)] => (number.abs() < 9_223_372_036_854_775_807.0).then_some(*number as i64),
        [Val::Text(text)] => text.parse().ok(),
        [Val::Time(time)] => i64::try_from(time.as_nanosecond().div_euclid(1_000_000_000)).ok(),
        [Val::Span(span)] => i64::try_from(span.as_nanos()).ok(),
        _ => return refused("int", args),
    };
    number.map_or_else(|| cannot(args, "an int"), |number| Ok(Val::Int(number)))
}

fn to_uint<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let number = match args {
        [Val::Int(number)] => u64::try_from(*number).ok(),
        [Val::Uint(number)] => Some(*number),
        [Val::Double(number)] => {
            (0.0..18_446_744_073_709_551_615.0).contains(number).then_some(*number as u64)
        }
        [Val::Text(text)] => text.parse().ok(),
        _ => return refused("uint", args),
    };
    number.map_or_else(|| cannot(args, "a uint"), |number| Ok(Val::Uint(number)))
}

fn to_type<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [value] = args else { return refused("type", args) };
    Ok(Val::Type(value.type_name().as_ref().into()))
}

fn to_text<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let text = match args {
        [text @ Val::Text(_)] => return Ok(text.clone()),
        [Val::Bool(truth)] => truth.to_string(),
        [Val::Int(number)] => number.to_string(),
        [Val::Uint(number)] => number.to_string(),
        [Val::Double(number)] => as_go_writes(*number),
        [time @ (Val::Time(_) | Val::Span(_))] => time::shown(time),
        [Val::Type(name)] => name.to_string(),
        [Val::Bytes(bytes)] => {
            run.charge(limits::text(bytes.len()))?;
            match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => return Err(Fault::new("the bytes are no UTF-8")),
            }
        }
        [Val::Opaque(_)] => return in_library(run, "string", false, args),
        _ => return refused("string", args),
    };
    Ok(Val::text(text))
}

/// A number as Go's `%g` writes it: with an exponent below 1e-4 and from a million on.
fn as_go_writes(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The size of a text in characters, as CEL has it.
fn size<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let size = match args {
        [Val::Text(text)] => {
            run.charge(limits::text(text.len()))?;
            text.chars().count()
        }
        [Val::Bytes(bytes)] => bytes.len(),
        [value] => match value.length() {
            Some(length) => length,
            None => return refused("size", args),
        },
        _ => return refused("size", args),
    };
    Ok(Val::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn contains<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Text(text), Val::Text(part)] => {
            run.charge(limits::text(text.len()))?;
            Ok(Val::Bool(text.contains(&**part)))
        }
        [container, value] => run.within(value, container).map(Val::Bool),
        _ => refused("contains", args),
    }
}

fn ends_with<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text), Val::Text(part)] = args else { return refused("endsWith", args) };
    run.charge(limits::text(part.len()))?;
    Ok(Val::Bool(text.ends_with(&**part)))
}

fn starts_with<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text), Val::Text(part)] = args else { return refused("startsWith", args) };
    run.charge(limits::text(part.len()))?;
    Ok(Val::Bool(text.starts_with(&**part)))
}

fn optional_of<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [value] = args else { return refused("optional.of", args) };
    Ok(Val::some(value.clone()))
}

fn optional_of_non_zero<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [value] = args else { return refused("optional.ofNonZeroValue", args) };
    Ok(if value.is_zero() { Val::Optional(None) } else { Val::some(value.clone()) })
}

fn has_value<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Optional(inside)] = args else { return refused("hasValue", args) };
    Ok(Val::Bool(inside.is_some()))
}

fn optional_value<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Optional(Some(inside))] => Ok((**inside).clone()),
        [Val::Optional(None)] => Err(Fault::new("`value` is called on an optional without a value")),
        _ => refused("value", args),
    }
}

/// A text of which another one is made that is about as long.
fn changed<'r>(run: &mut Run<'r>, args: &[Val<'r>], change: impl Fn(&str) -> String) -> Answer<'r> {
    let [Val::Text(text)] = args else { return refused("the function", args) };
    run.charge(limits::text(text.len()))?;
    Ok(Val::text(change(text)))
}

/// Where in the text, in bytes, the character of that index starts; its end is a place too.
fn place(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

fn out_of_range<'r>(name: &str, index: i64) -> Answer<'r> {
    Err(Fault::new(format!("{name}: the text has no place {index}")))
}

fn char_at<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text), Val::Int(index)] = args else { return refused("charAt", args) };
    run.charge(limits::text(text.len()))?;
    let rest = place(text, *index).and_then(|at| text.get(at..));
    match rest {
        Some(rest) => Ok(Val::text(rest.chars().take(1).collect::<String>())),
        None => out_of_range("charAt", *index),
    }
}

fn characters(text: &str) -> Val<'static> {
    Val::Int(i64::try_from(text.chars().count()).unwrap_or(i64::MAX))
}

fn index_of<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let (text, part, from) = match args {
        [Val::Text(text), Val::Text(part)] => (text, part, 0),
        [Val::Text(text), Val::Text(part), Val::Int(from)] => (text, part, *from),
        _ => return refused("indexOf", args),
    };
    run.charge(limits::text(text.len()))?;
    let Some(start) = place(text, from) else { return out_of_range("indexOf", from) };
    let found = text.get(start..).and_then(|rest| rest.find(&**part));
    Ok(found.and_then(|at| text.get(..start + at)).map_or(Val::Int(-1), characters))
}

fn last_index_of<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let (text, part, most) = match args {
        [Val::Text(text), Val::Text(part)] => (text, part, None),
        [Val::Text(text), Val::Text(part), Val::Int(most)] => (text, part, Some(*most)),
        _ => return refused("lastIndexOf", args),
    };
    run.charge(limits::text(text.len()))?;
    let found = match most {
        None => text.rfind(&**part),
        Some(most) => {
            let Some(start) = place(text, most) else { return out_of_range("lastIndexOf", most) };
            // It may start there and end behind; where that end is within a letter, it is not there.
            let end = start.saturating_add(part.len()).min(text.len());
            let end = (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.get(..end).and_then(|before| before.rfind(&**part))
        }
    };
    Ok(found.and_then(|at| text.get(..at)).map_or(Val::Int(-1), characters))
}

fn replace<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let (text, from, to, most) = match args {
        [Val::Text(text), Val::Text(from), Val::Text(to)] => (text, from, to, usize::MAX),
        // A negative number means all, as in Go.
        [Val::Text(text), Val::Text(from), Val::Text(to), Val::Int(most)] => {
            (text, from, to, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return refused("replace", args),
    };
    run.charge(limits::text(text.len()))?;
    let count = text.matches(&**from).take(most).count();
    run.charge(limits::text(text.len().saturating_add(count.saturating_mul(to.len()))))?;
    Ok(Val::text(text.replacen(&**from, to, most)))
}

fn split<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let (text, by, most) = match args {
        [Val::Text(text), Val::Text(by)] => (text, by, usize::MAX),
        [Val::Text(text), Val::Text(by), Val::Int(most)] => {
            (text, by, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return refused("split", args),
    };
    run.charge(limits::LETTER.saturating_mul(text.len() as u64))?;
    let parts: Vec<Val<'r>> = if most == 0 {
        Vec::new()
    } else if by.is_empty() {
        let mut parts: Vec<Val<'r>> = Vec::new();
        let mut rest = &**text;
        while let Some(letter) = rest.chars().next() {
            if parts.len() + 1 == most {
                parts.push(Val::text(rest));
                break;
            }
            let (one, behind) = rest.split_at(letter.len_utf8());
            parts.push(Val::text(one));
            rest = behind;
        }
        parts
    } else {
        text.splitn(most, &**by).map(Val::text).collect()
    };
    Ok(Val::list(parts))
}

fn substring<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let (text, start, end) = match args {
        [Val::Text(text), Val::Int(start)] => (text, *start, None),
        [Val::Text(text), Val::Int(start), Val::Int(end)] => (text, *start, Some(*end)),
        _ => return refused("substring", args),
    };
    run.charge(limits::text(text.len()))?;
    let Some(from) = place(text, start) else { return out_of_range("substring", start) };
    let to = end.map_or(Some(text.len()), |end| place(text, end));
    match to.and_then(|to| text.get(from..to)) {
        Some(part) => Ok(Val::text(part)),
        None => out_of_range("substring", end.unwrap_or(start)),
    }
}

fn join<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let (list, separator) = match args {
        [list] => (list, ""),
        [list, Val::Text(separator)] => (list, &**separator),
        _ => return refused("join", args),
    };
    let mut made = String::new();
    for (index, item) in list.items().enumerate() {
        let Val::Text(text) = &item else { return Err(mismatch("`join`", &[&item])) };
        run.charge(limits::text(text.len() + separator.len()))?;
        if index > 0 {
            made.push_str(separator);
        }
        made.push_str(text);
    }
    Ok(Val::text(made))
}

fn format_named<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    match in_library(run, "format.named", false, args) {
        Ok(optional @ Val::Optional(_)) => Ok(optional),
        Ok(Val::Null) => Ok(Val::Optional(None)),
        Ok(format) => Ok(Val::some(format)),
        Err(Fault::Steps) => Err(Fault::Steps),
        Err(Fault::Because(_)) => Ok(Val::Optional(None)),
    }
}

/// The first item of a list, or the last.
fn end<'r>(args: &[Val<'r>], back: usize) -> Option<Val<'r>> {
    let [list] = args else { return None };
    let index = if back == 0 { 0 } else { list.length()?.checked_sub(back)? };
    list.item(index)
}

fn reverse<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("reverse", args) };
    run.charge(limits::ITEM * list.length().unwrap_or(0) as u64)?;
    let mut items: Vec<_> = list.items().collect();
    items.reverse();
    Ok(Val::list(items))
}

fn place_in_list<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list, value] = args else { return refused("indexOf", args) };
    for (index, item) in list.items().enumerate() {
        if run.equal(&item, value)? {
            return Ok(Val::Int(index as i64));
        }
    }
    Ok(Val::Int(-1))
}

fn last_place_in_list<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list, value] = args else { return refused("lastIndexOf", args) };
    let mut found = -1;
    for (index, item) in list.items().enumerate() {
        if run.equal(&item, value)? {
            found = index as i64;
        }
    }
    Ok(Val::Int(found))
}

fn distinct<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("distinct", args) };
    let mut kept: Vec<Val<'r>> = Vec::new();
    for item in list.items() {
        run.charge(limits::ITEM)?;
        if !stands_in(run, &item, &kept)? {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}

fn stands_in<'r>(run: &mut Run<'r>, item: &Val<'r>, others: &[Val<'r>]) -> Result<bool, Fault> {
    for other in others {
        if run.equal(item, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn flatten<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    fn put<'r>(run: &mut Run<'r>, list: &Val<'r>, depth: i64, made: &mut Vec<Val<'r>>) -> Result<(), Fault> {
        for item in list.items() {
            run.charge(limits::ITEM)?;
            if depth > 0 && item.kind() == List {
                put(run, &item, depth - 1, made)?;
            } else {
                made.push(item);
            }
        }
        Ok(())
    }
    let (list, depth) = match args {
        [list] => (list, 1),
        [list, Val::Int(depth)] if *depth >= 0 => (list, *depth),
        [_, Val::Int(_)] => return Err(Fault::new("flatten: the depth must not be negative")),
        _ => return refused("flatten", args),
    };
    let mut made = Vec::new();
    put(run, list, depth, &mut made)?;
    Ok(Val::list(made))
}

fn is_sorted<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("isSorted", args) };
    let mut before: Option<Val<'r>> = None;
    for item in list.items() {
        if let Some(before) = before.take()
            && let Val::Bool(false) = run.two(Operator::LessOrEqual, before, item.clone())?
        {
            return Ok(Val::Bool(false));
        }
        run.charge(1)?;
        before = Some(item);
    }
    Ok(Val::Bool(true))
}

/// The item of a list, or of all that is given, to which each other one stands as the operator does not say.
fn extreme<'r>(run: &mut Run<'r>, args: &[Val<'r>], operator: Operator) -> Answer<'r> {
    let given = Val::list(args.to_vec());
    let list = match args {
        [list] if list.kind() == List => list,
        _ => &given,
    };
    let mut found: Option<Val<'r>> = None;
    for item in list.items() {
        run.charge(1)?;
        found = match found {
            Some(found) => match run.two(operator, item.clone(), found.clone())? {
                Val::Bool(true) => Some(item),
                _ => Some(found),
            },
            None => Some(item),
        };
    }
    found.ok_or_else(|| Fault::new("`min` and `max` need a list with items"))
}

fn slice<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list, Val::Int(start), Val::Int(end)] = args else { return refused("slice", args) };
    let length = list.length().unwrap_or(0);
    match (usize::try_from(*start), usize::try_from(*end)) {
        (Ok(from), Ok(to)) if from <= to && to <= length => {
            run.charge(limits::ITEM * to as u64)?;
            Ok(Val::list(list.items().skip(from).take(to - from).collect()))
        }
        _ => Err(Fault::new(format!("slice: a list of {length} has no items {start} to {end}"))),
    }
}

fn sort<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("sort", args) };
    run.charge(limits::ITEM * list.length().unwrap_or(0) as u64)?;
    let mut items: Vec<_> = list.items().map(|item| (item, Val::Null)).collect();
    run.sort(&mut items, "sort")?;
    Ok(Val::list(items.into_iter().map(|(item, _)| item).collect()))
}

fn sum<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("sum", args) };
    let mut sum: Option<Val<'r>> = None;
    for item in list.items() {
        run.charge(1)?;
        if !(Number.takes(item.kind()) || item.kind() == Span) {
            return Err(mismatch("`sum`", &[&item]));
        }
        sum = Some(match sum {
            Some(sum) => run.two(Operator::Add, sum, item)?,
            None => item,
        });
    }
    Ok(sum.unwrap_or(Val::Int(0)))
}

fn range<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Int(count)] = args else { return refused("lists.range", args) };
    let steps =
        u64::try_from(*count).map_err(|_| Fault::new("lists.range: the number must not be negative"))?;
    run.charge(limits::LETTER.saturating_mul(steps))?;
    Ok(Val::list((0..*count).map(Val::Int).collect()))
}

fn bits<'r>(args: &[Val<'r>], combine: fn(u64, u64) -> u64) -> Answer<'r> {
    match args {
        [Val::Int(one), Val::Int(other)] => {
            Ok(Val::Int(combine(one.cast_unsigned(), other.cast_unsigned()).cast_signed()))
        }
        [Val::Uint(one), Val::Uint(other)] => Ok(Val::Uint(combine(*one, *other))),
        _ => refused("the operation on bits", args),
    }
}

fn bit_not<'r>(_: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Int(number)] => Ok(Val::Int(!number)),
        [Val::Uint(number)] => Ok(Val::Uint(!number)),
        _ => refused("math.bitNot", args),
    }
}

/// Nothing is left of a number that is shifted by 64 or more; a sign is shifted like any other bit.
fn shifted<'r>(args: &[Val<'r>], shift: fn(u64, u32) -> Option<u64>) -> Answer<'r> {
    let [number, Val::Int(by)] = args else { return refused("the shift", args) };
    if *by < 0 {
        return Err(Fault::new("a number cannot be shifted by less than nothing"));
    }
    let shifted = |number: u64| u32::try_from(*by).ok().and_then(|by| shift(number, by)).unwrap_or(0);
    match number {
        Val::Int(number) => Ok(Val::Int(shifted(number.cast_unsigned()).cast_signed())),
        Val::Uint(number) => Ok(Val::Uint(shifted(*number))),
        _ => refused("the shift", args),
    }
}

/// Whether any of `items` is in `others`, or is not, as `sought` says.
fn compared<'r>(run: &mut Run<'r>, items: &Val<'r>, others: &Val<'r>, sought: bool) -> Result<bool, Fault> {
    for item in items.items() {
        run.charge(1)?;
        if run.within(&item, others)? == sought {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sets_contains<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [all, some] = args else { return refused("sets.contains", args) };
    Ok(Val::Bool(!compared(run, some, all, false)?))
}

fn sets_equivalent<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [one, other] = args else { return refused("sets.equivalent", args) };
    Ok(Val::Bool(!compared(run, one, other, false)? && !compared(run, other, one, false)?))
}

fn sets_intersects<'r>(run: &mut Run<'r>, args: &[Val<'r>]) -> Answer<'r> {
    let [one, other] = args else { return refused("sets.intersects", args) };
    Ok(Val::Bool(compared(run, one, other, true)?))
}

/// The text that a value is, for a finding.
pub(crate) fn as_text<'v>(value: &'v Val<'_>) -> Option<&'v str> {
    match value {
        Val::Text(Text::Lent(text)) => Some(text),
        Val::Text(Text::Own(text)) => Some(text),
        _ => None,
    }
}

/// Whether the library has what it is asked for; that of our own is there.
#[cfg(test)]
pub(crate) fn is_there(signature: &Signature) -> bool {
    let How::Library = signature.how else { return true };
    let (target, func_name) = match signature.name.split_once('.') {
        Some((prefix, rest)) => {
            (Some(Box::new(IdedExpr { id: 0, expr: Expr::Ident(prefix.to_owned()) })), rest)
        }
        None => (None, signature.name),
    };
    let call = Expr::Call(CallExpr { func_name: func_name.to_owned(), target, args: Vec::new() });
    !matches!(LIBRARY.resolve(&IdedExpr { id: 0, expr: call }), Err(ExecutionError::UndeclaredReference(_)))
}
