//! How long runs of the last day took and waited, as lines on a scale that reaches from milliseconds to hours.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;

use super::moment::took;
use super::text as t;
use crate::api::activity::{ActivityView, PARTS, PartView};

/// The marks of the scale, ten times or so from one to the next; between two of them it is even.
const SCALE: [(Duration, &str); 10] = [
    (Duration::from_micros(100), "0.1 ms"),
    (Duration::from_millis(1), "1 ms"),
    (Duration::from_millis(10), "10 ms"),
    (Duration::from_millis(100), "100 ms"),
    (Duration::from_secs(1), "1 s"),
    (Duration::from_secs(10), "10 s"),
    (Duration::from_mins(1), "1 min"),
    (Duration::from_mins(10), "10 min"),
    (Duration::from_hours(1), "1 h"),
    (Duration::from_hours(10), "10 h"),
];
/// Units of a picture's height from mark to mark.
const STEP: u128 = 24;

/// A line: its class, and what it shows of a part.
type Kind = (&'static str, fn(&Part) -> Duration);

/// What each part of the day had; parts without runs have nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Latency {
    parts: Vec<Option<Part>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    runs: u64,
    took: Duration,
    longest: Duration,
    longest_wait: Duration,
}

impl Part {
    fn add(&mut self, view: &PartView) {
        self.runs += view.outcomes.values().sum::<u64>();
        self.took = self.took.saturating_add(view.took);
        self.longest = self.longest.max(view.longest);
        self.longest_wait = self.longest_wait.max(view.longest_wait);
    }

    fn mean(&self) -> Duration {
        let runs = u32::try_from(self.runs.max(1)).unwrap_or(u32::MAX);
        self.took / runs
    }
}

impl Latency {
    /// Those of all robots together.
    pub(super) fn of(activity: &ActivityView) -> Self {
        let mut parts = vec![None; PARTS];
        for view in activity.robots.values().flatten() {
            if let Some(part) = parts.get_mut(view.part) {
                part.get_or_insert_with(Part::default).add(view);
            }
        }
        Self { parts }
    }

    /// Whether there was any run.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(Option::is_none)
    }

    /// In words, for who does not see the picture.
    pub(super) fn words(&self) -> String {
        let mut all = Part::default();
        for part in self.parts.iter().flatten() {
            all.runs += part.runs;
            all.took = all.took.saturating_add(part.took);
            all.longest = all.longest.max(part.longest);
            all.longest_wait = all.longest_wait.max(part.longest_wait);
        }
        format!(
            "{}: {}; {}: {}; {}: {}",
            t::MEAN_RUN,
            took(all.mean()),
            t::LONGEST_RUN,
            took(all.longest),
            t::LONGEST_WAIT,
            took(all.longest_wait)
        )
    }

    /// The marks beside the picture, from its top down.
    pub(super) fn axis(&self) -> Vec<&'static str> {
        let (low, high) = self.bounds();
        let marks = SCALE.get(low..=high).unwrap_or_default();
        marks.iter().rev().map(|(_, name)| *name).collect()
    }

    /// The height of the picture in its own units.
    pub(super) fn height(&self) -> u128 {
        let (low, high) = self.bounds();
        STEP * units(high - low)
    }

    /// The lines.
    pub(super) const fn picture(&self) -> Picture<'_> {
        Picture(self)
    }

    /// The marks between which all times lie.
    fn bounds(&self) -> (usize, usize) {
        let parts = self.parts.iter().flatten();
        let all = parts.flat_map(|part| [part.mean(), part.longest, part.longest_wait]);
        let (lowest, highest) = all.fold((Duration::MAX, Duration::ZERO), |(low, high), length| {
            (low.min(length), high.max(length))
        });
        let below = SCALE.iter().rposition(|(mark, _)| *mark <= lowest);
        let above = SCALE.iter().position(|(mark, _)| *mark >= highest);
        let last = SCALE.len() - 1;
        let low = below.unwrap_or(0).min(last - 1);
        (low, above.unwrap_or(last).max(low + 1))
    }
}

fn units(count: usize) -> u128 {
    u128::try_from(count).unwrap_or_default()
}

/// How high a length stands above the lowest mark of the scale.
fn height(length: Duration) -> u128 {
    let below = SCALE.iter().rposition(|(mark, _)| *mark <= length);
    let Some(at) = below else { return 0 };
    let (Some((low, _)), Some((high, _))) = (SCALE.get(at), SCALE.get(at + 1)) else {
        return STEP * units(at);
    };
    let above = |mark: &Duration| mark.saturating_sub(*low).as_nanos();
    STEP * units(at) + above(&length) * STEP / above(high).max(1)
}

/// The lines of [`Latency`]. Writes markup of digits only.
#[derive(Debug)]
pub(super) struct Picture<'a>(&'a Latency);

impl HtmlSafe for Picture<'_> {}

impl fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(latency) = self;
        let (low, high) = latency.bounds();
        let top = STEP * units(high);
        let marks = (low..=high).map(|mark| format!("M0 {}h96", top - STEP * units(mark)));
        let grid: String = marks.collect();
        write!(f, "<path class=\"grid\" d=\"{grid}\"/>")?;
        let kinds: [Kind; 3] = [
            ("wait", |part| part.longest_wait),
            ("longest", |part| part.longest),
            ("mean", Part::mean),
        ];
        for (class, length) in kinds {
            let y = |part| top - height(length(part)).clamp(STEP * units(low), top);
            let line = line(latency.parts.iter().map(|part| part.as_ref().map(y)));
            write!(f, "<path class=\"{class}\" d=\"{line}\"/>")?;
        }
        Ok(())
    }
}

/// A line through what parts have, with a gap where they have nothing; what stands alone is as wide as its part.
fn line(parts: impl Iterator<Item = Option<u128>>) -> String {
    let mut line = String::new();
    let mut follows = false;
    let mut parts = parts.enumerate().peekable();
    while let Some((at, part)) = parts.next() {
        let goes_on = parts.peek().is_some_and(|(_, next)| next.is_some());
        if let Some(y) = part {
            line.push_str(&match (follows, goes_on) {
                (true, _) => format!("L{} {y}", at * 2 + 1),
                (false, true) => format!("M{} {y}", at * 2 + 1),
                (false, false) => format!("M{} {y}h2", at * 2),
            });
        }
        follows = part.is_some();
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn latency(parts: &[(usize, Part)]) -> Latency {
        let mut all = vec![None; PARTS];
        for (at, part) in parts {
            all[*at] = Some(*part);
        }
        Latency { parts: all }
    }

    fn part(took: u64, longest: u64, longest_wait: u64) -> Part {
        Part {
            runs: 2,
            took: Duration::from_millis(took),
            longest: Duration::from_millis(longest),
            longest_wait: Duration::from_millis(longest_wait),
        }
    }

    #[test]
    fn times_lie_between_the_marks_beside_them() {
        let day = latency(&[
            (0, part(20, 15, 100)),
            (1, part(40, 1_000, 10)),
            (4, part(20, 10, 10)),
        ]);
        assert_eq!(day.axis(), ["1 s", "100 ms", "10 ms"]);
        assert_eq!(day.height(), 48);
        assert_eq!(
            day.picture().to_string(),
            "<path class=\"grid\" d=\"M0 48h96M0 24h96M0 0h96\"/>\
             <path class=\"wait\" d=\"M1 24L3 48M8 48h2\"/>\
             <path class=\"longest\" d=\"M1 47L3 0M8 48h2\"/>\
             <path class=\"mean\" d=\"M1 48L3 46M8 48h2\"/>"
        );
        assert_eq!(
            day.words(),
            "mean run: 13 ms; longest run: 1.0 s; longest wait for a run: 100 ms"
        );
    }

    #[test]
    fn a_day_without_runs_still_has_a_scale() {
        let day = latency(&[]);
        assert!(day.is_empty());
        assert!(day.axis().len() >= 2 && day.height() > 0);
        assert!(day.picture().to_string().contains("class=\"mean\" d=\"\""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn longer_stands_higher(a in 0..u64::MAX / 2_000, b in 0..u64::MAX / 2_000) {
            let (a, b) = (Duration::from_micros(a.min(b)), Duration::from_micros(a.max(b)));
            prop_assert!(height(a) <= height(b));
        }
    }
}
