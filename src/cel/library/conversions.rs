//! Conversions from type to type, and optionals.

use super::super::budget::{Answer, Budget, Fault};
use super::super::value::Val;
use super::super::{limits, time};
use super::{in_library, refused};

pub(super) fn same<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    args.first().cloned().ok_or_else(|| Fault::new("nothing was given"))
}

pub(super) fn cannot<'r>(args: &[Val<'r>], wanted: &str) -> Answer<'r> {
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

pub(super) fn to_bool<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text)] = args else { return refused("bool", args) };
    match &**text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
        _ => cannot(args, "a bool"),
    }
}

pub(super) fn to_bytes<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text)] = args else { return refused("bytes", args) };
    budget.charge(limits::text(text.len()))?;
    Ok(Val::Bytes(text.as_bytes().into()))
}

pub(super) fn to_double<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Double(number)] => Ok(Val::Double(*number)),
        [Val::Int(number)] => Ok(Val::Double(*number as f64)),
        [Val::Uint(number)] => Ok(Val::Double(*number as f64)),
        [Val::Text(text)] => text.parse().map(Val::Double).or_else(|_| cannot(args, "a double")),
        _ => refused("double", args),
    }
}

pub(super) fn to_int<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
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

pub(super) fn to_uint<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
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

pub(super) fn to_type<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [value] = args else { return refused("type", args) };
    Ok(Val::Type(value.type_name().as_ref().into()))
}

pub(super) fn to_text<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let text = match args {
        [text @ Val::Text(_)] => return Ok(text.clone()),
        [Val::Bool(truth)] => truth.to_string(),
        [Val::Int(number)] => number.to_string(),
        [Val::Uint(number)] => number.to_string(),
        [Val::Double(number)] => as_go_writes(*number),
        [time @ (Val::Time(_) | Val::Span(_))] => time::shown(time),
        [Val::Type(name)] => name.to_string(),
        [Val::Bytes(bytes)] => {
            budget.charge(limits::text(bytes.len()))?;
            match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => return Err(Fault::new("the bytes are no UTF-8")),
            }
        }
        [Val::Opaque(_)] => return in_library(budget, "string", false, args),
        _ => return refused("string", args),
    };
    Ok(Val::text(text))
}

/// A number as Go's `%g` writes it: with an exponent below 1e-4 and from a million on.
pub(super) fn as_go_writes(number: f64) -> String {
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

pub(super) fn optional_of<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [value] = args else { return refused("optional.of", args) };
    Ok(Val::some(value.clone()))
}

pub(super) fn optional_of_non_zero<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [value] = args else { return refused("optional.ofNonZeroValue", args) };
    Ok(if value.is_zero() { Val::Optional(None) } else { Val::some(value.clone()) })
}

pub(super) fn has_value<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Optional(inside)] = args else { return refused("hasValue", args) };
    Ok(Val::Bool(inside.is_some()))
}

pub(super) fn optional_value<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Optional(Some(inside))] => Ok((**inside).clone()),
        [Val::Optional(None)] => Err(Fault::new("`value` is called on an optional without a value")),
        _ => refused("value", args),
    }
}
