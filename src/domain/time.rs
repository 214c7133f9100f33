//! The one representation of an instant.

use chrono::{DateTime, Utc};

/// An instant in UTC. The databases keep it as microseconds since 1970 (BIGINT).
pub type Timestamp = DateTime<Utc>;

/// Microseconds since 1970-01-01T00:00:00Z, the stored form of `at`.
#[must_use]
pub fn to_micros(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

/// The instant stored as `micros`; what lies outside chrono's years is clamped to its bounds.
#[must_use]
pub fn from_micros(micros: i64) -> Timestamp {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}
