//! When a robot is due: an interval, or a cron expression read in a time zone.

mod cron;
mod occurrence;
pub(crate) mod zone;

#[cfg(test)]
pub(crate) mod brute_force;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::cron::{CronError, CronExpression};
use crate::domain::iso_duration::{self, IsoDurationError};
use crate::domain::time::Timestamp;

/// The shortest interval: what the scheduler can promise to keep; faster work is driven by events.
pub const EVERY_MIN: Duration = Duration::from_secs(1);
/// The longest interval: a leap year. Rarer work wants a date, which is what cron is for.
pub const EVERY_MAX: Duration = Duration::from_hours(366 * 24);
/// How far back [`Schedule::between`] looks for cron instants, in days: ten years. A node that was
/// down longer forgets what came before; this bounds the work of its first decision.
pub const BACKLOG_DAYS: i64 = 3660;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// When a robot is due.
///
/// JSON: `{"every":"PT1M"}` or `{"cron":"10 * * * *","timezone":"Europe/Berlin"}`; without
/// `timezone` the expression is read in UTC.
///
/// An interval is measured in absolute time and knows no daylight saving time. For cron, wall-clock
/// times that the clock skips or repeats are treated so:
///
/// - **Gap.** Times that are skipped fire once, all together, at the first instant after the gap
///   (which may also be a planned time; it fires once all the same). An expression that names every
///   hour (`5 * * * *`) makes nothing up: it stays on its pace in absolute time.
/// - **Fold.** A time that occurs twice fires once, at the first occurrence. An expression whose
///   minute or hour field starts with `*` (`*/10 * * * *`, `* 2 * * *`) means a pace, not a time of
///   day, and fires in both passes.
///
/// The `croner` crate differs where a field lists several values (`30 2,14 * * *`): it takes them for
/// a pace, drops them in the gap and fires them twice in the fold. Only its reading of the fields is
/// used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum Schedule {
    /// Due at the anchor and every `interval` after it; [`EVERY_MIN`] to [`EVERY_MAX`], in whole
    /// milliseconds so that no instant is rounded when it is stored.
    Every {
        /// The time between two instants.
        interval: Duration,
    },
    /// Due at the wall-clock times that an expression names.
    Cron {
        /// The expression.
        expression: CronExpression,
        /// The zone whose wall clock is read.
        timezone: Tz,
    },
}

/// Why a JSON value is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// Both or neither of `every` and `cron` are given.
    #[error("exactly one of `every` and `cron` must be given")]
    NotExactlyOne,
    /// An interval has no use for a zone.
    #[error(
        "`timezone` goes with `cron` only: `every` counts absolute time, which is the same in all \
         zones"
    )]
    TimezoneWithEvery,
    /// The interval cannot be read.
    #[error("`every`: {0}")]
    Every(#[from] IsoDurationError),
    /// The interval is out of bounds.
    #[error("`every` must be {min} to {max} in whole milliseconds", min = iso_duration::format(EVERY_MIN), max = iso_duration::format(EVERY_MAX))]
    EveryBounds,
    /// The expression cannot be read or never fires.
    #[error("`cron`: {0}")]
    Cron(#[from] CronError),
    /// The zone is not in the IANA database.
    #[error("`timezone`: no zone of the IANA database has this name")]
    Timezone,
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
}

impl TryFrom<Fields> for Schedule {
    type Error = ScheduleError;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        match (fields.every, fields.cron, fields.timezone) {
            (Some(_), None, Some(_)) => Err(ScheduleError::TimezoneWithEvery),
            (Some(every), None, None) => Self::every(iso_duration::parse(&every)?),
            (None, Some(cron), timezone) => Self::cron(&cron, timezone.as_deref()),
            _ => Err(ScheduleError::NotExactlyOne),
        }
    }
}

impl From<Schedule> for Fields {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Every { interval } => Self {
                every: Some(iso_duration::format(interval)),
                cron: None,
                timezone: None,
            },
            Schedule::Cron {
                expression,
                timezone,
            } => Self {
                every: None,
                cron: Some(expression.to_string()),
                timezone: Some(timezone.name().to_owned()),
            },
        }
    }
}

/// Planned instants that one value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickRange {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many they are; at least one.
    pub count: u64,
}

/// The planned instants of a span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticks {
    /// The latest instants, in order.
    pub instants: Vec<Timestamp>,
    /// The instants before those, when there are more than were asked for.
    pub earlier: Option<TickRange>,
}

impl Schedule {
    /// An interval schedule.
    ///
    /// # Errors
    ///
    /// An interval out of [`EVERY_MIN`] to [`EVERY_MAX`] or not in whole milliseconds.
    pub fn every(interval: Duration) -> Result<Self, ScheduleError> {
        let whole = interval.subsec_nanos().is_multiple_of(1_000_000);
        if whole && (EVERY_MIN..=EVERY_MAX).contains(&interval) {
            Ok(Self::Every { interval })
        } else {
            Err(ScheduleError::EveryBounds)
        }
    }

    /// A cron schedule, in UTC when no zone is named.
    ///
    /// # Errors
    ///
    /// An expression that [`CronExpression::parse`] refuses, or an unknown zone.
    pub fn cron(expression: &str, timezone: Option<&str>) -> Result<Self, ScheduleError> {
        let timezone = match timezone {
            Some(name) => name.parse().map_err(|_| ScheduleError::Timezone)?,
            None => Tz::UTC,
        };
        Ok(Self::Cron {
            expression: CronExpression::parse(expression)?,
            timezone,
        })
    }

    /// The first planned instant after `after`; never before `anchor`.
    ///
    /// `None` only at the end of the range of a timestamp.
    #[must_use]
    pub fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every { interval } if after >= anchor => {
                Steps::new(anchor, *interval).instant(Steps::new(anchor, *interval).at(after) + 1)
            }
            Self::Every { .. } => Some(anchor),
            Self::Cron {
                expression,
                timezone,
            } => {
                let from = first_second(anchor, after);
                from_seconds(occurrence::next_from(expression, *timezone, from)?)
            }
        }
    }

    /// The planned instants after `after` up to and including `until`; none before `anchor`.
    ///
    /// The last `max` of them are listed, the earlier ones only counted. For an interval this is
    /// plain arithmetic; for cron the work grows with the days of the span, and instants more than
    /// [`BACKLOG_DAYS`] before `until` are left out. The count is exact.
    #[must_use]
    pub fn between(
        &self,
        anchor: Timestamp,
        after: Timestamp,
        until: Timestamp,
        max: usize,
    ) -> Ticks {
        if until <= after || until < anchor {
            return Ticks::default();
        }
        match self {
            Self::Every { interval } => Steps::new(anchor, *interval).between(after, until, max),
            Self::Cron {
                expression,
                timezone,
            } => {
                let end = until.timestamp() + 1;
                let start = first_second(anchor, after).max(end - BACKLOG_DAYS * zone::DAY);
                let latest = occurrence::latest(expression, *timezone, &(start..end), max);
                let range = |(first, last, count)| {
                    let (first, last) = (from_seconds(first)?, from_seconds(last)?);
                    Some(TickRange { first, last, count })
                };
                Ticks {
                    instants: latest
                        .instants
                        .into_iter()
                        .filter_map(from_seconds)
                        .collect(),
                    earlier: latest.earlier.and_then(range),
                }
            }
        }
    }

    /// The zone whose wall clock the schedule reads; `None` for an interval.
    #[must_use]
    pub fn timezone(&self) -> Option<Tz> {
        match self {
            Self::Every { .. } => None,
            Self::Cron { timezone, .. } => Some(*timezone),
        }
    }

    /// Whether the planned instant `at` makes up for wall-clock times that the clock skipped, and is
    /// not itself a time that the expression names.
    #[must_use]
    pub fn makes_up(&self, at: Timestamp) -> bool {
        match self {
            Self::Every { .. } => false,
            Self::Cron {
                expression,
                timezone,
            } => {
                let seconds = at.timestamp();
                !expression.names_wall(seconds + zone::offset_at(*timezone, seconds))
            }
        }
    }
}

/// The first whole second after `after` and not before `anchor`.
fn first_second(anchor: Timestamp, after: Timestamp) -> i64 {
    let anchored = anchor.timestamp() + i64::from(anchor.timestamp_subsec_nanos() > 0);
    anchored.max(after.timestamp() + 1)
}

fn from_seconds(seconds: i64) -> Option<Timestamp> {
    DateTime::<Utc>::from_timestamp(seconds, 0)
}

/// The instants `anchor + k * interval`, `k >= 0`, in nanoseconds.
struct Steps {
    anchor: i128,
    interval: i128,
}

impl Steps {
    fn new(anchor: Timestamp, interval: Duration) -> Self {
        // The interval is bounded where it is read; the floor of one only rules out dividing by zero.
        let interval = i128::try_from(interval.as_nanos()).unwrap_or(i128::MAX / 4);
        Self {
            anchor: nanos(anchor),
            interval: interval.max(1),
        }
    }

    /// The number of the last step at or before `at`; negative before the anchor.
    fn at(&self, at: Timestamp) -> i128 {
        (nanos(at) - self.anchor).div_euclid(self.interval)
    }

    fn instant(&self, step: i128) -> Option<Timestamp> {
        let nanos = self.interval.checked_mul(step)?.checked_add(self.anchor)?;
        let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
        let rest = u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?;
        DateTime::<Utc>::from_timestamp(seconds, rest)
    }

    fn between(&self, after: Timestamp, until: Timestamp, max: usize) -> Ticks {
        let first = (self.at(after) + 1).max(0);
        let last = self.at(until);
        let kept = i128::try_from(max).unwrap_or(i128::MAX);
        let listed = (last + 1).saturating_sub(kept).max(first);
        let earlier = || {
            let count = u64::try_from(listed - first).ok().filter(|n| *n > 0)?;
            Some(TickRange {
                first: self.instant(first)?,
                last: self.instant(listed - 1)?,
                count,
            })
        };
        Ticks {
            instants: (listed..=last).filter_map(|k| self.instant(k)).collect(),
            earlier: earlier(),
        }
    }
}

fn nanos(at: Timestamp) -> i128 {
    i128::from(at.timestamp()) * NANOS_PER_SECOND + i128::from(at.timestamp_subsec_nanos())
}
