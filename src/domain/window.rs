//! The time of day in which a robot may run.
//!
//! A window recurs: it opens at a local time on the days it names and closes at another local time,
//! on the next day when that is not later than the opening.
//!
//! Daylight saving time: an edge the clock skips moves to the first instant after the gap. An edge
//! that occurs twice opens at its first and closes at its second occurrence, so that the window is
//! never shorter than its text promises. When nothing remains of a window, because all of it lies in
//! the gap, it does not open that day.

#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{Datelike, Days as DayCount, NaiveDate, NaiveTime, Timelike, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeSeq};
use thiserror::Error;

use crate::domain::schedule::zone::{self, Wall};
use crate::domain::time::Timestamp;

/// How many days ahead an opening is looked for: a window open on one weekday that falls into the
/// gap of a change opens a week later; four weeks leave room for any number of odd changes.
const OPENING_DAYS: usize = 28;

/// How many windows in a row are joined for one closing edge: those of a week that is open on six
/// days, and one more for a change of the clock.
const JOINED_MAX: u64 = 8;

/// Days of the week; never empty when read from JSON.
///
/// JSON: a list of `mon tue wed thu fri sat sun`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Days(u8);

impl Days {
    /// Every day of the week.
    pub const ALL: Self = Self(0b0111_1111);

    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    /// Whether the day is among them.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & bit(day.num_days_from_monday()) != 0
    }

    /// Whether there is no day among them.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the days, Monday first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..)
            .zip(Self::NAMES)
            .filter(move |(index, _)| self.0 & bit(*index) != 0)
            .map(|(_, name)| name)
    }
}

fn bit(days_from_monday: u32) -> u8 {
    1 << (days_from_monday % 7)
}

impl Default for Days {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Debug for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl FromIterator<Weekday> for Days {
    fn from_iter<T: IntoIterator<Item = Weekday>>(days: T) -> Self {
        let add = |bits, day: Weekday| bits | bit(day.num_days_from_monday());
        Self(days.into_iter().fold(0, add))
    }
}

impl Serialize for Days {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for name in self.names() {
            list.serialize_element(name)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Reads the list entry by entry, so that nothing grows with its length.
        struct List;

        impl<'de> de::Visitor<'de> for List {
            type Value = Days;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of {}", Days::NAMES.join(", "))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Days, A::Error> {
                let mut days = Days(0);
                while let Some(name) = list.next_element::<String>()? {
                    let index = (0..).zip(Days::NAMES).find(|(_, known)| *known == name);
                    let Some((index, _)) = index else {
                        return Err(de::Error::unknown_variant(&name, &Days::NAMES));
                    };
                    days.0 |= bit(index);
                }
                Ok(days)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// What happens to runs that are still open when the window closes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtClose {
    /// Running and queued runs finish; only new ones are held back.
    #[default]
    Finish,
    /// Running ones finish, queued ones wait for the next opening.
    Drain,
    /// Running ones are cancelled, queued ones wait for the next opening.
    Cancel,
}

/// The recurring time of day in which a robot may run.
///
/// JSON: `{"start":"22:00","end":"06:00","days":["mon","tue"],"timezone":"America/Sao_Paulo",
/// "at_close":"finish"}`. Only `start` and `end` are required; the rest defaults to all days, UTC and
/// `finish`. Times are `HH:MM` or `HH:MM:SS`; `end` may be `24:00`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Window {
    /// The local time at which it opens, in whole seconds.
    pub start: NaiveTime,
    /// The local time at which it closes, in whole seconds: on the day it opened when later than
    /// `start`, else on the next one. Midnight (`24:00` in JSON) is therefore the end of the day, and
    /// a window from midnight to midnight lasts the whole day.
    pub end: NaiveTime,
    /// The local days on which it opens.
    pub days: Days,
    /// The zone of all these.
    pub timezone: Tz,
    /// What happens to open runs when it closes.
    pub at_close: AtClose,
}

/// Why a JSON value is not a window.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WindowError {
    /// An edge is not a time of day.
    #[error("`{field}` must be `HH:MM` or `HH:MM:SS`, from 00:00 to {last}")]
    Time {
        /// The name of the field.
        field: &'static str,
        /// The latest time the field may hold.
        last: &'static str,
    },
    /// A window that ends when it starts could mean none of the day or all of it.
    #[error("`end` must differ from `start`; for the whole day write `00:00` to `24:00`")]
    Empty,
    /// A window that opens on no day would never open.
    #[error("`days` must name at least one day")]
    NoDay,
    /// The zone is not in the IANA database.
    #[error("`timezone`: no zone of the IANA database has this name")]
    Timezone,
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    start: String,
    end: String,
    #[serde(default)]
    days: Days,
    #[serde(default = "utc")]
    timezone: String,
    #[serde(default)]
    at_close: AtClose,
}

fn utc() -> String {
    Tz::UTC.name().to_owned()
}

impl TryFrom<Fields> for Window {
    type Error = WindowError;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let start = time_of_day(&fields.start).ok_or(WindowError::Time {
            field: "start",
            last: "23:59:59",
        })?;
        let whole_day = matches!(fields.end.as_str(), "24:00" | "24:00:00");
        let end = match whole_day {
            true => Some(NaiveTime::MIN),
            false => time_of_day(&fields.end),
        };
        let end = end.ok_or(WindowError::Time {
            field: "end",
            last: "24:00",
        })?;
        if start == end && !whole_day {
            return Err(WindowError::Empty);
        }
        if fields.days.is_empty() {
            return Err(WindowError::NoDay);
        }
        Ok(Self {
            start,
            end,
            days: fields.days,
            timezone: fields.timezone.parse().map_err(|_| WindowError::Timezone)?,
            at_close: fields.at_close,
        })
    }
}

impl From<Window> for Fields {
    fn from(window: Window) -> Self {
        let end = match window.end {
            NaiveTime::MIN => "24:00".to_owned(),
            end => time_text(end),
        };
        Self {
            start: time_text(window.start),
            end,
            days: window.days,
            timezone: window.timezone.name().to_owned(),
            at_close: window.at_close,
        }
    }
}

/// Reads `HH:MM` or `HH:MM:SS`, two digits each.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    let mut parts = text.split(':').map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u32>().ok()).flatten()
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        Some(second) => second?,
        None => 0,
    };
    if parts.next().is_some() {
        return None;
    }
    NaiveTime::from_hms_opt(hour, minute, second)
}

fn time_text(time: NaiveTime) -> String {
    let form = if time.second() == 0 {
        "%H:%M"
    } else {
        "%H:%M:%S"
    };
    time.format(form).to_string()
}

/// One opening of a window: open from `opens`, closed from `closes` on, in seconds since 1970.
#[derive(Clone, Copy)]
struct Opening {
    opens: i64,
    closes: i64,
}

impl Window {
    /// Whether the window is open at an instant. The opening edge is within, the closing one is not.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.opening_at(at).is_some()
    }

    /// The first instant after `at` at which the window is closed; `None` when it is closed at `at`.
    ///
    /// Windows that follow each other without a break count as one. One that never closes answers
    /// `Timestamp::MAX_UTC`.
    #[must_use]
    pub fn closes_at(&self, at: Timestamp) -> Option<Timestamp> {
        let (mut day, opening) = self.opening_at(at)?;
        let mut closes = opening.closes;
        if self.never_closes() {
            return Some(Timestamp::MAX_UTC);
        }
        for _ in 0..JOINED_MAX {
            let Some(next) = day.checked_add_days(DayCount::new(1)) else {
                break;
            };
            day = next;
            match self.opening_of(day) {
                Some(opening) if opening.opens <= closes => closes = closes.max(opening.closes),
                _ => break,
            }
        }
        Timestamp::from_timestamp(closes, 0)
    }

    /// The first instant at or after `after` at which the window is open: `after` itself when it is
    /// open then.
    ///
    /// `None` for a window without days, and at the end of the range of a timestamp.
    #[must_use]
    pub fn next_open(&self, after: Timestamp) -> Option<Timestamp> {
        if self.is_open(after) {
            return Some(after);
        }
        self.days_from(after)
            .take(OPENING_DAYS)
            .filter_map(|day| self.opening_of(day))
            .filter_map(|opening| Timestamp::from_timestamp(opening.opens, 0))
            .find(|opens| *opens > after)
    }

    /// Whether the window is open at every instant.
    #[must_use]
    pub fn never_closes(&self) -> bool {
        self.start == self.end && self.days == Days::ALL
    }

    /// The opening that covers `at` and the local day it belongs to.
    fn opening_at(&self, at: Timestamp) -> Option<(NaiveDate, Opening)> {
        let seconds = at.timestamp();
        self.days_from(at)
            // Where midnight occurs twice, instants after the first one still or again belong to the
            // day before: hence one day more on either side than a window is long.
            .take(4)
            .filter_map(|day| Some((day, self.opening_of(day)?)))
            .filter(|(_, opening)| (opening.opens..opening.closes).contains(&seconds))
            .max_by_key(|(_, opening)| opening.closes)
    }

    /// Local days in order, from two days before that of `at`.
    fn days_from(&self, at: Timestamp) -> impl Iterator<Item = NaiveDate> {
        let local = zone::offset_at(self.timezone, at.timestamp()) + at.timestamp();
        let first = i32::try_from(local.div_euclid(zone::DAY) - 2)
            .ok()
            .and_then(NaiveDate::from_epoch_days);
        first.into_iter().flat_map(|day| day.iter_days())
    }

    /// The opening that belongs to a local day; `None` when it does not open that day.
    fn opening_of(&self, day: NaiveDate) -> Option<Opening> {
        if !self.days.contains(day.weekday()) {
            return None;
        }
        let last_day = if self.end > self.start {
            day
        } else {
            day.checked_add_days(DayCount::new(1))?
        };
        let opens = match zone::resolve(self.timezone, day.and_time(self.start)) {
            Wall::Once(at) | Wall::Gap(at) | Wall::Fold(at, _) => at,
        };
        let closes = match zone::resolve(self.timezone, last_day.and_time(self.end)) {
            Wall::Once(at) | Wall::Gap(at) | Wall::Fold(_, at) => at,
        };
        (opens < closes).then_some(Opening { opens, closes })
    }
}
