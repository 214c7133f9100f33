//! Instants a caller may name.

use chrono::Datelike;

use crate::domain::time::Timestamp;

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
