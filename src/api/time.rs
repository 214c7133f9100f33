//! Instants a caller may name.

use chrono::{DateTime, Datelike};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::domain::time::Timestamp;

/// What a text that is no instant is answered.
pub(super) const NO_INSTANT: &str = "must be RFC 3339, e.g. 2026-01-31T12:00:00Z";

/// Reads the field of a body: write `#[serde(default, deserialize_with = "instant")]`.
pub(super) fn instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let at = DateTime::parse_from_rfc3339(&text).map_err(|_| D::Error::custom(NO_INSTANT))?;
    Ok(Some(at.to_utc()))
}

/// The instant lies outside what robots plan for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must lie between the years 1970 and 9998")]
pub struct TimeBoundsError;

/// Refuses instants before 1970 and after 9998: they are typing errors, and four digits of a year are
/// all that RFC 3339 can write.
///
/// # Errors
/// See [`TimeBoundsError`].
pub fn check_time(at: Timestamp) -> Result<Timestamp, TimeBoundsError> {
    if (1970..=9998).contains(&at.year()) {
        Ok(at)
    } else {
        Err(TimeBoundsError)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instant_is_named_with_its_zone_or_its_form_is_told() {
        let read = |value: serde_json::Value| instant(value).map_err(|error| error.to_string());
        assert_eq!(read(json!(null)), Ok(None));
        let noon = read(json!("2030-01-01T12:00:00+01:00")).unwrap();
        assert_eq!(noon.unwrap().to_rfc3339(), "2030-01-01T11:00:00+00:00");
        for text in ["2030-01-01T00:00:00", "tomorrow", ""] {
            assert_eq!(read(json!(text)), Err(NO_INSTANT.to_owned()), "{text}");
        }
    }
}
