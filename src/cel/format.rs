//! `format`: a text with the values that are put into it.

use super::budget::{Answer, Budget, Fault, mismatch};
use super::limits;
use super::time;
use super::value::Val;

/// `template.format(values)`.
pub(crate) fn format<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(template), values] = args else {
        return Err(mismatch("`format`", &args.iter().collect::<Vec<_>>()));
    };
    budget.charge(limits::text(template.len()))?;
    let mut made = String::new();
    let mut values = values.items();
    let mut parts = template.split('%');
    made.push_str(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        if part.is_empty() {
            // `%%`: what stands behind it is no directive.
            made.push('%');
            made.push_str(parts.next().ok_or_else(|| Fault::new("format: the text ends with a lone %"))?);
            continue;
        }
        let (precision, rest) = match part.strip_prefix('.') {
            None => (None, part),
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (digits, rest) = rest.split_at(end);
                let precision = digits.parse().ok().filter(|digits: &usize| *digits <= limits::PRECISION);
                if precision.is_none() && !digits.is_empty() {
                    return Err(Fault::new(format!(
                        "format: %.{digits:.30} asks for more than {} digits",
                        limits::PRECISION
                    )));
                }
                (precision, rest)
            }
        };
        let mut letters = rest.chars();
        let Some(directive) = letters.next() else {
            return Err(Fault::new("format: the text ends with a lone %"));
        };
        let Some(value) = values.next() else {
            return Err(Fault::new("format: there are more directives than values"));
        };
        let before = made.len();
        put(budget, &mut made, directive, precision.unwrap_or(6), &value)?;
        budget.charge(limits::text(made.len() - before))?;
        made.push_str(letters.as_str());
    }
    Ok(Val::text(made))
}

fn put<'r>(
    budget: &mut Budget,
    made: &mut String,
    directive: char,
    precision: usize,
    value: &Val<'r>,
) -> Result<(), Fault> {
    let number = match value {
        Val::Int(number) => Some(i128::from(*number)),
        Val::Uint(number) => Some(i128::from(*number)),
        Val::Bool(truth) if directive == 'b' => Some(i128::from(*truth)),
        _ => None,
    };
    // A minus stands before the digits, as in Go.
    let sign = if number.is_some_and(|number| number < 0) { "-" } else { "" };
    let text = match (directive, number, value) {
        ('s', ..) => return shown(budget, made, value),
        ('d' | 'e' | 'f', _, Val::Double(number)) if !number.is_finite() => double(*number),
        ('d', Some(number), _) => number.to_string(),
        ('f', _, Val::Double(number)) => format!("{number:.precision$}"),
        ('f', Some(number), _) => format!("{:.precision$}", number as f64),
        ('e', _, Val::Double(number)) => scientific(*number, precision),
        ('e', Some(number), _) => scientific(number as f64, precision),
        ('b', Some(number), _) => format!("{sign}{:b}", number.unsigned_abs()),
        ('o', Some(number), _) => format!("{sign}{:o}", number.unsigned_abs()),
        ('x', Some(number), _) => format!("{sign}{:x}", number.unsigned_abs()),
        ('X', Some(number), _) => format!("{sign}{:X}", number.unsigned_abs()),
        ('x' | 'X', _, Val::Text(text)) => hex(budget, directive, text.as_bytes())?,
        ('x' | 'X', _, Val::Bytes(bytes)) => hex(budget, directive, bytes)?,
        ('d' | 'e' | 'f' | 'b' | 'o' | 'x' | 'X', ..) => {
            return Err(mismatch(&format!("`%{directive}` of `format`"), &[value]));
        }
        _ => return Err(Fault::new(format!("format: there is no %{directive}"))),
    };
    made.push_str(&text);
    Ok(())
}

fn hex(budget: &mut Budget, directive: char, bytes: &[u8]) -> Result<String, Fault> {
    budget.charge(limits::text(bytes.len().saturating_mul(2)))?;
    let digits =
        bytes.iter().map(|byte| if directive == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") });
    Ok(digits.collect())
}

/// With an exponent of at least two digits, as in Go.
fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) =
                exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

fn double(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        number.to_string()
    }
}

/// A value as `%s` has it.
fn shown<'r>(budget: &mut Budget, made: &mut String, value: &Val<'r>) -> Result<(), Fault> {
    budget.charge(1)?;
    match value {
        Val::Null => made.push_str("null"),
        Val::Bool(truth) => made.push_str(if *truth { "true" } else { "false" }),
        Val::Int(number) => made.push_str(&number.to_string()),
        Val::Uint(number) => made.push_str(&number.to_string()),
        Val::Double(number) => made.push_str(&double(*number)),
        Val::Text(text) => {
            budget.charge(limits::text(text.len()))?;
            made.push_str(text);
        }
        Val::Bytes(bytes) => {
            budget.charge(limits::text(bytes.len()))?;
            made.push_str(&String::from_utf8_lossy(bytes));
        }
        Val::Span(_) | Val::Time(_) => made.push_str(&time::shown(value)),
        Val::Type(name) => made.push_str(name),
        Val::Json(node) if node.is_list() => list(budget, made, value)?,
        Val::List(_) => list(budget, made, value)?,
        Val::Map(_) | Val::Json(_) => {
            budget.charge(limits::ITEM * value.length().unwrap_or(0) as u64)?;
            let mut entries = Vec::new();
            for (key, value) in value.entries() {
                let mut name = String::new();
                shown(budget, &mut name, &key)?;
                entries.push((name, value));
            }
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            made.push('{');
            for (index, (name, value)) in entries.iter().enumerate() {
                made.push_str(if index > 0 { ", " } else { "" });
                made.push_str(name);
                made.push_str(": ");
                shown(budget, made, value)?;
            }
            made.push('}');
        }
        Val::Optional(_) | Val::Opaque(_) => return Err(mismatch("`%s` of `format`", &[value])),
    }
    Ok(())
}

fn list<'r>(budget: &mut Budget, made: &mut String, value: &Val<'r>) -> Result<(), Fault> {
    made.push('[');
    for (index, item) in value.items().enumerate() {
        made.push_str(if index > 0 { ", " } else { "" });
        shown(budget, made, &item)?;
    }
    made.push(']');
    Ok(())
}
