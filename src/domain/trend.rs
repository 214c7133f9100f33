//! Series of figures: whether a limit is breached for long enough, and where a line leads.

use std::time::Duration;

use super::alert::Level;
use super::time::Timestamp;

/// Fewer points than this are no trend: a line goes through any two.
const POINTS_MIN: usize = 4;

/// When a series counts as breached, and when again as sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// A figure at or above this is a breach.
    pub raise: f64,
    /// A figure below this is sound; lower than `raise`, so that a figure between changes nothing.
    pub clear: f64,
    /// How many of the newest figures must agree; at least 1.
    pub agree: usize,
    /// How many of the newest figures are looked at; at least `agree`.
    pub of: usize,
}

/// Whether the newest figures (last in `values`) breach the limit, given whether they did before.
///
/// Enters the breach when `agree` of the last `of` figures are at or above `raise`, leaves it when
/// as many are below `clear`. With fewer figures than `agree` nothing changes.
#[must_use]
pub fn is_breached(values: &[f64], before: bool, limit: Limit) -> bool {
    let newest = values.iter().rev().take(limit.of);
    let needed = limit.agree.max(1);
    if before {
        newest.filter(|value| **value < limit.clear).count() < needed
    } else {
        newest.filter(|value| **value >= limit.raise).count() >= needed
    }
}

/// Two limits with a dead band below each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// From here on it is a warning.
    pub warn: f64,
    /// From here on it is critical.
    pub critical: f64,
    /// A level is left only this far below where it began.
    pub hysteresis: f64,
}

impl Limits {
    /// The level of `value`, given the level before.
    #[must_use]
    pub fn level(self, value: f64, before: Level) -> Level {
        let reached = |limit: f64, level: Level| {
            value >= limit || (before >= level && value > limit - self.hysteresis)
        };
        if reached(self.critical, Level::Critical) {
            Level::Critical
        } else if reached(self.warn, Level::Warning) {
            Level::Warning
        } else {
            Level::Ok
        }
    }
}

/// A straight line through a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Growth in units a second.
    pub per_second: f64,
    /// The line's height at the newest point.
    pub at_end: f64,
    /// Time from the oldest to the newest point.
    pub span: Duration,
}

impl Trend {
    /// The line with the least squares of distances; `None` for too few points or no time between.
    #[must_use]
    pub fn fit(points: &[(Timestamp, f64)]) -> Option<Self> {
        let (first, last) = (points.first()?.0, points.last()?.0);
        let span = (last - first).to_std().ok()?;
        if points.len() < POINTS_MIN || span.is_zero() {
            return None;
        }
        let seconds = |at: Timestamp| (at - first).as_seconds_f64();
        let mut count = 0.0;
        let (mut mean_x, mut mean_y) = (0.0, 0.0);
        for (at, value) in points {
            count += 1.0;
            mean_x += (seconds(*at) - mean_x) / count;
            mean_y += (value - mean_y) / count;
        }
        let (mut sum_xy, mut sum_xx) = (0.0, 0.0);
        for (at, value) in points {
            let x = seconds(*at) - mean_x;
            sum_xy += x * (value - mean_y);
            sum_xx += x * x;
        }
        let per_second = sum_xy / sum_xx;
        let at_end = mean_y + per_second * (seconds(last) - mean_x);
        (per_second.is_finite() && at_end.is_finite()).then_some(Self {
            per_second,
            at_end,
            span,
        })
    }

    /// How long until `value` grows to `limit`; `None` when it does not grow, or not within the
    /// range of a duration.
    #[must_use]
    pub fn reaches(self, value: f64, limit: f64) -> Option<Duration> {
        if self.per_second <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(((limit - value) / self.per_second).max(0.0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Limit = Limit {
        raise: 90.0,
        clear: 85.0,
        agree: 3,
        of: 5,
    };

    fn at(secs: u32) -> Timestamp {
        chrono::Utc
            .timestamp_opt(1_800_000_000 + i64::from(secs), 0)
            .unwrap()
    }

    #[test]
    fn a_peak_is_no_breach_and_a_dip_no_recovery() {
        assert!(!is_breached(&[99.0, 99.0], false, LIMIT));
        assert!(!is_breached(&[99.0, 10.0, 99.0, 10.0, 10.0], false, LIMIT));
        assert!(is_breached(&[99.0, 10.0, 99.0, 10.0, 99.0], false, LIMIT));
        assert!(is_breached(&[99.0, 10.0, 99.0, 10.0, 99.0], true, LIMIT));
        assert!(!is_breached(&[10.0, 10.0, 99.0, 10.0, 99.0], true, LIMIT));
        assert!(is_breached(&[87.0; 5], true, LIMIT));
        assert!(!is_breached(&[87.0; 5], false, LIMIT));
        assert!(is_breached(&[], true, LIMIT));
    }

    proptest! {
        /// Figures that stay between the thresholds never change anything.
        #[test]
        fn the_dead_band_is_dead(values in prop::collection::vec(85.0..89.9f64, 0..9), before: bool) {
            prop_assert_eq!(is_breached(&values, before, LIMIT), before);
        }

        /// A level is never left upwards by hysteresis, and never below the band.
        #[test]
        fn hysteresis_only_holds_a_level(value in 0.0..100.0f64, before in 0u8..3) {
            let before = [Level::Ok, Level::Warning, Level::Critical][usize::from(before)];
            let limits = Limits { warn: 80.0, critical: 90.0, hysteresis: 2.0 };
            let plain = Limits { hysteresis: 0.0, ..limits }.level(value, Level::Ok);
            let level = limits.level(value, before);
            prop_assert!(level >= plain && level <= plain.max(before));
            prop_assert_eq!(limits.level(value, level), level, "it settles at once");
        }

        /// The fit finds the line it is given.
        #[test]
        fn a_line_is_found(slope in -1e6..1e6f64, start in -1e9..1e9f64, count in 4u32..100) {
            let points: Vec<_> = (0..count)
                .map(|i| (at(i * 60), start + slope * f64::from(i * 60)))
                .collect();
            let trend = Trend::fit(&points).unwrap();
            prop_assert!((trend.per_second - slope).abs() <= 1e-3 + slope.abs() * 1e-6);
            prop_assert!((trend.at_end - points.last().unwrap().1).abs() <= 1.0 + start.abs() * 1e-6);
        }
    }

    #[test]
    fn a_line_says_when_it_arrives() {
        let points: Vec<_> = (0..10).map(|i| (at(i * 60), f64::from(i) * 60.0)).collect();
        let trend = Trend::fit(&points).unwrap();
        let left = trend.reaches(540.0, 1_000.0).unwrap();
        assert!((left.as_secs_f64() - 460.0).abs() < 1e-6);
        assert_eq!(trend.reaches(2_000.0, 1_000.0), Some(Duration::ZERO));
        assert_eq!(Trend::fit(&points[..3]), None);
        let flat: Vec<_> = (0..10).map(|i| (at(i), 5.0)).collect();
        assert_eq!(Trend::fit(&flat).unwrap().reaches(5.0, 10.0), None);
        assert_eq!(Trend::fit(&[(at(0), 1.0); 5]), None);
    }
}
