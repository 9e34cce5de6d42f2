//! Kubernetes' own functions, which the library has: values there and back.

use super::super::budget::{Answer, Budget, Fault, mismatch};
use super::super::types::Kind;
use super::super::value::{Foreign, Key, Val};
use super::super::{limits, time};
use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::objects::{Key as LibraryKey, Map as LibraryMap, OptionalValue};
use kube_cel::cel::{Context, ExecutionError, IdedExpr, Value};
use std::sync::{Arc, LazyLock};

pub(super) static LIBRARY: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());
/// The names of what a function is called with there.
pub(super) const PLACES: [&str; 4] = ["@0", "@1", "@2", "@3"];

/// Calls a function of the library.
pub(super) fn in_library<'r>(budget: &mut Budget, name: &str, method: bool, args: &[Val<'r>]) -> Answer<'r> {
    budget.charge(limits::LIBRARY + args.iter().map(Val::weight).sum::<u64>())?;
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
    budget.charge(value.weight())?;
    Ok(value)
}

/// How the library's messages call the types of its own code.
pub(super) const TYPES: [&str; 8] =
    ["Arc<", "Bool(", "Float", "Int(", "Opaque", "String(", "UInt", "Value::"];

/// Why the library's function failed, in words that are not those of its own types.
pub(super) fn why(error: &ExecutionError, name: &str) -> String {
    match error {
        ExecutionError::FunctionError { message, .. } if !TYPES.iter().any(|name| message.contains(name)) => {
            format!("{name}: {message}")
        }
        _ => format!("{name} cannot be had of this value"),
    }
}

pub(super) fn to_library(value: &Val<'_>) -> Result<Value, Fault> {
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

pub(super) fn from_library<'r>(value: Value) -> Answer<'r> {
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

/// Whether the library has what it is asked for; that of our own is there.
#[cfg(test)]
pub(crate) fn is_there(signature: &super::Signature) -> bool {
    let super::How::Library = signature.how else { return true };
    let (target, func_name) = match signature.name.split_once('.') {
        Some((prefix, rest)) => {
            (Some(Box::new(IdedExpr { id: 0, expr: Expr::Ident(prefix.to_owned()) })), rest)
        }
        None => (None, signature.name),
    };
    let call = Expr::Call(CallExpr { func_name: func_name.to_owned(), target, args: Vec::new() });
    !matches!(LIBRARY.resolve(&IdedExpr { id: 0, expr: call }), Err(ExecutionError::UndeclaredReference(_)))
}
