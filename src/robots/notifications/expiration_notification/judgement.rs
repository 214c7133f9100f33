//! Who is to be told of what: pure decisions from an end, the time and what was told.

use chrono::{Days, TimeDelta};
use chrono_tz::Tz;

use super::settings::Settings;
use crate::domain::day::{bounds, day_of};
use crate::domain::expiry;
use crate::domain::time::Timestamp;
use crate::store::expiration::{Expiring, KnownAs, PASSED};

/// Programs are told by events, once like a person; nobody's mail address is empty.
pub(super) const PROGRAMS: &str = "";

/// How close an end is; the closer, the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// It has passed.
    Expired,
    /// It is so many days away at most.
    Days(u32),
}

impl Level {
    /// The number in the database; ordered like the levels.
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Expired => PASSED,
            Self::Days(days) => i64::from(days),
        }
    }
}

/// What decides.
#[derive(Debug, Clone)]
pub(super) struct Rules<'a> {
    /// See [`Settings::levels`].
    pub levels: &'a [u32],
    /// See [`Settings::timezone`].
    pub zone: Tz,
    /// Who is told: [`PROGRAMS`], and the addresses.
    pub audience: Vec<&'a str>,
}

impl<'a> Rules<'a> {
    /// The rules of these settings.
    pub(super) fn of(settings: &'a Settings) -> Self {
        let people = settings.recipients.iter();
        Self {
            levels: &settings.levels,
            zone: settings.timezone,
            audience: std::iter::once(PROGRAMS).chain(people).collect(),
        }
    }
}

/// What is to be done about a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    /// Nothing: its end is far, or all know.
    Nothing,
    /// Nothing: it ends no sooner than what issued it, of which all are told.
    Covered,
    /// Somebody is to be told.
    Due(Due),
}

/// A thing somebody is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// Which.
    pub thing: Expiring,
    /// How close its end is.
    pub level: Level,
    /// Midnights between now and its end; below zero after it.
    pub days_left: i64,
    /// Who does not know yet.
    pub untold: Vec<String>,
}

/// The instant before which everything ends that has a level now; `None` at the end of the calendar.
pub(super) fn horizon(rules: &Rules<'_>, now: Timestamp) -> Option<Timestamp> {
    let days = rules.levels.iter().max().copied().unwrap_or(0);
    let last = day_of(now, rules.zone).checked_add_days(Days::new(days.into()))?;
    let (_, end) = bounds(last, rules.zone)?;
    Some(end)
}

/// Judges one thing. Only the level that holds now is told, whatever was missed; a recipient who was told of a lower
/// one, as the clock or the levels stood then, is not told of a higher one.
pub(super) fn judge(thing: Expiring, rules: &Rules<'_>, now: Timestamp) -> Judged {
    let days_left = days_between(now, thing.ends_at, rules.zone);
    let Some(level) = level(rules.levels, days_left, &thing, now) else {
        return Judged::Nothing;
    };
    if let KnownAs::Subject {
        issuer_ends_at: Some(issuer),
        ..
    } = &thing.known_as
        && *issuer <= thing.ends_at
    {
        return Judged::Covered;
    }
    let untold = |who: &&&str| {
        let told = |(recipient, told): &(String, i64)| recipient == *who && *told <= level.code();
        !thing.told.iter().any(told)
    };
    let untold: Vec<String> = rules
        .audience
        .iter()
        .filter(untold)
        .map(|who| (*who).to_owned())
        .collect();
    if untold.is_empty() {
        return Judged::Nothing;
    }
    Judged::Due(Due {
        thing,
        level,
        days_left,
        untold,
    })
}

/// Midnights of `zone` between two instants.
fn days_between(now: Timestamp, end: Timestamp, zone: Tz) -> i64 {
    (day_of(end, zone) - day_of(now, zone)).num_days()
}

/// The lowest level that reaches `days_left`, of those that are worth telling of a thing with its life.
fn level(levels: &[u32], days_left: i64, thing: &Expiring, now: Timestamp) -> Option<Level> {
    if thing.ends_at <= now {
        return Some(Level::Expired);
    }
    let life = thing.begins_at.map(|begin| (begin, thing.ends_at));
    if life.is_some_and(|life| now < expiry::told_from(life)) {
        return None;
    }
    let worth = |days: &&u32| {
        let lead = TimeDelta::days((**days).into());
        life.is_none_or(|life| expiry::counts(lead, life))
    };
    let reaches = |days: &&u32| i64::from(**days) >= days_left;
    levels
        .iter()
        .filter(worth)
        .filter(reaches)
        .min()
        .copied()
        .map(Level::Days)
}

#[cfg(test)]
mod tests;
