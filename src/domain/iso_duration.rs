//! Durations in the ISO 8601 text form, as the configuration and the API write them.
//!
//! Only forms with a fixed length are accepted: weeks, or days with a time part. Years and months
//! have no fixed length and are refused by name. A day is always 24 hours.

#[cfg(test)]
mod tests;

use std::time::Duration;

use thiserror::Error;

/// The longest accepted duration, in days: ten years, far beyond any sane interval or timeout, and
/// small enough that adding it to any stored instant cannot leave the range of a timestamp.
pub const MAX_DAYS: u64 = 3660;

/// The longest accepted duration.
pub const MAX: Duration = Duration::from_secs(MAX_DAYS * SECONDS_PER_DAY);

/// The longest accepted text, in bytes: every duration within [`MAX`] fits in half of it, so a
/// longer one is a mistake and is not echoed back.
pub const MAX_TEXT: usize = 64;

const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 3_600;
const SECONDS_PER_DAY: u64 = 86_400;
const SECONDS_PER_WEEK: u64 = 7 * SECONDS_PER_DAY;
/// A `Duration` counts whole nanoseconds, so more digits than nine cannot be kept.
const FRACTION_DIGITS: usize = 9;

/// Why a text is not an accepted duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IsoDurationError {
    /// The text is longer than [`MAX_TEXT`].
    #[error("a duration has at most {MAX_TEXT} characters")]
    TooLong,
    /// The text is not of the form `P[nW]` or `P[nD][T[nH][nM][nS]]`.
    #[error("`{text}` is not an ISO 8601 duration such as `PT5M`: {reason}")]
    Malformed {
        /// The refused text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The duration is longer than [`MAX`].
    #[error("`{0}` is longer than {MAX_DAYS} days")]
    TooBig(String),
}

/// Reads a duration of the form `P[nW]` or `P[nD][T[nH][nM][n[.fff]S]]`.
///
/// Designators are upper case and keep their order; the fraction has one to nine digits.
///
/// # Errors
///
/// Says what is wrong with the text; a duration over [`MAX`] is refused.
pub fn parse(text: &str) -> Result<Duration, IsoDurationError> {
    if text.len() > MAX_TEXT {
        return Err(IsoDurationError::TooLong);
    }
    let seconds_and_nanos = split(text).map_err(|reason| IsoDurationError::Malformed {
        text: text.to_owned(),
        reason,
    })?;
    seconds_and_nanos
        .map(|(seconds, nanos)| Duration::new(seconds, nanos))
        .filter(|duration| *duration <= MAX)
        .ok_or_else(|| IsoDurationError::TooBig(text.to_owned()))
}

/// Writes the canonical form: days, hours, minutes, seconds, each only when not zero, never weeks.
///
/// The result is read back by [`parse`] to the same duration when it is within [`MAX`].
#[must_use]
pub fn format(duration: Duration) -> String {
    let total = duration.as_secs();
    if total == 0 && duration.subsec_nanos() == 0 {
        return "PT0S".to_owned();
    }
    let unit = |value: u64, designator: char| match value {
        0 => String::new(),
        _ => format!("{value}{designator}"),
    };
    let days = unit(total / SECONDS_PER_DAY, 'D');
    let hours = unit(total % SECONDS_PER_DAY / SECONDS_PER_HOUR, 'H');
    let minutes = unit(total % SECONDS_PER_HOUR / SECONDS_PER_MINUTE, 'M');
    let seconds = seconds_part(total % SECONDS_PER_MINUTE, duration.subsec_nanos());
    let time = format!("{hours}{minutes}{seconds}");
    if time.is_empty() {
        format!("P{days}")
    } else {
        format!("P{days}T{time}")
    }
}

fn seconds_part(seconds: u64, nanos: u32) -> String {
    match (seconds, nanos) {
        (0, 0) => String::new(),
        (_, 0) => format!("{seconds}S"),
        _ => {
            let fraction = format!("{nanos:0FRACTION_DIGITS$}");
            format!("{seconds}.{}S", fraction.trim_end_matches('0'))
        }
    }
}

/// Seconds and nanoseconds; `None` when they overflow.
type Parts = Option<(u64, u32)>;

/// Takes the text apart; the error says what is wrong with its form.
fn split(text: &str) -> Result<Parts, &'static str> {
    let body = text.strip_prefix('P').ok_or("it must start with `P`")?;
    if let Some(weeks) = body.strip_suffix('W') {
        let weeks = whole(weeks)?;
        return Ok(weeks
            .and_then(|n| n.checked_mul(SECONDS_PER_WEEK))
            .map(|seconds| (seconds, 0)));
    }
    let (date, time) = match body.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (body, None),
    };
    if date.is_empty() && time.is_none() {
        return Err("it names no amount");
    }
    if time == Some("") {
        return Err("`T` must be followed by hours, minutes or seconds");
    }
    let days = days(date)?;
    let (clock, nanos) = clock(time.unwrap_or_default())?;
    Ok(days
        .zip(clock)
        .and_then(|(days, clock)| days.checked_add(clock))
        .map(|seconds| (seconds, nanos)))
}

/// Reads the date part (`nD` or nothing) in seconds.
fn days(date: &str) -> Result<Option<u64>, &'static str> {
    if date.is_empty() {
        return Ok(Some(0));
    }
    if date.contains(['Y', 'M']) {
        return Err("years and months have no fixed length");
    }
    if date.contains(['H', 'S']) {
        return Err("hours, minutes and seconds come after a `T`");
    }
    if date.contains('W') {
        return Err("weeks stand alone");
    }
    let number = date
        .strip_suffix('D')
        .ok_or("before the `T` only days may stand, as `nD`")?;
    Ok(whole(number)?.and_then(|n| n.checked_mul(SECONDS_PER_DAY)))
}

/// Reads the time part (`[nH][nM][n[.fff]S]`) in seconds and nanoseconds.
fn clock(time: &str) -> Result<(Option<u64>, u32), &'static str> {
    let mut rest = time;
    let mut total = Some(0_u64);
    for (designator, unit) in [('H', SECONDS_PER_HOUR), ('M', SECONDS_PER_MINUTE)] {
        if let Some((number, after)) = rest.split_once(designator) {
            let seconds = whole(number)?.and_then(|n| n.checked_mul(unit));
            total = total.zip(seconds).and_then(|(a, b)| a.checked_add(b));
            rest = after;
        }
    }
    if rest.is_empty() {
        return Ok((total, 0));
    }
    let number = rest
        .strip_suffix('S')
        .ok_or("after the `T` come hours, minutes and seconds, in this order, as `nHnMnS`")?;
    let (number, nanos) = match number.split_once('.') {
        Some((number, digits)) => (number, fraction(digits)?),
        None => (number, 0),
    };
    let seconds = whole(number)?;
    Ok((
        total.zip(seconds).and_then(|(a, b)| a.checked_add(b)),
        nanos,
    ))
}

/// Reads a whole number; `None` when it overflows.
fn whole(digits: &str) -> Result<Option<u64>, &'static str> {
    if digits.is_empty() {
        return Err("a designator has no number before it");
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("an amount must be a whole number; only seconds may have a fraction");
    }
    Ok(digits.parse().ok())
}

/// Reads the digits after the point as nanoseconds.
fn fraction(digits: &str) -> Result<u32, &'static str> {
    let valid = (1..=FRACTION_DIGITS).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return Err("a fraction of seconds has one to nine digits");
    }
    format!("{digits:0<FRACTION_DIGITS$}")
        .parse()
        .map_err(|_| "a fraction of seconds has one to nine digits")
}

/// Serde form of a `Duration` field: `#[serde(with = "iso_duration::serde_iso")]`.
pub mod serde_iso {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the canonical text.
    ///
    /// # Errors
    ///
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(*duration))
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// A text that [`super::parse`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).map_err(D::Error::custom)
    }
}

/// Serde form of an `Option<Duration>` field; `null` is `None`.
///
/// Write `#[serde(default, with = "iso_duration::serde_iso_option")]` to accept an absent field.
pub mod serde_iso_option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the canonical text or `null`.
    ///
    /// # Errors
    ///
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&super::format(*duration)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a text or `null`.
    ///
    /// # Errors
    ///
    /// A text that [`super::parse`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| super::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}
