//! The functions of expressions: Kubernetes', and in place of those whose cost grows with their input our own, which
//! keep count.

use super::limits;
use super::pattern::{self, Pattern};
use kube_cel::KubeCelExt;
use kube_cel::cel::common::types::{CelList, CelMap, CelOptional, CelString};
use kube_cel::cel::common::value::Val;
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, FunctionContext, IdedExpr, ResolveResult, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The functions that this module puts in the place of what the parser made; no user can write these names.
pub(super) mod internal {
    pub(crate) const ADD: &str = "@add";
    pub(crate) const ALL: &str = "@all";
    pub(crate) const CHARGED: &str = "@charged";
    pub(crate) const EQUAL: &str = "@equal";
    pub(crate) const EXISTS: &str = "@exists";
    pub(crate) const EXISTS_ONE: &str = "@existsOne";
    pub(crate) const HAS: &str = "@has";
    pub(crate) const WITHIN: &str = "@within";
    pub(crate) const MAP: &str = "@map";
    pub(crate) const PARTS: &str = "@parts";
    pub(crate) const SIZE: &str = "@size";
    pub(crate) const TEMPLATE: &str = "@template";
    pub(crate) const VARIABLE: &str = "@variable";
}

/// The variable that holds the [`Run`].
pub(super) const RUN: &str = "@run";

/// All functions that an expression can call, by name. The library cannot list them; a test holds them against it.
pub(super) const FUNCTIONS: &[&str] = &[
    // CEL's own
    "bytes", "contains", "double", "duration", "endsWith", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
    "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "hasValue", "int", "matches",
    "max", "min", "optional.none", "optional.of", "optional.ofNonZeroValue", "or", "orValue", "size", "startsWith",
    "string", "timestamp", "uint", "value",
    // text
    "charAt", "find", "findAll", "format", "indexOf", "join", "lastIndexOf", "lowerAscii", "replace", "reverse", "split",
    "strings.quote", "substring", "trim", "upperAscii",
    // lists and sets
    "distinct", "first", "flatten", "isSorted", "last", "lists.range", "sets.contains", "sets.equivalent",
    "sets.intersects", "slice", "sort", "sum",
    // numbers and quantities
    "add", "asApproximateFloat", "asInteger", "compareTo", "isGreaterThan", "isInteger", "isLessThan", "isQuantity",
    "math.abs", "math.bitAnd", "math.bitNot", "math.bitOr", "math.bitShiftLeft", "math.bitShiftRight", "math.bitXor",
    "math.ceil", "math.floor", "math.greatest", "math.isFinite", "math.isInf", "math.isNaN", "math.least", "math.round",
    "math.sign", "math.sqrt", "math.trunc", "quantity", "sign", "sub",
    // versions, addresses, formats
    "base64.decode", "base64.encode", "cidr", "containsCIDR", "containsIP", "family", "format.byte", "format.date",
    "format.datetime", "format.dns1035Label", "format.dns1035LabelPrefix", "format.dns1123Label",
    "format.dns1123LabelPrefix", "format.dns1123Subdomain", "format.dns1123SubdomainPrefix", "format.labelValue",
    "format.named", "format.qualifiedName", "format.uri", "format.uuid", "getEscapedPath", "getHost", "getHostname",
    "getPort", "getQuery", "getScheme", "ip", "ip.isCanonical", "isCIDR", "isGlobalUnicast", "isIP",
    "isLinkLocalMulticast", "isLinkLocalUnicast", "isLoopback", "isSemver", "isURL", "isUnspecified", "jsonpatch.escapeKey",
    "major", "masked", "minor", "patch", "prefixLength", "semver", "url", "validate",
];

/// One evaluation of a rule's expressions on one object: its variables and what they have cost so far.
#[derive(Debug)]
pub(super) struct Run {
    variables: Arc<Vec<(String, IdedExpr)>>,
    values: Mutex<HashMap<String, ResolveResult>>,
    patterns: Mutex<HashMap<String, Result<Arc<Pattern>, String>>>,
    left: AtomicU64,
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Run {}

impl Opaque for Run {
    fn runtime_type_name(&self) -> &str {
        "volgate.dev/run"
    }
}

impl Run {
    pub(super) fn new(variables: Arc<Vec<(String, IdedExpr)>>) -> Self {
        Self { variables, values: Mutex::default(), patterns: Mutex::default(), left: AtomicU64::new(limits::STEPS) }
    }

    /// Takes that many steps.
    ///
    /// # Errors
    /// When there are not that many left; from then on none are.
    pub(super) fn charge(&self, steps: u64) -> Result<(), ExecutionError> {
        let left = self.left.load(Ordering::Relaxed);
        match left.checked_sub(steps) {
            Some(rest) => {
                self.left.store(rest, Ordering::Relaxed);
                Ok(())
            }
            None => {
                self.left.store(0, Ordering::Relaxed);
                Err(ExecutionError::function_error("loop", "too many steps"))
            }
        }
    }

    /// A regular expression, compiled when it is first needed; inside, why it is none.
    ///
    /// # Errors
    /// When there are not enough steps left to compile it.
    pub(super) fn pattern(&self, text: &str) -> Result<Result<Arc<Pattern>, String>, ExecutionError> {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(text) {
            return Ok(known.clone());
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
        patterns.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }

    /// Whether the steps are used up.
    pub(super) fn exhausted(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// Kubernetes' functions and our own.
pub(super) static LIBRARY: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    context.add_function(internal::ADD, add);
    context.add_function(internal::ALL, all);
    context.add_function(internal::CHARGED, charged);
    context.add_function(internal::EQUAL, equal);
    context.add_function(internal::EXISTS, exists);
    context.add_function(internal::EXISTS_ONE, exists_one);
    context.add_function(internal::HAS, has);
    context.add_function(internal::WITHIN, within);
    context.add_function(internal::MAP, map);
    context.add_function(internal::PARTS, parts);
    context.add_function(internal::SIZE, size);
    context.add_function(internal::TEMPLATE, template);
    context.add_function(internal::VARIABLE, variable);
    context.add_function("distinct", distinct);
    context.add_function("find", pattern::find);
    context.add_function("findAll", pattern::find_all);
    context.add_function("join", join);
    context.add_function("lists.range", range);
    context.add_function("matches", pattern::matches);
    context.add_function("replace", replace);
    context.add_function("sets.contains", sets_contains);
    context.add_function("sets.equivalent", sets_equivalent);
    context.add_function("sets.intersects", sets_intersects);
    context
});

pub(super) fn run(context: &Context<'_>) -> Result<Arc<dyn Opaque>, ExecutionError> {
    let value = context.get_variable(RUN).map(|run| Value::try_from(run.as_ref())).transpose()?;
    match value {
        Some(Value::Opaque(run)) => Ok(run),
        _ => Err(ExecutionError::undeclared_reference(RUN)),
    }
}

fn charge(ftx: &FunctionContext<'_, '_>, steps: u64) -> Result<(), ExecutionError> {
    let run = run(ftx.ptx)?;
    run.downcast_ref::<Run>().map_or(Ok(()), |run| run.charge(steps))
}

fn argument<'c>(ftx: &FunctionContext<'c, 'c>, index: usize) -> Result<Cow<'c, dyn Val>, ExecutionError> {
    let argument = ftx.args.get(index);
    let argument =
        argument.ok_or_else(|| ExecutionError::invalid_argument_count(index + 1, ftx.args.len()))?;
    Value::resolve_val(argument, ftx.ptx)
}

fn text_argument(ftx: &FunctionContext<'_, '_>, index: usize) -> Result<String, ExecutionError> {
    match Value::try_from(argument(ftx, index)?.as_ref())? {
        Value::String(text) => Ok(text.as_str().to_owned()),
        other => Err(wanted("a text", &other)),
    }
}

fn wanted(wanted: &str, got: &Value) -> ExecutionError {
    ExecutionError::UnexpectedType { got: got.type_of().to_string(), want: wanted.to_owned() }
}

fn list(value: &Value) -> Result<&[Value], ExecutionError> {
    match value {
        Value::List(items) => Ok(items),
        other => Err(wanted("a list", other)),
    }
}

/// Goes through a loop: `body` is given the scope of each item and tells whether to go on. The arguments of a loop
/// are the list, the item's name, the steps of one round, and the parts of the body.
fn each(
    ftx: &FunctionContext<'_, '_>,
    mut body: impl FnMut(&Context<'_>) -> Result<bool, ExecutionError>,
) -> Result<(), ExecutionError> {
    let range = argument(ftx, 0)?;
    let name = text_argument(ftx, 1)?;
    let Value::Int(steps) = Value::try_from(argument(ftx, 2)?.as_ref())? else {
        return Err(ExecutionError::NoSuchOverload);
    };
    let run = run(ftx.ptx)?;
    let mut round = |item: &dyn Val| -> Result<bool, ExecutionError> {
        if let Some(run) = run.downcast_ref::<Run>() {
            run.charge(limits::ROUND + limits::weight(item) + limits::NODE * steps.unsigned_abs())?;
        }
        let mut scope = ftx.ptx.new_inner_scope();
        scope.add_variable_from_value(name.as_str(), Value::try_from(item)?);
        body(&scope)
    };
    if let Some(list) = range.downcast_ref::<CelList>() {
        for item in list.inner() {
            if !round(item.as_ref())? {
                break;
            }
        }
    } else if let Some(map) = range.downcast_ref::<CelMap>() {
        // The map is hashed; in the order of its keys the outcome is the same every time.
        let mut keys: Vec<_> = map.inner().keys().collect();
        keys.sort();
        for key in keys {
            if !round(key.inner())? {
                break;
            }
        }
    } else {
        return Err(wanted("a list or a map to go through", &Value::try_from(range.as_ref())?));
    }
    Ok(())
}

fn part<'c>(ftx: &FunctionContext<'_, 'c>, index: usize) -> Result<&'c IdedExpr, ExecutionError> {
    ftx.args.get(index).ok_or_else(|| ExecutionError::invalid_argument_count(index + 1, ftx.args.len()))
}

fn truth(value: Value) -> Result<bool, ExecutionError> {
    match value {
        Value::Bool(truth) => Ok(truth),
        other => Err(wanted("true or false", &other)),
    }
}

/// Looks for an item whose condition is `sought`. As CEL has it, a fault in one item counts only when none is found.
fn search(ftx: &FunctionContext<'_, '_>, sought: bool) -> Result<bool, ExecutionError> {
    let condition = part(ftx, 3)?;
    let mut found = false;
    let mut fault = None;
    each(ftx, |scope| {
        match scope.resolve(condition).and_then(truth) {
            Ok(truth) => found = truth == sought,
            Err(error) => {
                fault.get_or_insert(error);
            }
        }
        Ok(!found)
    })?;
    match fault {
        Some(fault) if !found => Err(fault),
        _ => Ok(found),
    }
}

fn all(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    Ok(Value::Bool(!search(ftx, false)?))
}

fn exists(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    Ok(Value::Bool(search(ftx, true)?))
}

fn exists_one(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let condition = part(ftx, 3)?;
    let mut found = 0;
    each(ftx, |scope| {
        if truth(scope.resolve(condition)?)? {
            found += 1;
        }
        Ok(true)
    })?;
    Ok(Value::Bool(found == 1))
}

/// `map` and `filter`; the second part, if there is one, is the condition.
fn map(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let value = part(ftx, 3)?;
    let condition = ftx.args.get(4);
    let mut values = Vec::new();
    each(ftx, |scope| {
        let kept = condition.map(|condition| truth(scope.resolve(condition)?)).transpose()?;
        if kept.unwrap_or(true) {
            let value = Value::resolve_val(value, scope)?;
            charge(ftx, limits::weight(value.as_ref()))?;
            values.push(Value::try_from(value.as_ref())?);
        }
        Ok(true)
    })?;
    Ok(Value::List(Arc::new(values)))
}

fn charged(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let value = argument(ftx, 0)?;
    charge(ftx, limits::weight(value.as_ref()))?;
    Value::try_from(value.as_ref())
}

fn equal(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let (left, right) = (argument(ftx, 0)?, argument(ftx, 1)?);
    let large = |value: &dyn Val| value.as_iterable().is_some() || value.downcast_ref::<CelString>().is_some();
    if large(left.as_ref()) && large(right.as_ref()) {
        charge(ftx, limits::weight(left.as_ref()))?;
    }
    Ok(Value::Bool(left.as_ref() == right.as_ref()))
}

fn add(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let (left, right) = (argument(ftx, 0)?, argument(ftx, 1)?);
    charge(ftx, limits::weight(left.as_ref()) + limits::weight(right.as_ref()))?;
    Value::try_from(left.as_ref())? + Value::try_from(right.as_ref())?
}

fn within(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let (item, container) = (argument(ftx, 0)?, argument(ftx, 1)?);
    if let Some(list) = container.downcast_ref::<CelList>() {
        charge(ftx, comparisons(list.inner().len(), limits::weight(item.as_ref())))?;
    }
    match container.as_container() {
        Some(inside) => Ok(Value::Bool(inside.contains(item.as_ref())?)),
        None => Err(wanted("a list or a map after `in`", &Value::try_from(container.as_ref())?)),
    }
}

fn has(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let (value, field) = (argument(ftx, 0)?, text_argument(ftx, 1)?);
    let inside = match value.downcast_ref::<CelOptional>() {
        Some(optional) => match optional.inner() {
            Some(inside) => inside,
            None => return Ok(Value::Bool(false)),
        },
        None => value.as_ref(),
    };
    match inside.downcast_ref::<CelMap>() {
        Some(map) => match kube_cel::cel::common::traits::Container::contains(map, &CelString::from(field.as_str())) {
            Ok(found) => Ok(Value::Bool(found)),
            Err(error) => Err(error),
        },
        None => Err(wanted("a map in has(…)", &Value::try_from(inside)?)),
    }
}

/// The size of a text in characters, as CEL has it; the library counts bytes.
fn size(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let value = argument(ftx, 0)?;
    let size = if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().len()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        map.inner().len()
    } else {
        match Value::try_from(value.as_ref())? {
            Value::String(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            other => return Err(wanted("a list, a map or a text in size()", &other)),
        }
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// The value of one of the rule's variables, evaluated when it is first needed.
fn variable(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let name = text_argument(ftx, 0)?;
    let opaque = run(ftx.ptx)?;
    let Some(run) = opaque.downcast_ref::<Run>() else {
        return Err(ExecutionError::undeclared_reference(&name));
    };
    let known = run.values.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
    let value = match known {
        Some(value) => value,
        None => {
            let expression = run.variables.iter().find(|(known, _)| *known == name);
            let (_, expression) = expression.ok_or_else(|| ExecutionError::undeclared_reference(&name))?;
            let value = ftx.ptx.resolve(expression);
            run.values.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value.clone());
            value
        }
    }?;
    run.charge(limits::copied(&value))?;
    Ok(value)
}

/// The steps that it takes to hold a value of that weight against so many others.
fn comparisons(others: usize, weight: u64) -> u64 {
    weight.saturating_mul(others as u64)
}

/// The text of a `split`, which makes a value of each part.
fn parts(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let text = text_argument(ftx, 0)?;
    charge(ftx, limits::LETTER.saturating_mul(text.len() as u64))?;
    Ok(Value::String(Arc::new(text)))
}

/// The template of a `format`: a few bytes of it must not ask for a text of any length.
fn template(ftx: &FunctionContext<'_, '_>) -> ResolveResult {
    let text = text_argument(ftx, 0)?;
    charge(ftx, limits::text(text.len()))?;
    for digits in text.split("%.").skip(1) {
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if !digits.is_empty() && !digits.parse().is_ok_and(|digits: usize| digits <= limits::PRECISION) {
            return Err(ftx.error(format!("%.{digits} asks for more than {} digits", limits::PRECISION)));
        }
    }
    Ok(Value::String(Arc::new(text)))
}

fn distinct(ftx: &FunctionContext<'_, '_>, This(this): This<Value>) -> ResolveResult {
    let mut kept: Vec<Value> = Vec::new();
    for item in list(&this)? {
        charge(ftx, 1 + comparisons(kept.len(), limits::copied(item)))?;
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    Ok(Value::List(Arc::new(kept)))
}

fn range(ftx: &FunctionContext<'_, '_>, count: i64) -> ResolveResult {
    let steps = u64::try_from(count).map_err(|_| ftx.error("the number must not be negative"))?;
    charge(ftx, limits::LETTER.saturating_mul(steps))?;
    Ok(Value::List(Arc::new((0..count).map(Value::Int).collect())))
}

fn replace(
    ftx: &FunctionContext<'_, '_>,
    This(this): This<Value>,
    Arguments(arguments): Arguments,
) -> ResolveResult {
    let (Value::String(text), [Value::String(from), Value::String(to), rest @ ..]) =
        (&this, arguments.as_slice())
    else {
        return Err(ftx.error("takes a text, what to replace and what to put there"));
    };
    let most = match rest {
        [] => usize::MAX,
        // A negative number means all, as in Go.
        [Value::Int(most)] => usize::try_from(*most).unwrap_or(usize::MAX),
        _ => return Err(ftx.error("the number of replacements must be a whole number")),
    };
    let count = text.matches(from.as_str()).take(most).count();
    charge(ftx, limits::text(text.len().saturating_add(count.saturating_mul(to.len()))))?;
    Ok(Value::String(Arc::new(text.replacen(from.as_str(), to, most))))
}

fn join(
    ftx: &FunctionContext<'_, '_>,
    This(this): This<Value>,
    Arguments(arguments): Arguments,
) -> ResolveResult {
    let separator = match arguments.as_slice() {
        [] => "",
        [Value::String(separator)] => separator.as_str(),
        _ => return Err(ftx.error("the separator must be a text")),
    };
    let items = list(&this)?;
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let Value::String(text) = item else { return Err(wanted("a list of texts to join", item)) };
        texts.push(text.as_str());
    }
    let length = texts.iter().map(|text| text.len()).sum::<usize>();
    charge(ftx, limits::text(length.saturating_add(separator.len().saturating_mul(texts.len()))))?;
    Ok(Value::String(Arc::new(texts.join(separator))))
}

/// How many of `items` stand in `others`, up to the first that is `sought`.
fn compared(
    ftx: &FunctionContext<'_, '_>,
    items: &[Value],
    others: &[Value],
    sought: bool,
) -> Result<bool, ExecutionError> {
    for item in items {
        charge(ftx, 1 + comparisons(others.len(), limits::copied(item)))?;
        if others.contains(item) == sought {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sets_contains(ftx: &FunctionContext<'_, '_>, all: Value, some: Value) -> ResolveResult {
    Ok(Value::Bool(!compared(ftx, list(&some)?, list(&all)?, false)?))
}

fn sets_equivalent(ftx: &FunctionContext<'_, '_>, one: Value, other: Value) -> ResolveResult {
    let (one, other) = (list(&one)?, list(&other)?);
    Ok(Value::Bool(!compared(ftx, one, other, false)? && !compared(ftx, other, one, false)?))
}

fn sets_intersects(ftx: &FunctionContext<'_, '_>, one: Value, other: Value) -> ResolveResult {
    Ok(Value::Bool(compared(ftx, list(&one)?, list(&other)?, true)?))
}
