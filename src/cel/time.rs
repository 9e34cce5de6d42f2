//! Timestamps and durations. A timestamp is in UTC, as in Kubernetes; another zone is an offset, because the names of
//! zones would ask the machine for its tables.

use super::budget::{Answer, Budget, Fault, mismatch};
use super::value::{Text, Val};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

fn refused<'r>(name: &str, args: &[Val<'r>]) -> Answer<'r> {
    Err(mismatch(&format!("`{name}`"), &args.iter().collect::<Vec<_>>()))
}

/// `timestamp()` of a text as RFC 3339 has it, or of the seconds since 1970.
pub(crate) fn timestamp<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let time = match args {
        [Val::Int(seconds)] => Timestamp::from_second(*seconds).ok(),
        [Val::Text(text)] if is_rfc3339(text) => text.parse().ok(),
        [Val::Text(_)] => None,
        _ => return refused("timestamp", args),
    };
    time.and_then(moment).ok_or_else(|| Fault::new("no timestamp as RFC 3339 has it, of the years 1 to 9999"))
}

/// Whether a text has the form; what reads it takes others as well.
fn is_rfc3339(text: &str) -> bool {
    let (Some(date_time), Some(rest)) = (text.get(..19), text.get(19..)) else { return false };
    let form = |text: &str, form: &str| {
        text.len() == form.len()
            && text.chars().zip(form.chars()).all(|(c, wanted)| match wanted {
                '0' => c.is_ascii_digit(),
                '+' => matches!(c, '+' | '-'),
                wanted => c == wanted,
            })
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    form(date_time, "0000-00-00T00:00:00") && (zone == "Z" || form(zone, "+00:00"))
}

/// `duration()` of a text as Go writes it, such as `1h30m`.
pub(crate) fn duration<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text)] = args else { return refused("duration", args) };
    parsed(text).and_then(|nanoseconds| span(SignedDuration::from_nanos(nanoseconds))).ok_or_else(|| {
        Fault::new(format!("{:?} is no duration such as 1h30m", text.chars().take(60).collect::<String>()))
    })
}

fn parsed(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() || sum == 0 && text.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        // The longer ones first.
        let units: [(&str, i128); 8] = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("μs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ];
        let (unit, size) = units.into_iter().find(|(unit, _)| behind.starts_with(unit))?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut part = size;
        let mut more: i128 = 0;
        for digit in fraction.chars() {
            part /= 10;
            more += part * i128::from(digit.to_digit(10)?);
        }
        sum = sum.checked_add(whole.checked_mul(size)?.checked_add(more)?)?;
        rest = behind.get(unit.len()..)?;
    }
    if text.trim_start_matches(['-', '+']).is_empty() {
        return None;
    }
    i64::try_from(if negative { -sum } else { sum }).ok()
}

/// A timestamp or duration as `string()` writes it.
pub(crate) fn shown(value: &Val<'_>) -> String {
    match value {
        Val::Time(time) => time.to_string(),
        Val::Span(span) => format!("{}s", span.as_secs_f64()),
        _ => String::new(),
    }
}

/// What a clock shows at that time, in UTC or with the offset that is the second argument.
fn clock<'r>(args: &[Val<'r>]) -> Result<DateTime, Fault> {
    let (time, offset) = match args {
        [Val::Time(time)] => (time, Offset::UTC),
        [Val::Time(time), Val::Text(zone)] => (time, offset(zone)?),
        _ => return Err(Fault::new("takes a timestamp")),
    };
    Ok(offset.to_datetime(*time))
}

/// The offset that a text such as `+02:00` is.
///
/// # Errors
/// That it is none.
pub(crate) fn offset(zone: &Text<'_>) -> Result<Offset, Fault> {
    if matches!(&**zone, "" | "UTC") {
        return Ok(Offset::UTC);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    let parts = rest.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2);
    let parts =
        parts.and_then(|(hours, minutes)| Some((hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?)));
    let seconds = parts.filter(|(_, minutes)| *minutes < 60);
    let seconds = seconds.map(|(hours, minutes)| sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60));
    seconds.and_then(|seconds| Offset::from_seconds(seconds).ok()).ok_or_else(|| {
        Fault::new(format!(
            "{:?} is no offset such as +02:00; the names of time zones are not known here",
            zone.chars().take(60).collect::<String>()
        ))
    })
}

fn int<'r>(number: impl Into<i64>) -> Answer<'r> {
    Ok(Val::Int(number.into()))
}

pub(crate) fn date<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    int(clock(args)?.day())
}

pub(crate) fn day_of_month<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    int(clock(args)?.day() - 1)
}

pub(crate) fn day_of_week<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    int(clock(args)?.weekday().to_sunday_zero_offset())
}

pub(crate) fn day_of_year<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    int(clock(args)?.day_of_year() - 1)
}

pub(crate) fn full_year<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    int(clock(args)?.year())
}

pub(crate) fn month<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    int(clock(args)?.month() - 1)
}

pub(crate) fn hours<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Span(span)] => int(span.as_hours()),
        _ => int(clock(args)?.hour()),
    }
}

pub(crate) fn minutes<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Span(span)] => int(span.as_mins()),
        _ => int(clock(args)?.minute()),
    }
}

pub(crate) fn seconds<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Span(span)] => int(span.as_secs()),
        _ => int(clock(args)?.second()),
    }
}

pub(crate) fn milliseconds<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Span(span)] => int(i64::from(span.subsec_millis())),
        _ => int(clock(args)?.millisecond()),
    }
}

/// A duration, within what 64 bits of nanoseconds hold.
pub(crate) fn span<'r>(duration: SignedDuration) -> Option<Val<'r>> {
    i64::try_from(duration.as_nanos()).ok().map(|_| Val::Span(duration))
}

/// A timestamp, from the year 1 to the year 9999.
pub(crate) fn moment<'r>(time: Timestamp) -> Option<Val<'r>> {
    let seconds = time.as_nanosecond().div_euclid(1_000_000_000);
    (-62_135_596_800..=253_402_300_799).contains(&seconds).then_some(Val::Time(time))
}
