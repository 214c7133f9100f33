//! The instants of a cron expression in a time zone.
//!
//! The time line is cut where the offset of the zone changes. Between two cuts wall-clock time runs
//! evenly, so instants can be counted by arithmetic and none is ever out of order. At a cut the rule
//! on daylight saving time, written at [`super::Schedule`], decides what is dropped or made up.
//!
//! Instants and wall-clock times are seconds since 1970 here; a wall-clock time is the instant plus
//! the offset.

use std::ops::Range;

use chrono_tz::Tz;

use super::cron::CronExpression;
use super::zone::{self, DAY, Transition};

/// How far ahead a next instant is looked for, in days: 29 February on a given weekday comes back
/// after at most 40 years (over 2100, which is no leap year).
const SEARCH_DAYS: i64 = 41 * 366;

/// How much of the time line is cut at once while looking for the next instant, in seconds.
const SEARCH_WINDOW: i64 = 3 * DAY;

/// A stretch of the time line with one offset, and what fires in it.
struct Segment {
    /// The instant that makes up for times skipped at the start of the segment.
    made_up: Option<i64>,
    /// The wall-clock times at which the expression is read.
    wall: Range<i64>,
    /// Seconds east of UTC.
    offset: i64,
}

impl Segment {
    /// How many instants fire in the segment.
    fn count(&self, cron: &CronExpression) -> i64 {
        let days = self.days();
        let walls: i64 = days
            .filter(|day| cron.names_day(*day))
            .map(|day| {
                let ranks = self.ranks(cron, day);
                ranks.end - ranks.start
            })
            .sum();
        walls + i64::from(self.made_up.is_some())
    }

    /// The first instant that fires in the segment.
    fn first(&self, cron: &CronExpression) -> Option<i64> {
        let regular = || {
            self.days()
                .filter(|day| cron.names_day(*day))
                .find_map(|day| self.instants(cron, day).next())
        };
        self.made_up.or_else(regular)
    }

    /// The instants of the segment, latest first.
    fn backward<'a>(&'a self, cron: &'a CronExpression) -> impl Iterator<Item = i64> + 'a {
        self.days()
            .rev()
            .filter(|day| cron.names_day(*day))
            .flat_map(|day| self.instants(cron, day).rev())
            .chain(self.made_up)
    }

    fn days(&self) -> Range<i64> {
        if self.wall.is_empty() {
            return 0..0;
        }
        self.wall.start.div_euclid(DAY)..(self.wall.end - 1).div_euclid(DAY) + 1
    }

    /// The ranks of the named times of `day` that lie in the segment.
    fn ranks(&self, cron: &CronExpression, day: i64) -> Range<i64> {
        let midnight = day * DAY;
        let from = (self.wall.start - midnight).clamp(0, DAY);
        let until = (self.wall.end - midnight).clamp(0, DAY);
        cron.rank(from)..cron.rank(until)
    }

    /// The instants of a named day that lie in the segment.
    fn instants<'a>(
        &'a self,
        cron: &'a CronExpression,
        day: i64,
    ) -> impl DoubleEndedIterator<Item = i64> + 'a {
        self.ranks(cron, day)
            .filter_map(|rank| cron.time_of_rank(rank))
            .map(move |time| day * DAY + time - self.offset)
    }
}

/// Cuts `span` into segments of one offset each.
fn segments(cron: &CronExpression, zone: Tz, span: &Range<i64>) -> Vec<Segment> {
    // One day back finds the change whose repeated times the span may start in: none lasts longer.
    let changes = zone::transitions(zone, span.start - DAY, span.end);
    let inside = changes
        .iter()
        .map(|change| change.at)
        .filter(|at| *at > span.start);
    let mut starts = vec![span.start];
    starts.extend(inside);
    let ends = starts.iter().skip(1).copied().chain([span.end]);
    let cut = |(start, end): (&i64, i64)| {
        let opened_by = changes.iter().rev().find(|change| change.at <= *start);
        segment(cron, zone, *start..end, opened_by)
    };
    starts.iter().zip(ends).map(cut).collect()
}

fn segment(
    cron: &CronExpression,
    zone: Tz,
    span: Range<i64>,
    opened_by: Option<&Transition>,
) -> Segment {
    let offset = zone::offset_at(zone, span.start);
    let mut wall = span.start + offset..span.end + offset;
    let mut made_up = None;
    match opened_by {
        Some(change) if change.is_gap() && change.at == span.start => {
            made_up = makes_up(cron, change).then_some(change.at);
        }
        Some(change) if !change.is_gap() && !cron.repeats_in_fold() => {
            wall.start = wall.start.max(change.wall_end());
        }
        _ => {}
    }
    Segment {
        made_up,
        wall,
        offset,
    }
}

/// Whether the first instant after a gap stands for times that were skipped in it.
fn makes_up(cron: &CronExpression, gap: &Transition) -> bool {
    let skipped = Segment {
        made_up: None,
        wall: gap.wall_start()..gap.wall_end(),
        offset: 0,
    };
    !cron.names_every_hour()
        && skipped.first(cron).is_some()
        && !cron.names_wall(gap.at + gap.after)
}

/// The first instant at or after `from`.
pub(super) fn next_from(cron: &CronExpression, zone: Tz, from: i64) -> Option<i64> {
    let last_day = from.div_euclid(DAY) + SEARCH_DAYS;
    let mut from = from;
    loop {
        // Wall-clock time is less than a day away from UTC, on either side.
        let today = from.div_euclid(DAY);
        let day = cron.next_day(today - 1..last_day)?;
        if day > today + 2 {
            from = (day - 2) * DAY;
        }
        let until = from + SEARCH_WINDOW;
        let found = segments(cron, zone, &(from..until))
            .iter()
            .find_map(|segment| segment.first(cron));
        if found.is_some() {
            return found;
        }
        from = until;
    }
}

/// Instants of a span: the latest ones, and what precedes them.
pub(super) struct Latest {
    /// The latest instants, in order.
    pub instants: Vec<i64>,
    /// The first and the last of the instants before those, and their number.
    pub earlier: Option<(i64, i64, u64)>,
}

/// The last `max` instants of `span`, and how many precede them.
///
/// The work grows with the days of the span, not with the number of instants.
pub(super) fn latest(cron: &CronExpression, zone: Tz, span: &Range<i64>, max: usize) -> Latest {
    let segments = if span.is_empty() {
        Vec::new()
    } else {
        segments(cron, zone, span)
    };
    let total: i64 = segments.iter().map(|segment| segment.count(cron)).sum();
    let total = u64::try_from(total).unwrap_or_default();
    // One more than asked for: it is the last of the earlier ones.
    let mut instants: Vec<i64> = segments
        .iter()
        .rev()
        .flat_map(|segment| segment.backward(cron))
        .take(max.saturating_add(1))
        .collect();
    let before = (instants.len() > max).then(|| instants.pop()).flatten();
    instants.reverse();
    let first = segments.iter().find_map(|segment| segment.first(cron));
    let earlier = first.zip(before).map(|(first, last)| {
        let kept = u64::try_from(instants.len()).unwrap_or(u64::MAX);
        (first, last, total.saturating_sub(kept))
    });
    Latest { instants, earlier }
}
