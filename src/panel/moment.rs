//! Instants and durations as people read them. Scripts show instants in the viewer's zone and let ages tick; without
//! scripts they are UTC and say so.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use chrono::{SecondsFormat, TimeDelta};

use crate::domain::time::Timestamp;

/// An instant as date and time. Writes markup of digits and fixed words only.
#[derive(Debug, Clone, Copy)]
pub(super) struct At(pub(super) Timestamp);

impl HtmlSafe for At {}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        element(f, "at", self.0, &self.0.format("%-d %b %H:%M:%S UTC"))
    }
}

/// How far an instant lies back or ahead. Writes markup of digits and fixed words only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    /// The instant.
    pub(super) of: Timestamp,
    /// Now.
    pub(super) now: Timestamp,
}

impl HtmlSafe for Age {}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        element(f, "age", self.of, &age(self.of - self.now))
    }
}

fn element(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    at: Timestamp,
    text: &dyn fmt::Display,
) -> fmt::Result {
    let stamp = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let title = at.format("%Y-%m-%d %H:%M:%S UTC");
    write!(
        f,
        "<time data-{kind} datetime=\"{stamp}\" title=\"{title}\">{text}</time>"
    )
}

/// `3 min ago`, `in 2 h`; the scripts count in the same steps.
fn age(ahead: TimeDelta) -> String {
    let seconds = ahead.num_seconds().unsigned_abs();
    let size = match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    if ahead > TimeDelta::zero() {
        format!("in {size}")
    } else {
        format!("{size} ago")
    }
}

/// The length of a time, in whole milliseconds: `1 h 30 min`, `250 ms`.
pub(super) fn length(length: Duration) -> String {
    let millis = length.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1_000, "s"),
        (1, "ms"),
    ];
    let mut rest = millis;
    let mut parts = Vec::new();
    for (size, unit) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        }
    }
    if parts.is_empty() {
        return "0 s".to_owned();
    }
    parts.join(" ")
}

/// How long something took, as exact as it matters: `12 ms`, `1.2 s`, `3 min 20 s`.
pub(super) fn took(length: Duration) -> String {
    let (millis, seconds) = (length.as_millis(), length.as_secs());
    match seconds {
        0 if millis == 0 => "under 1 ms".to_owned(),
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{} s", millis / 100 % 10),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Reads what [`length`] writes, and ISO 8601.
pub(super) fn parse_length(text: &str) -> Result<Duration, String> {
    let unreadable = || "write it as `5 min`, `1 h 30 min` or `PT5M`".to_owned();
    if text.starts_with('P') {
        return crate::domain::iso_duration::parse(text).map_err(|error| error.to_string());
    }
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(unreadable());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, after) = rest.split_at_checked(digits).ok_or_else(unreadable)?;
        let count: u64 = count.parse().map_err(|_| unreadable())?;
        let after = after.trim_start();
        let letters = after.len() - after.trim_start_matches(char::is_alphabetic).len();
        let (unit, after) = after.split_at_checked(letters).ok_or_else(unreadable)?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return Err(unreadable()),
        };
        let part = count.checked_mul(millis).ok_or_else(unreadable)?;
        total = total
            .checked_add(Duration::from_millis(part))
            .ok_or_else(unreadable)?;
        rest = after.trim_start();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ages_are_told_in_one_unit() {
        for (seconds, text) in [
            (0, "0 s ago"),
            (-59, "59 s ago"),
            (-60, "1 min ago"),
            (3_599, "in 59 min"),
            (172_799, "in 47 h"),
            (-172_800, "2 d ago"),
        ] {
            assert_eq!(age(TimeDelta::seconds(seconds)), text);
        }
    }

    #[test]
    fn an_instant_is_markup_with_its_utc_time() {
        assert_eq!(
            At(DateTime::UNIX_EPOCH).to_string(),
            "<time data-at datetime=\"1970-01-01T00:00:00Z\" title=\"1970-01-01 00:00:00 UTC\">1 Jan 00:00:00 UTC</time>"
        );
    }

    #[test]
    fn what_something_took_is_as_exact_as_it_matters() {
        for (millis, text) in [
            (0, "under 1 ms"),
            (999, "999 ms"),
            (1_999, "1.9 s"),
            (59_999, "59 s"),
            (200_000, "3 min 20 s"),
            (7_260_000, "2 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(took(Duration::from_millis(millis)), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_length_reads_back(millis in 0..1_000_000_000_u64) {
            let text = length(Duration::from_millis(millis));
            prop_assert_eq!(parse_length(&text), Ok(Duration::from_millis(millis)));
        }

        #[test]
        fn garbage_is_no_length(text in ".{0,20}") {
            let _refused_or_read = parse_length(&text);
        }
    }

    #[test]
    fn lengths_are_read_in_many_ways() {
        for text in ["5 min", "5m", "PT5M", "300 s", "4 min 60 s"] {
            assert_eq!(parse_length(text), Ok(Duration::from_secs(300)), "{text}");
        }
        for text in [
            "",
            "5",
            "min",
            "5 parsecs",
            "P5",
            "99999999999999999999 d",
            "18446744073709551615 d",
        ] {
            assert!(parse_length(text).is_err(), "{text}");
        }
    }
}
