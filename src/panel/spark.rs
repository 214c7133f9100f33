//! The last day as a small picture and as a chart of bars.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::TimeDelta;

use super::moment::At;
use super::text as t;
use super::words::count;
use crate::api::activity::{ActivityView, PARTS, PartView};
use crate::domain::task::ProcessOutcome;
use crate::domain::time::Timestamp;

/// Outcomes that somebody should look at.
const WRONG: [ProcessOutcome; 5] = [
    ProcessOutcome::Failed,
    ProcessOutcome::Unverified,
    ProcessOutcome::Panicked,
    ProcessOutcome::TimedOut,
    ProcessOutcome::Lost,
];

/// Marks below a chart, from a day ago to now.
const MARKS: i32 = 4;

/// Whether somebody should look at a run that ended so.
pub(super) fn is_wrong(outcome: ProcessOutcome) -> bool {
    WRONG.contains(&outcome)
}

/// The instants below a chart.
pub(super) fn marks(now: Timestamp) -> Vec<At> {
    (0..=MARKS)
        .map(|mark| At(now - TimeDelta::hours(i64::from(24 - mark * 24 / MARKS))))
        .collect()
}

/// A bar for each part of the day, of two pieces: what is well stands on what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bars(Vec<(u64, u64)>);

impl Bars {
    /// These parts of the day.
    pub(super) const fn new(parts: Vec<(u64, u64)>) -> Self {
        Self(parts)
    }

    /// The small picture for a row of a table.
    pub(super) fn spark(&self) -> Spark<'_> {
        Spark {
            bars: self,
            height: 18,
            top: self.highest().max(1),
        }
    }

    /// The picture of a chart.
    pub(super) fn chart(&self) -> Spark<'_> {
        Spark {
            bars: self,
            height: 96,
            top: self.top(),
        }
    }

    /// The numbers beside a chart: its top, its middle and nothing.
    pub(super) fn axis(&self) -> [String; 3] {
        [self.top(), self.top() / 2, 0].map(count)
    }

    /// The highest bar.
    pub(super) fn highest(&self) -> u64 {
        let heights = self.0.iter().map(|(well, wrong)| well + wrong);
        heights.max().unwrap_or_default()
    }

    /// The top of a chart: even, so that its middle is a whole number.
    fn top(&self) -> u64 {
        self.highest().max(2).next_multiple_of(2)
    }
}

/// How many runs of each part of the day went well and wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    /// As a picture.
    pub(super) bars: Bars,
}

impl Day {
    /// The day of one robot.
    pub(super) fn of(activity: &ActivityView, robot: &str) -> Self {
        Self::from_parts(activity.robots.get(robot).into_iter().flatten())
    }

    /// The day of all robots together.
    pub(super) fn of_all(activity: &ActivityView) -> Self {
        Self::from_parts(activity.robots.values().flatten())
    }

    /// Only what went wrong.
    pub(super) fn wrong(&self) -> Self {
        let Bars(parts) = &self.bars;
        Self {
            bars: Bars(parts.iter().map(|(_, wrong)| (0, *wrong)).collect()),
        }
    }

    fn from_parts<'a>(parts: impl IntoIterator<Item = &'a PartView>) -> Self {
        let mut day = vec![(0, 0); PARTS];
        for part in parts {
            let wrong: u64 = WRONG
                .iter()
                .filter_map(|outcome| part.outcomes.get(outcome.as_str()))
                .sum();
            let all: u64 = part.outcomes.values().sum();
            if let Some((well_here, wrong_here)) = day.get_mut(part.part) {
                *well_here += all.saturating_sub(wrong);
                *wrong_here += wrong;
            }
        }
        Self { bars: Bars(day) }
    }

    /// Runs that went well, and that went wrong.
    pub(super) fn totals(&self) -> (u64, u64) {
        let Bars(parts) = &self.bars;
        parts.iter().fold((0, 0), |(well, wrong), part| {
            (well + part.0, wrong + part.1)
        })
    }

    /// In words, for who does not see the picture.
    pub(super) fn words(&self) -> String {
        let (well, wrong) = self.totals();
        format!(
            "{} {}, {} {}",
            count(well),
            t::WENT_WELL,
            count(wrong),
            t::WENT_WRONG
        )
    }

    /// What its colours mean, with how many there are: class and words.
    pub(super) fn captions(&self) -> Vec<(&'static str, String)> {
        let (well, wrong) = self.totals();
        let caption = |class, number, words| (class, format!("{} {words}", count(number)));
        let mut captions = Vec::from([caption("wrong", wrong, t::WENT_WRONG)]);
        if well > 0 || wrong == 0 {
            captions.insert(0, caption("well", well, t::WENT_WELL));
        }
        captions
    }
}

/// [`Bars`] of two units' width, wrong pieces below in their own colour. Writes markup of digits only.
#[derive(Debug)]
pub(super) struct Spark<'a> {
    bars: &'a Bars,
    height: u64,
    top: u64,
}

impl HtmlSafe for Spark<'_> {}

impl fmt::Display for Spark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Anything at all is at least one unit high: one failure among a million runs is seen.
        let scaled = |count: u64| match count {
            0 => 0,
            count => (count.saturating_mul(self.height) / self.top).max(1),
        };
        let Bars(parts) = self.bars;
        let (mut well, mut wrong) = (String::new(), String::new());
        for (at, (good, bad)) in parts.iter().enumerate() {
            let (x, bottom) = (at * 2 + 1, self.height);
            let bad = scaled(*bad);
            let good = scaled(*good).min(bottom - bad);
            if bad > 0 {
                wrong.push_str(&format!("M{x} {bottom}v-{bad}"));
            }
            if good > 0 {
                well.push_str(&format!("M{x} {}v-{good}", bottom - bad));
            }
        }
        write!(
            f,
            "<path class=\"well\" d=\"{well}\"/><path class=\"wrong\" d=\"{wrong}\"/>"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn part(at: usize, outcomes: &[(&'static str, u64)]) -> PartView {
        PartView {
            part: at,
            outcomes: outcomes.iter().copied().collect::<BTreeMap<_, _>>(),
            took: Duration::ZERO,
            longest: Duration::ZERO,
            longest_wait: Duration::ZERO,
        }
    }

    #[test]
    fn bars_are_scaled_to_the_highest_and_trouble_is_always_seen() {
        let day = Day::from_parts(&[
            part(0, &[("succeeded", 1_000_000), ("failed", 1)]),
            part(2, &[("succeeded", 500_000), ("cancelled", 1)]),
            part(99, &[("succeeded", 9)]),
        ]);
        assert_eq!(day.totals(), (1_500_001, 1));
        assert_eq!(day.words(), "1,500,001 went well, 1 went wrong");
        assert_eq!(
            day.bars.spark().to_string(),
            "<path class=\"well\" d=\"M1 17v-17M5 18v-9\"/><path class=\"wrong\" d=\"M1 18v-1\"/>"
        );
    }

    #[test]
    fn what_went_wrong_has_a_scale_of_its_own() {
        let day = Day::from_parts(&[
            part(0, &[("succeeded", 1_000_000), ("lost", 3)]),
            part(0, &[("failed", 2)]),
        ]);
        assert_eq!(day.totals(), (1_000_000, 5));
        assert_eq!(day.bars.axis(), ["1,000,006", "500,003", "0"]);
        assert_eq!(day.wrong().bars.axis(), ["6", "3", "0"]);
        assert_eq!(
            day.wrong().captions(),
            [("wrong", "5 went wrong".to_owned())]
        );
        assert_eq!(day.captions().len(), 2);
    }

    #[test]
    fn a_day_without_runs_has_no_bars() {
        let day = Day::from_parts(&[]);
        assert_eq!(day.bars.axis(), ["2", "1", "0"]);
        assert_eq!(
            day.bars.chart().to_string(),
            "<path class=\"well\" d=\"\"/><path class=\"wrong\" d=\"\"/>"
        );
    }
}
