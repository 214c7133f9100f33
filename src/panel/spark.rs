//! The last day of a robot as a small picture and as a chart.

use std::fmt;

use askama::filters::HtmlSafe;

use super::text as t;
use super::words::count;
use crate::api::activity::{ActivityView, PARTS, PartView};
use crate::domain::task::ProcessOutcome;

/// Outcomes that somebody should look at.
const WRONG: [ProcessOutcome; 5] = [
    ProcessOutcome::Failed,
    ProcessOutcome::Unverified,
    ProcessOutcome::Panicked,
    ProcessOutcome::TimedOut,
    ProcessOutcome::Lost,
];

/// How many runs of each part of the day went well and wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    parts: Vec<(u64, u64)>,
}

impl Day {
    /// The day of one robot.
    pub(super) fn of(activity: &ActivityView, robot: &str) -> Self {
        let parts = activity.robots.get(robot).map_or(&[][..], Vec::as_slice);
        Self::from_parts(parts)
    }

    fn from_parts(parts: &[PartView]) -> Self {
        let mut day = vec![(0, 0); PARTS];
        for part in parts {
            let wrong: u64 = WRONG
                .iter()
                .filter_map(|outcome| part.outcomes.get(outcome.as_str()))
                .sum();
            let all: u64 = part.outcomes.values().sum();
            if let Some(place) = day.get_mut(part.part) {
                *place = (all.saturating_sub(wrong), wrong);
            }
        }
        Self { parts: day }
    }

    /// Runs that went well, and that went wrong.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.parts.iter().fold((0, 0), |(well, wrong), part| {
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

    /// The small picture for a row of a table.
    pub(super) const fn spark(&self) -> Spark<'_> {
        Spark {
            day: self,
            height: 18,
        }
    }

    /// The bars of the chart of a robot's own page.
    pub(super) const fn chart(&self) -> Spark<'_> {
        Spark {
            day: self,
            height: 96,
        }
    }

    /// The highest bar of the picture, for its axis.
    pub(super) fn highest(&self) -> u64 {
        let heights = self.parts.iter().map(|(well, wrong)| well + wrong);
        heights.max().unwrap_or_default()
    }
}

/// Bars of two units' width, wrong ones below in their own colour. Writes markup of digits only.
#[derive(Debug)]
pub(super) struct Spark<'a> {
    day: &'a Day,
    height: u64,
}

impl HtmlSafe for Spark<'_> {}

impl fmt::Display for Spark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.day.highest().max(1);
        // Anything at all is at least one unit high: one failure among a million runs is seen.
        let scaled = |count: u64| match count {
            0 => 0,
            count => (count.saturating_mul(self.height) / highest).max(1),
        };
        let (mut well, mut wrong) = (String::new(), String::new());
        for (at, (good, bad)) in self.day.parts.iter().enumerate() {
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

    use super::*;

    fn part(at: usize, outcomes: &[(&'static str, u64)]) -> PartView {
        PartView {
            part: at,
            outcomes: outcomes.iter().copied().collect::<BTreeMap<_, _>>(),
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
            day.spark().to_string(),
            "<path class=\"well\" d=\"M1 17v-17M5 18v-9\"/><path class=\"wrong\" d=\"M1 18v-1\"/>"
        );
    }

    #[test]
    fn a_day_without_runs_has_no_bars() {
        let day = Day::from_parts(&[]);
        assert_eq!(day.highest(), 0);
        assert_eq!(
            day.chart().to_string(),
            "<path class=\"well\" d=\"\"/><path class=\"wrong\" d=\"\"/>"
        );
    }
}
