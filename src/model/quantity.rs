use std::cmp::Ordering;
use std::fmt;

/// A Kubernetes quantity (`10Gi`, `500m`, `1e3`), exact to one thousand-millionth.
///
/// Source: `k8s.io/apimachinery/pkg/api/resource/quantity.go`.
#[derive(Debug, Clone, Eq)]
pub struct Quantity {
    nano: i128,
    text: String,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity.
    ///
    /// # Errors
    /// A fragment that names what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{text:?} is not a quantity: {why} (write it like 10Gi, 500M or 1)");
        let digits_end = text
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && matches!(c, '+' | '-'))))
            .map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at(digits_end);
        let (negative, digits) = match number.as_bytes().first() {
            Some(b'-') => (true, number.get(1..).unwrap_or("")),
            Some(b'+') => (false, number.get(1..).unwrap_or("")),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(bad("it does not start with a number"));
        }
        let scale = scale(suffix).ok_or_else(|| bad(&format!("the suffix {suffix:?} is unknown")))?;
        let nano = scaled(whole, fraction, scale).ok_or_else(|| bad("it is too large"))?;
        Ok(Self { nano: if negative { -nano } else { nano }, text: text.to_owned() })
    }

    /// A quantity of that many bytes, shown as such.
    pub fn from_bytes(bytes: u64) -> Self {
        Self { nano: i128::from(bytes) * NANO, text: bytes.to_string() }
    }

    /// The value in whole units (bytes for storage), rounded up as Kubernetes does.
    pub fn value(&self) -> i128 {
        self.nano.div_euclid(NANO) + i128::from(self.nano.rem_euclid(NANO) != 0)
    }
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
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Scale::Decimal(exponent.parse::<i32>().ok().filter(|e| (-30..=30).contains(e))?)
        }
    })
}

/// `whole.fraction` times the scale in nano units, rounded up; nothing when it does not fit.
fn scaled(whole: &str, fraction: &str, scale: Scale) -> Option<i128> {
    let mut value: i128 = 0;
    let mut places: i32 = 0;
    for digit in whole.bytes().chain(fraction.bytes().take(18)) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    places += i32::try_from(fraction.len().min(18)).ok()?;
    let exponent = match scale {
        Scale::Binary(power) => {
            value = value.checked_mul(1i128.checked_shl(power)?)?;
            9 - places
        }
        Scale::Decimal(power) => power + 9 - places,
    };
    let factor = 10i128.checked_pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return if value == 0 { Some(0) } else { value.checked_mul(factor?) };
    }
    Some(match factor {
        Some(factor) => value / factor + i128::from(value % factor != 0),
        None => i128::from(value != 0),
    })
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

    #[test]
    fn names_what_is_wrong() {
        for text in [
            "",
            "Gi",
            "1GB",
            "10 Gi",
            "1.2.3",
            "abc",
            "--1",
            "9999999999999999999999999999999Ei",
            "1e99",
            "१",
        ] {
            let error = Quantity::parse(text).unwrap_err();
            assert!(error.contains("is not a quantity"), "{text}: {error}");
        }
    }
}
