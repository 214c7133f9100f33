//! A cron expression as the set of wall-clock times it names.
//!
//! The `croner` crate reads the fields and knows which days they name (`L`, `W`, `#` included). It
//! is not asked for instants: what daylight saving time does to them is decided in
//! [`super::occurrence`], by our own rule.

use std::fmt;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, CronPattern, Weekday};
use thiserror::Error;

use super::zone::DAY;

/// The longest accepted expression, in bytes: all sixty minutes listed one by one, twice over.
const MAX_TEXT: usize = 400;

/// 1 January 2000 in days since 1970: where [`CronExpression::parse`] looks for a first match.
const PROBE_START: i64 = 10_957;
/// 28 years: within 2000 to 2027 every date of the calendar, leap day included, falls on every
/// weekday, so an expression that names no day there names none at all.
const PROBE_DAYS: i64 = 28 * 366;

/// Names allowed in the month field.
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
/// Names allowed in the weekday field.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Why a text is not an accepted cron expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CronError {
    /// The text is too long.
    #[error("a cron expression has at most {MAX_TEXT} characters")]
    TooLong,
    /// The text has neither five nor six fields.
    #[error(
        "`{text}` has {fields} fields, but a cron expression has five (minute hour day month \
         weekday) or six (seconds first)"
    )]
    FieldCount {
        /// The refused text.
        text: String,
        /// How many fields it has.
        fields: usize,
    },
    /// A field cannot be read.
    #[error("`{text}` is not a cron expression: {reason}")]
    Malformed {
        /// The refused text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The fields are fine one by one but no date fulfils them all, as on 30 February.
    #[error("`{0}` never fires: no date matches it")]
    NeverFires(String),
}

/// A cron expression of five fields, or six with seconds first.
///
/// Fields are those of Vixie cron, with `L`, `W` and `#` for days; when both day fields are
/// restricted a day matches if either does (both, when the weekday field starts with `+`).
///
/// Cloning is cheap: the fields are shared.
#[derive(Clone)]
pub struct CronExpression(Arc<Parsed>);

/// What an expression was read to.
struct Parsed {
    text: String,
    pattern: CronPattern,
    hours: Vec<i64>,
    minutes: Vec<i64>,
    seconds: Vec<i64>,
    repeats_in_fold: bool,
}

impl PartialEq for CronExpression {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for CronExpression {}

impl fmt::Debug for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CronExpression").field(&self.0.text).finish()
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// What the fields are called, when there are all six.
const FIELDS: [&str; 6] = ["second", "minute", "hour", "day", "month", "weekday"];

/// The field that cannot be read, where one alone is to blame.
fn bad_field(parser: &CronParser, fields: &[&str]) -> Option<String> {
    let names = &FIELDS[FIELDS.len() - fields.len()..];
    let alone = |place: usize| {
        let others =
            (0..fields.len()).map(|other| if other == place { fields[place] } else { "*" });
        others.collect::<Vec<_>>().join(" ")
    };
    let bad = (0..fields.len()).find(|place| parser.parse(&alone(*place)).is_err())?;
    Some(format!("{} `{}`", names[bad], fields[bad]))
}

impl CronExpression {
    /// Reads an expression; surplus white space is dropped.
    ///
    /// # Errors
    ///
    /// A wrong number of fields, a field that cannot be read, or an expression no date fulfils.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > MAX_TEXT {
            return Err(CronError::TooLong);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let text = fields.join(" ");
        if !(5..=6).contains(&fields.len()) {
            let fields = fields.len();
            return Err(CronError::FieldCount { text, fields });
        }
        let malformed = |reason: String| CronError::Malformed {
            text: text.clone(),
            reason,
        };
        check_tokens(&fields).map_err(malformed)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(&text).map_err(|error| {
            let error = match error {
                croner::errors::CronError::ComponentError(reason) => reason,
                other => other.to_string(),
            };
            malformed(match bad_field(&parser, &fields) {
                Some(field) => format!("{field}: {error}"),
                None => error,
            })
        })?;
        let (minute, hour) = (fields[fields.len() - 5], fields[fields.len() - 4]);
        let expression = Self::from_pattern(text.clone(), cron, minute, hour);
        let probe = PROBE_START..PROBE_START + PROBE_DAYS;
        if expression.per_day() == 0 || expression.next_day(probe).is_none() {
            return Err(CronError::NeverFires(text));
        }
        Ok(expression)
    }

    fn from_pattern(text: String, cron: Cron, minute: &str, hour: &str) -> Self {
        let values = |field: &croner::CronComponent| field.values().into_iter().map(i64::from);
        let pattern = cron.pattern;
        Self(Arc::new(Parsed {
            hours: values(&pattern.hours).collect(),
            minutes: values(&pattern.minutes).collect(),
            seconds: values(&pattern.seconds).collect(),
            repeats_in_fold: minute.starts_with('*') || hour.starts_with('*'),
            text,
            pattern,
        }))
    }

    /// The expression as written, with single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether the minute or the hour field starts with `*`, so that the expression means a pace
    /// rather than a time of day and goes on through both passes of a repeated hour.
    pub(super) fn repeats_in_fold(&self) -> bool {
        self.0.repeats_in_fold
    }

    /// Whether some time of every hour is named, so that a skipped hour needs no making up.
    pub(super) fn names_every_hour(&self) -> bool {
        self.0.hours.len() == 24
    }

    /// How many times of day are named.
    pub(super) fn per_day(&self) -> i64 {
        count(&self.0.hours) * count(&self.0.minutes) * count(&self.0.seconds)
    }

    /// How many of the named times of day come before `time`, in seconds since midnight.
    pub(super) fn rank(&self, time: i64) -> i64 {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        let (hours, has_hour) = below(&self.0.hours, hour);
        let (minutes, has_minute) = below(&self.0.minutes, minute);
        let (seconds, _) = below(&self.0.seconds, second);
        let per_minute = count(&self.0.seconds);
        let in_hour = if has_minute { seconds } else { 0 } + minutes * per_minute;
        hours * count(&self.0.minutes) * per_minute + if has_hour { in_hour } else { 0 }
    }

    /// The named time of day with the given rank, in seconds since midnight.
    pub(super) fn time_of_rank(&self, rank: i64) -> Option<i64> {
        let (per_minute, per_hour) = (
            count(&self.0.seconds),
            count(&self.0.seconds) * count(&self.0.minutes),
        );
        let pick = |values: &[i64], index: i64| {
            usize::try_from(index)
                .ok()
                .and_then(|index| values.get(index).copied())
        };
        let hour = pick(&self.0.hours, rank.checked_div(per_hour)?)?;
        let minute = pick(&self.0.minutes, rank % per_hour / per_minute)?;
        let second = pick(&self.0.seconds, rank % per_minute)?;
        Some(hour * 3600 + minute * 60 + second)
    }

    /// Whether the expression names the day, given in days since 1970.
    pub(super) fn names_day(&self, day: i64) -> bool {
        let Some(date) = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days) else {
            return false;
        };
        let weekday = Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
        // The date is real, so croner has no reason to fail; a day it cannot judge is not named.
        let month = self.0.pattern.month_match(date.month());
        month.is_ok_and(|matches| matches)
            && self
                .0
                .pattern
                .day_match(date.year(), date.month(), date.day(), weekday)
                .is_ok_and(|matches| matches)
    }

    /// The first named day of the range, in days since 1970.
    pub(super) fn next_day(&self, days: std::ops::Range<i64>) -> Option<i64> {
        days.into_iter().find(|day| self.names_day(*day))
    }

    /// Whether the expression names the wall-clock second, given in seconds since 1970.
    pub(super) fn names_wall(&self, wall: i64) -> bool {
        let time = wall.rem_euclid(DAY);
        self.rank(time + 1) > self.rank(time) && self.names_day(wall.div_euclid(DAY))
    }
}

fn count(values: &[i64]) -> i64 {
    i64::try_from(values.len()).unwrap_or(i64::MAX)
}

/// How many of the ascending `values` are smaller than `value`, and whether it is among them.
fn below(values: &[i64], value: i64) -> (i64, bool) {
    let index = values.partition_point(|candidate| *candidate < value);
    (count(&values[..index]), values.get(index) == Some(&value))
}

/// Refuses what croner would read as something else: it replaces names anywhere in the text, so
/// `MON` as a minute would be 1 and `1JAN` as a month 11, and it skips empty list entries.
fn check_tokens(fields: &[&str]) -> Result<(), String> {
    for (index, field) in fields.iter().enumerate() {
        let names: &[&str] = match fields.len() - index {
            2 => &MONTHS,
            1 => &WEEKDAYS,
            _ => &[],
        };
        for token in field.split([',', '-', '/', '#', '+']) {
            let upper = token.to_ascii_uppercase();
            let letters = upper.chars().filter(char::is_ascii_alphabetic).count();
            let named = names.contains(&upper.trim_end_matches('L')) || letters < 3;
            if !named {
                return Err(format!("`{token}` is no value of its field"));
            }
        }
        let mut entries = field.split(',');
        if entries.any(str::is_empty) || !field.is_ascii() || field.contains('@') {
            return Err(format!("`{field}` is not a cron field"));
        }
    }
    Ok(())
}
