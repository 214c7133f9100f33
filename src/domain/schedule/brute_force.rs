//! An independent computation of ticks and windows, for tests.
//!
//! It walks a span minute by minute in UTC, asks chrono-tz for the local time of each minute (which
//! is never ambiguous in that direction) and matches fields with a matcher of its own. It shares no
//! code with what it checks, knows no transitions and looks at no offsets.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Weekday};
use chrono_tz::Tz;

use crate::domain::time::Timestamp;

/// A span of a zone, minute by minute.
pub(crate) struct Minutes {
    pub zone: Tz,
    /// Each minute and its local time, in order.
    pub all: Vec<(Timestamp, NaiveDateTime)>,
    /// The instants of each local time that came.
    when: BTreeMap<NaiveDateTime, Vec<Timestamp>>,
}

impl Minutes {
    pub(crate) fn new(zone: Tz, start: &str, days: i64) -> Self {
        let start = instant(start);
        let local = |at: Timestamp| (at, at.with_timezone(&zone).naive_local());
        let minutes = (0..days * 1440).map(|n| local(start + TimeDelta::minutes(n)));
        let all: Vec<_> = minutes.collect();
        let mut when: BTreeMap<NaiveDateTime, Vec<Timestamp>> = BTreeMap::new();
        for (at, local) in &all {
            when.entry(*local).or_default().push(*at);
        }
        Self { zone, all, when }
    }

    pub(crate) fn start(&self) -> Timestamp {
        self.all[0].0
    }

    pub(crate) fn end(&self) -> Timestamp {
        self.all[self.all.len() - 1].0
    }

    /// The minutes at which a five-field expression fires, by the rule of `Schedule`.
    pub(crate) fn ticks(&self, expression: &str) -> Vec<Timestamp> {
        let fields = Matcher::new(expression);
        let mut fired = Vec::new();
        let mut newest = self.all[0].1 - TimeDelta::minutes(1);
        for (at, local) in &self.all {
            let mut fires = fields.matches(*local) && (*local > newest || fields.is_pace);
            let mut skipped = newest + TimeDelta::minutes(1);
            while skipped < *local {
                fires |= fields.matches(skipped) && !fields.every_hour;
                skipped += TimeDelta::minutes(1);
            }
            newest = newest.max(*local);
            if fires {
                fired.push(*at);
            }
        }
        fired
    }

    /// The spans in which a window is open, `(opens, closes)`, joined where they touch. Windows that
    /// are cut by the ends of the span are left out.
    pub(crate) fn openings(
        &self,
        start: NaiveTime,
        end: NaiveTime,
        days: &[Weekday],
    ) -> Vec<(Timestamp, Timestamp)> {
        // A time that never came is replaced by the earliest instant of the next one that did.
        let find = |local: NaiveDateTime| self.when.range(local..).next();
        let first_day = self.all[0].1.date() + TimeDelta::days(1);
        let last_day = self.all[self.all.len() - 1].1.date() - TimeDelta::days(1);
        let mut open: Vec<(Timestamp, Timestamp)> = Vec::new();
        for day in first_day.iter_days().take_while(|day| *day < last_day) {
            if !days.contains(&day.weekday()) {
                continue;
            }
            let closing_day = if end > start { day } else { next(day) };
            let (_, opens) = find(day.and_time(start)).unwrap();
            let (closing, closes) = find(closing_day.and_time(end)).unwrap();
            let exact = *closing == closing_day.and_time(end);
            let opens = *opens.first().unwrap();
            let closes = *if exact { closes.last() } else { closes.first() }.unwrap();
            if opens >= closes {
                continue;
            }
            match open.last_mut() {
                Some(last) if opens <= last.1 => last.1 = last.1.max(closes),
                _ => open.push((opens, closes)),
            }
        }
        open
    }
}

fn next(day: NaiveDate) -> NaiveDate {
    day + TimeDelta::days(1)
}

/// Spans of zones whose clocks change in every way we know of, computed once for all tests.
pub(crate) fn years() -> &'static [Minutes] {
    static YEARS: LazyLock<Vec<Minutes>> = LazyLock::new(|| {
        [
            ("America/Sao_Paulo", "2017-10-01T00:00:00Z", 366),
            ("Europe/Berlin", "2025-01-01T00:00:00Z", 365),
            ("Australia/Lord_Howe", "2024-01-01T00:00:00Z", 366),
            // One minute past midnight, so that local days interleave.
            ("America/St_Johns", "2006-10-20T00:00:00Z", 20),
            // A whole day skipped.
            ("Pacific/Apia", "2011-12-20T00:00:00Z", 20),
            // Two hours at once.
            ("Antarctica/Troll", "2025-03-20T00:00:00Z", 20),
            // The hour after midnight, repeated and skipped.
            ("America/Havana", "2024-10-25T00:00:00Z", 20),
            ("America/Havana", "2024-03-01T00:00:00Z", 20),
        ]
        .into_iter()
        .map(|(zone, start, days)| Minutes::new(zone.parse().unwrap(), start, days))
        .collect()
    });
    &YEARS
}

/// Reads an instant in RFC 3339.
pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Matches the five fields, of numbers, lists, ranges, `*` and `*/n` only.
struct Matcher {
    /// Per field, a bit for each value it names.
    sets: [u64; 5],
    any_date: bool,
    any_weekday: bool,
    is_pace: bool,
    every_hour: bool,
}

impl Matcher {
    fn new(expression: &str) -> Self {
        let fields: Vec<&str> = expression.split(' ').collect();
        let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
        let sets = std::array::from_fn(|n| set(fields[n], bounds[n]));
        Self {
            any_date: fields[2] == "*",
            any_weekday: fields[4] == "*",
            is_pace: fields[0].starts_with('*') || fields[1].starts_with('*'),
            every_hour: sets[1].count_ones() == 24,
            sets,
        }
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        let [minutes, hours, dates, months, weekdays] = self.sets;
        let named = |set: u64, value: u32| set >> value & 1 == 1;
        if local.second() != 0
            || !named(minutes, local.minute())
            || !named(hours, local.hour())
            || !named(months, local.month())
        {
            return false;
        }
        let date = named(dates, local.day());
        let weekday = named(weekdays, local.weekday().num_days_from_sunday());
        if self.any_date || self.any_weekday {
            date && weekday
        } else {
            date || weekday
        }
    }
}

fn set(field: &str, (min, max): (u32, u32)) -> u64 {
    let mut values = 0;
    for entry in field.split(',') {
        let (range, step) = entry.split_once('/').unwrap_or((entry, "1"));
        let (low, high) = match range.split_once('-') {
            Some((low, high)) => (low.parse().unwrap(), high.parse().unwrap()),
            None if range == "*" => (min, max),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        for value in (low..=high).step_by(step.parse().unwrap()) {
            values |= 1 << value;
        }
    }
    values
}
