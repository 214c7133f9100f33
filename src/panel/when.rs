//! The filter by time that reports have: how far back from now, or from one instant to another.

use chrono::{NaiveDateTime, TimeDelta};

use super::text as t;
use crate::api::query::{FromParams, Params, SpanParams};
use crate::api::time::check_time;
use crate::domain::time::Timestamp;

/// What is written in addresses and forms, and how it is called.
pub(super) const LASTS: [(&str, &str, TimeDelta); 3] = [
    ("1h", t::LAST_HOUR, TimeDelta::hours(1)),
    ("24h", t::LAST_DAY, TimeDelta::hours(24)),
    ("7d", t::LAST_WEEK, TimeDelta::days(7)),
];

/// `last` counts from now: unlike `from` it stays true when the address is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct When {
    last: Option<TimeDelta>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl FromParams for When {
    fn from_params(params: &mut Params<'_>) -> Self {
        let last = params.read("last", |text| {
            let found = LASTS.iter().find(|(known, ..)| *known == text);
            found
                .map(|(.., back)| *back)
                .ok_or_else(|| "must be 1h, 24h or 7d".to_owned())
        });
        let from = params.read("from", instant);
        let to = params.read("to", |text| {
            let to = instant(text)?;
            if from.is_some_and(|from| from >= to) {
                return Err(t::SPAN_ENDS_FIRST.to_owned());
            }
            Ok(to)
        });
        Self { last, from, to }
    }
}

impl When {
    /// What the API is asked for at `now`.
    pub(super) fn span(self, now: Timestamp) -> SpanParams {
        SpanParams {
            from: self.from.max(self.last.map(|back| now - back)),
            to: self.to,
        }
    }
}

/// Reads RFC 3339, and what a browser's own field for date and time sends, which is UTC here: where scripts run they have
/// sent the instant that it is in the viewer's zone.
fn instant(text: &str) -> Result<Timestamp, String> {
    let full = chrono::DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    let of_field = |format| NaiveDateTime::parse_from_str(text, format).map(|at| at.and_utc());
    let at = full
        .or_else(|_| of_field("%Y-%m-%dT%H:%M"))
        .or_else(|_| of_field("%Y-%m-%dT%H:%M:%S"))
        .map_err(|_| "write it as 2026-01-31T12:00".to_owned())?;
    check_time(at).map_err(|error| error.to_string())
}

/// An instant of an address as the browser's field shows it, in UTC; empty where it is none.
pub(super) fn field(text: &str) -> String {
    instant(text).map_or_else(
        |_| String::new(),
        |at| at.format("%Y-%m-%dT%H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::api::query::Query;

    #[test]
    fn instants_are_read_as_addresses_and_fields_have_them() {
        let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(90);
        for text in [
            "1970-01-01T01:30",
            "1970-01-01T01:30:00",
            "1970-01-01T02:30:00+01:00",
        ] {
            assert_eq!(instant(text), Ok(at), "{text}");
            assert_eq!(field(text), "1970-01-01T01:30");
        }
        for text in [
            "",
            "soon",
            "1970-01-01",
            "1969-12-31T23:59",
            "9999-01-01T00:00",
        ] {
            assert!(instant(text).is_err(), "{text}");
            assert_eq!(field(text), "");
        }
    }

    #[test]
    fn the_later_of_two_beginnings_counts() {
        let read = |query| Query::<When>::read("/x", query).map(|Query(when)| when);
        let now = DateTime::UNIX_EPOCH + TimeDelta::hours(10);
        let when = read("last=1h&from=1970-01-01T08:00&to=1970-01-01T09:30").unwrap();
        let span = when.span(now);
        assert_eq!(span.from, Some(now - TimeDelta::hours(1)));
        assert_eq!(span.to, Some(now - TimeDelta::minutes(30)));
        assert!(read("from=1970-01-01T08:00&to=1970-01-01T08:00").is_err());
        assert!(read("last=2h").is_err());
    }
}
