//! Offsets of a time zone over time, and what a wall-clock time means in it.
//!
//! All rules on daylight saving time rest on this file: schedules and windows both work from the
//! instants at which the offset changes, found here by bisection, and from nothing else.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Seconds of a day, as the signed type that all instants here have.
pub(crate) const DAY: i64 = 86_400;

/// The step in which offsets are probed. A change and its reverse within one step would be
/// overlooked; the closest two in the IANA database are four days apart (Freetown, 1939).
const PROBE: i64 = DAY;

/// An instant at which the offset of a zone changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transition {
    /// The first second with the new offset, in seconds since 1970 UTC.
    pub at: i64,
    /// Seconds east of UTC before the change.
    pub before: i64,
    /// Seconds east of UTC from the change on.
    pub after: i64,
}

impl Transition {
    /// The first wall-clock second that belongs to neither gap nor fold of this change.
    pub(crate) fn wall_end(&self) -> i64 {
        self.at + self.before.max(self.after)
    }

    /// The first wall-clock second that the change skips or repeats.
    pub(crate) fn wall_start(&self) -> i64 {
        self.at + self.before.min(self.after)
    }

    /// Whether wall-clock time is skipped (else it is repeated).
    pub(crate) fn is_gap(&self) -> bool {
        self.after > self.before
    }
}

/// What a wall-clock time means in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wall {
    /// The time occurs once.
    Once(i64),
    /// The time is skipped; this is the first instant after the gap.
    Gap(i64),
    /// The time occurs twice, first and second.
    Fold(i64, i64),
}

/// The offset of the zone at an instant, in seconds east of UTC; 0 outside chrono's range.
pub(crate) fn offset_at(zone: Tz, at: i64) -> i64 {
    DateTime::from_timestamp(at, 0).map_or(0, |utc| {
        i64::from(
            zone.offset_from_utc_datetime(&utc.naive_utc())
                .fix()
                .local_minus_utc(),
        )
    })
}

/// The changes of the offset in `from..until` (seconds since 1970 UTC), in order.
///
/// The work grows with the span, one probe for each day of it: callers bound the span.
pub(crate) fn transitions(zone: Tz, from: i64, until: i64) -> Vec<Transition> {
    let mut found = Vec::new();
    let end = until.saturating_sub(1);
    let mut low = from.saturating_sub(1);
    let mut before = offset_at(zone, low);
    while low < end {
        let high = low.saturating_add(PROBE).min(end);
        if offset_at(zone, high) == before {
            low = high;
            continue;
        }
        low = bisect(zone, low, high, before);
        let after = offset_at(zone, low);
        let at = low;
        found.push(Transition { at, before, after });
        before = after;
    }
    found
}

/// The first second in `low+1..=high` whose offset is not `before`.
fn bisect(zone: Tz, mut low: i64, mut high: i64, before: i64) -> i64 {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if offset_at(zone, middle) == before {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Finds what a wall-clock time means in a zone.
pub(crate) fn resolve(zone: Tz, local: NaiveDateTime) -> Wall {
    let wall = local.and_utc().timestamp();
    // Offsets are under a day, so the instant lies within one day of the wall time read as UTC.
    let changes = transitions(zone, wall - DAY, wall + DAY);
    let mut offset = offset_at(zone, wall - DAY - 1);
    for change in changes {
        if wall < change.wall_start() {
            break;
        }
        if wall < change.wall_end() {
            return if change.is_gap() {
                Wall::Gap(change.at)
            } else {
                Wall::Fold(wall - change.before, wall - change.after)
            };
        }
        offset = change.after;
    }
    Wall::Once(wall - offset)
}
