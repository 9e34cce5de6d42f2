//! What an unquoted word means: the rules of go-yaml v2, which sigs.k8s.io/yaml and so kubectl use.
//!
//! They are those of YAML 1.1 with Go's number syntax on top: `0644` and `0o644` are 420, `y` and
//! `on` are true, `1_000` is 1000. Sexagesimal numbers (`1:30`) and dates stay strings.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// What a scalar was read as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Over `i64::MAX`.
    Big(u64),
    Float(f64),
    /// The text as it stands.
    Text,
}

/// Reads an unquoted scalar.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(&first) = text.as_bytes().first() else { return Scalar::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' => number(text),
        b'.' => dotted(text),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        _ => Scalar::Text,
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text,
    }
}

fn dotted(text: &str) -> Scalar {
    match text {
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
        _ if !underscores_between_digits(text) => Scalar::Text,
        _ => float(&without_underscores(text)),
    }
}

fn number(text: &str) -> Scalar {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = without_underscores(text);
    if let Some(found) = integer(&plain) {
        return found;
    }
    match float(&plain) {
        Scalar::Text => binary(&plain),
        found => found,
    }
}

fn without_underscores(text: &str) -> Cow<'_, str> {
    if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) }
}

/// Go reads `.5_0` as a number and `.5_` as none.
fn underscores_between_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'_')
        .all(|(at, _)| digit(at.checked_sub(1)) && digit(at.checked_add(1)))
}

/// Go's `ParseInt` and `ParseUint` with base 0, underscores taken out before.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, signed, rest) = match text.as_bytes().first()? {
        b'-' => (true, true, text.get(1..)?),
        b'+' => (false, true, text.get(1..)?),
        _ => (false, false, text),
    };
    let (base, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, rest.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, rest.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, rest.get(2..)?),
        [b'0', _, ..] => (8, rest.get(1..)?),
        _ => (10, rest),
    };
    // Rust's parser would take one more sign.
    if !digits.as_bytes().first()?.is_ascii_alphanumeric() {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    match (negative, i64::try_from(size)) {
        (false, Ok(int)) => Some(Scalar::Int(int)),
        (true, Ok(int)) => Some(Scalar::Int(-int)),
        (true, Err(_)) if size == i64::MIN.unsigned_abs() => Some(Scalar::Int(i64::MIN)),
        (false, Err(_)) if !signed => Some(Scalar::Big(size)),
        _ => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and not too large.
fn float(text: &str) -> Scalar {
    // The names of infinity that Rust's parser also knows have letters that no number has.
    let shaped = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    match text.parse::<f64>() {
        Ok(float) if shaped && float.is_finite() => Scalar::Float(float),
        _ => Scalar::Text,
    }
}

/// go-yaml's own second attempt at binary numbers: `0b-1` is -1.
fn binary(text: &str) -> Scalar {
    let found = text.strip_prefix("0b").filter(|digits| digits.starts_with(['+', '-']));
    found.and_then(|digits| i64::from_str_radix(digits, 2).ok()).map_or(Scalar::Text, Scalar::Int)
}

/// A float as the API server sees it: Go writes `1.0` as `1`, and that is an integer to the reader.
///
/// `None` for infinity and for not a number, which JSON does not have.
pub(super) fn float_value(float: f64) -> Option<Value> {
    if float.fract() == 0.0 && float.abs() < 1e21 {
        // The shortest digits, filled up with zeros, as in Go; not the float's exact value.
        let digits = float.to_string();
        if let Ok(int) = digits.parse::<i64>() {
            return Some(int.into());
        }
        if let Ok(big) = digits.parse::<u64>() {
            return Some(big.into());
        }
    }
    Number::from_f64(float).map(Value::Number)
}

/// A float that is a key, as sigs.k8s.io/yaml writes it: `FormatFloat(key, 'g', -1, 32)`.
#[allow(clippy::cast_possible_truncation)] // the library keeps only 32 bits of a key, too
pub(super) fn float_key(float: f64) -> String {
    let float = float as f32;
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    // The shortest digits and their power of ten: "1.5e-7".
    let scientific = format!("{float:e}");
    let Some((digits, power)) = scientific.split_once('e') else { return scientific };
    let power: i32 = power.parse().unwrap_or(0);
    if (-4..6).contains(&power) {
        return float.to_string();
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.unsigned_abs())
}

/// Base64 with padding, as Go's `StdEncoding` reads it: line breaks are skipped.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let signs: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    let padding = signs.iter().rev().take_while(|b| **b == b'=').count();
    if !signs.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(signs.len() / 4 * 3);
    for four in signs.get(..signs.len() - padding)?.chunks(4) {
        let mut bits = 0_u32;
        for sign in four {
            let six = match sign {
                b'A'..=b'Z' => sign - b'A',
                b'a'..=b'z' => sign - b'a' + 26,
                b'0'..=b'9' => sign - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        bits <<= 6 * (4 - four.len());
        let [_, three @ ..] = bits.to_be_bytes();
        bytes.extend(three.iter().take(four.len() - 1));
    }
    Some(bytes)
}

/// Bytes as Go's JSON encoder writes them: each byte that is not UTF-8 becomes U+FFFD.
pub(super) fn lossy(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                return text;
            }
            Err(error) => {
                let (good, bad) = bytes.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(good).unwrap_or_default());
                text.push('\u{FFFD}');
                bytes = bad.get(1..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_yaml_1_1() {
        for text in ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"] {
            assert_eq!(resolve(text), Scalar::Bool(true), "{text}");
        }
        for text in ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"] {
            assert_eq!(resolve(text), Scalar::Bool(false), "{text}");
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(text), Scalar::Null, "{text}");
        }
        for text in ["yES", "tRUE", "nULL", "oN", "nil", "none", "<<", "="] {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_go() {
        let int = Scalar::Int;
        let float = Scalar::Float;
        let text = Scalar::Text;
        for (word, read) in [
            ("0", int(0)),
            ("-0", int(0)),
            ("0644", int(420)),
            ("0o644", int(420)),
            ("0O644", int(420)),
            ("-0644", int(-420)),
            ("0x1F", int(31)),
            ("0X1f", int(31)),
            ("0b101", int(5)),
            ("-0b101", int(-5)),
            ("0b-1", int(-1)),
            ("0b+1", int(1)),
            ("-0b-1", text),
            ("0x-1", text),
            ("0x", text),
            ("1_000", int(1000)),
            ("1_", int(1)),
            ("+_1", int(1)),
            ("_1", text),
            ("+5", int(5)),
            ("--5", text),
            ("9223372036854775807", int(i64::MAX)),
            ("-9223372036854775808", int(i64::MIN)),
            ("9223372036854775808", Scalar::Big(1 << 63)),
            ("18446744073709551615", Scalar::Big(u64::MAX)),
            ("+18446744073709551615", float(18_446_744_073_709_551_615.0)),
            ("18446744073709551616", float(18_446_744_073_709_551_616.0)),
            ("08", float(8.0)),
            ("1.", float(1.0)),
            ("1.5e3", float(1500.0)),
            (".5", float(0.5)),
            ("-.5", float(-0.5)),
            (".5_0", float(0.5)),
            (".5_", text),
            ("._5", text),
            (".", text),
            ("-", text),
            ("1e400", text),
            ("1e-400", float(0.0)),
            ("1e", text),
            ("1:30", text),
            ("2001-12-14", text),
            ("10Gi", text),
            ("1.2.3", text),
            ("infinity", text),
            ("+inf", text),
            ("-nan", text),
            ("0o8", text),
            ("0b12", text),
        ] {
            assert_eq!(resolve(word), read, "{word}");
        }
        assert_eq!(resolve("-.inf"), float(f64::NEG_INFINITY));
        assert!(matches!(resolve(".NaN"), Scalar::Float(f) if f.is_nan()));
    }

    #[test]
    fn whole_floats_are_integers_to_the_api_server() {
        assert_eq!(float_value(1.0), Some(Value::from(1)));
        assert_eq!(float_value(-0.0), Some(Value::from(0)));
        assert_eq!(float_value(1.5), Some(Value::from(1.5)));
        assert_eq!(float_value(1e19), Some(Value::from(10_000_000_000_000_000_000_u64)));
        assert_eq!(float_value(1e21), Some(Value::from(1e21)));
        assert_eq!(float_value(f64::NAN), None);
    }

    #[test]
    fn float_keys_are_those_of_the_library() {
        for (float, key) in [
            (1.0, "1"),
            (1.5, "1.5"),
            (0.1, "0.1"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-2.5e10, "-2.5e+10"),
            (1e300, ".inf"),
        ] {
            assert_eq!(float_key(float), key);
        }
    }

    #[test]
    fn base64_is_read_strictly() {
        assert_eq!(base64("aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(base64("aGVs\nbG8h"), Some(b"hello!".to_vec()));
        assert_eq!(base64("aA=="), Some(b"h".to_vec()));
        assert_eq!(base64(""), Some(Vec::new()));
        assert_eq!(base64("aGVsbG8"), None);
        assert_eq!(base64("a==="), None);
        assert_eq!(base64("a b="), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        assert_eq!(lossy(b"a\xff\xfeb"), "a\u{FFFD}\u{FFFD}b");
    }
}
