use std::cmp::Ordering;
use std::fmt;

/// A Kubernetes quantity (`10Gi`, `500m`, `1e3`), exact to one thousand-millionth. All above 10^29 counts as the same.
///
/// Source: `k8s.io/apimachinery/pkg/api/resource/quantity.go`.
#[derive(Debug, Clone, Eq)]
pub struct Quantity {
    nano: i128,
    text: String,
}

const NANO: u128 = 1_000_000_000;
/// The most that a quantity with a binary suffix can be: Kubernetes takes a larger one for this. It sets no bound to one
/// with a decimal suffix or an exponent.
const MOST_BINARY: u128 = i64::MAX.unsigned_abs() as u128 * NANO;

impl Quantity {
    /// Reads a quantity as the API server does, which takes a suffix without a number for zero.
    ///
    /// # Errors
    /// A fragment that names what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{text:?} is not a quantity: {why} (write it like 10Gi, 500M or 1)");
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let (negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, rest) = digits(number);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
        let scale = scale(suffix).ok_or_else(|| bad(&format!("the suffix {suffix:?} is unknown")))?;
        // To the API server a number of no digits is zero, except where it leaves the short way for small numbers.
        let long_way = matches!(scale, Scale::Decimal(..-9) | Scale::Binary(50..));
        if long_way && whole.is_empty() && fraction.is_empty() {
            return Err(bad("it has no number"));
        }
        let nano = i128::try_from(nano(whole, fraction, scale)).unwrap_or(i128::MAX);
        Ok(Self { nano: if negative { -nano } else { nano }, text: text.to_owned() })
    }

    /// A quantity of that many bytes, shown as such.
    pub fn from_bytes(bytes: u64) -> Self {
        Self { nano: (u128::from(bytes) * NANO).cast_signed(), text: bytes.to_string() }
    }

    /// Whether it is a whole number of units.
    pub fn is_whole(&self) -> bool {
        self.nano.rem_euclid(NANO.cast_signed()) == 0
    }

    /// The value in whole units (bytes for storage), rounded up as Kubernetes does.
    pub fn value(&self) -> i128 {
        let nano = NANO.cast_signed();
        self.nano.div_euclid(nano) + i128::from(self.nano.rem_euclid(nano) != 0)
    }
}

/// The digits that a text begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

enum Scale {
    /// Times two to this power.
    Binary(u32),
    /// Times ten to this power.
    Decimal(i32),
}

fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "" => Scale::Decimal(0),
        "n" => Scale::Decimal(-9),
        "u" => Scale::Decimal(-6),
        "m" => Scale::Decimal(-3),
        "k" => Scale::Decimal(3),
        "M" => Scale::Decimal(6),
        "G" => Scale::Decimal(9),
        "T" => Scale::Decimal(12),
        "P" => Scale::Decimal(15),
        "E" => Scale::Decimal(18),
        "Ki" => Scale::Binary(10),
        "Mi" => Scale::Binary(20),
        "Gi" => Scale::Binary(30),
        "Ti" => Scale::Binary(40),
        "Pi" => Scale::Binary(50),
        "Ei" => Scale::Binary(60),
        _ => {
            let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            // Kubernetes keeps the lower 32 bits.
            #[allow(clippy::cast_possible_truncation)]
            Scale::Decimal(exponent as i32)
        }
    })
}

/// `whole.fraction` times the scale in nano units, rounded up; the largest number where it does not fit.
fn nano(whole: &str, fraction: &str, scale: Scale) -> u128 {
    let (unit, power, most) = match scale {
        Scale::Binary(power) => (NANO << power, 0, MOST_BINARY),
        Scale::Decimal(power) => (NANO, i64::from(power), u128::MAX),
    };
    let digit = |byte: u8| u128::from(byte - b'0');
    // The power moves the point among the digits: so many are before it, and zeros where there are no more.
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(power);
    let before = usize::try_from(point).unwrap_or(0);
    let count = whole.len() + fraction.len();
    let mut integer = whole
        .bytes()
        .chain(fraction.bytes())
        .take(before)
        .fold(0_u128, |value, byte| value.saturating_mul(10).saturating_add(digit(byte)));
    let zeros = u32::try_from(before.saturating_sub(count)).unwrap_or(u32::MAX);
    integer = integer.saturating_mul(10_u128.saturating_pow(zeros));
    // What is behind the point, from its end: a tenth of each digit's units and of what is behind that.
    let (mut part, mut rest) = (0, false);
    let mut tenth = |units: u128| {
        rest |= !units.is_multiple_of(10);
        units / 10
    };
    for byte in fraction.bytes().rev().chain(whole.bytes().rev()).take(count.saturating_sub(before)) {
        part = tenth(digit(byte) * unit + part);
    }
    for _ in point..0 {
        if part == 0 {
            break;
        }
        part = tenth(part);
    }
    integer.saturating_mul(unit).saturating_add(part + u128::from(rest)).min(most)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_suffix() {
        for (text, value) in [
            ("1", 1),
            ("10Gi", 10 << 30),
            ("1G", 1_000_000_000),
            ("0.5Gi", 1 << 29),
            ("1e3", 1000),
            ("1E3", 1000),
            ("1E", 1_000_000_000_000_000_000),
            ("500m", 1),
            ("1500m", 2),
            ("-1", -1),
            ("+5k", 5000),
            (".5k", 500),
            ("5.", 5),
            ("0", 0),
            ("1n", 1),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().value(), value, "{text}");
        }
        assert_eq!(Quantity::parse("1Gi").unwrap(), Quantity::parse("1024Mi").unwrap());
        assert!(Quantity::parse("1Gi").unwrap() > Quantity::parse("1G").unwrap());
    }

    /// What apimachinery v0.37.2 makes of each text, as `AsDec` has it.
    #[test]
    fn reads_what_the_api_server_takes() {
        for (text, units) in [
            ("1E0", "1"),
            ("1e+3", "1000"),
            ("1E-3", "0.001"),
            ("12e6", "12000000"),
            ("1e-10", "0.000000001"),
            ("-1e-10", "-0.000000001"),
            ("1e4294967297", "10"),
            ("0e99999", "0"),
            ("0.00000000000000000000001e22", "0.1"),
            ("+1Gi", "1073741824"),
            ("0.1Ki", "102.4"),
            ("-0.3Mi", "-314572.8"),
            ("12.Mi", "12582912"),
            ("0.0000000000000000001", "0.000000001"),
            ("1.0000000000000000001Gi", "1073741824.000000001"),
            ("0.1234567891234Ei", "142335987070080548.739804981"),
            ("000.5m", "0.0005"),
            ("0.9n", "0.000000001"),
            ("7Ei", "8070450532247928832"),
            ("8Ei", "9223372036854775807"),
            ("-9Ei", "-9223372036854775807"),
            ("9999999999999999999999999999999Ei", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775808"),
            ("100000000000000000000000", "100000000000000000000000"),
            (".", "0"),
            ("+", "0"),
            ("Gi", "0"),
            (".Gi", "0"),
            ("-0", "0"),
        ] {
            let (negative, plain) = units.strip_prefix('-').map_or((false, units), |plain| (true, plain));
            let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
            let nano: i128 = format!("{whole}{fraction:0<9}").parse().unwrap();
            assert_eq!(Quantity::parse(text).unwrap().nano, if negative { -nano } else { nano }, "{text}");
        }
    }

    #[test]
    fn a_number_beyond_all_bounds_is_larger_than_any_other() {
        let largest = Quantity::parse("1e29").unwrap();
        for text in ["1e30", "1e99", "9e2147483647", &"9".repeat(10_000)] {
            let quantity = Quantity::parse(text).unwrap();
            assert!(quantity > largest && quantity.value() > i128::from(i64::MAX), "{text}");
            assert!(
                Quantity::parse(&format!("-{text}")).unwrap() < Quantity::parse("-1e29").unwrap(),
                "{text}"
            );
        }
        assert_eq!(Quantity::parse("1e-2147483648").unwrap().value(), 1, "the least there is");
    }

    #[test]
    fn names_what_is_wrong() {
        for text in [
            "",
            " ",
            "1GB",
            "10 Gi",
            "1Gi ",
            "1.2.3",
            "abc",
            "--1",
            "१",
            "1K",
            "1Ki1",
            "1e",
            "1e3e",
            "1e2Gi",
            ".5i",
            "0x10",
            "1_000",
            "1e9223372036854775808",
            ".e-10",
            "Pi",
            ".Ei",
        ] {
            let error = Quantity::parse(text).unwrap_err();
            assert!(error.contains("is not a quantity"), "{text}: {error}");
        }
    }
}
