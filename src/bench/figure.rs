//! What is measured, and what is said of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// One case of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// What was measured, e.g. `enqueue, 32 callers`.
    pub(super) workload: String,
    /// `sqlite` or `postgres`.
    pub(super) database: &'static str,
    /// How much of it: tasks, requests, ticks.
    pub(super) count: u64,
    /// A second.
    pub(super) rate: Option<f64>,
    /// Times of single requests, ticks or starts.
    pub(super) times: Vec<Duration>,
    /// Anything else, by a name that says its unit.
    pub(super) facts: BTreeMap<&'static str, f64>,
}

impl Sample {
    /// `count` things in `took`.
    pub(super) fn rate(count: u64, took: Duration) -> Option<f64> {
        u32::try_from(count)
            .ok()
            .map(|count| f64::from(count) / took.as_secs_f64())
    }
}

/// Medians over the runs of one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub workload: String,
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// How much of it in one run: tasks, requests, ticks.
    pub count: u64,
    /// A second; the lowest and the highest run beside the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// See `rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_min: Option<f64>,
    /// See `rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_max: Option<f64>,
    /// Half of the times are shorter, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// 95 % of the times are shorter, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// 99 % of the times are shorter, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Anything else, by a name that says its unit.
    #[serde(flatten)]
    pub facts: BTreeMap<&'static str, f64>,
    /// Measured so often.
    pub runs: usize,
}

/// One figure a case, in the order in which the cases were first met.
pub(super) fn medians(samples: Vec<Sample>) -> Vec<Figure> {
    let mut cases: Vec<Vec<Sample>> = Vec::new();
    for sample in samples {
        match cases
            .iter_mut()
            .find(|case| case.iter().any(|known| known.workload == sample.workload))
        {
            Some(case) => case.push(sample),
            None => cases.push(Vec::from([sample])),
        }
    }
    cases.iter().filter_map(|case| of_case(case)).collect()
}

fn of_case(case: &[Sample]) -> Option<Figure> {
    let first = case.first()?;
    let over = |of: &dyn Fn(&Sample) -> Option<f64>| -> Vec<f64> {
        let mut values: Vec<f64> = case.iter().filter_map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let rates = over(&|sample| sample.rate);
    let time = |share: usize| {
        median(&over(&|sample| {
            percentile(&sample.times, share).map(|time| time.as_secs_f64() * 1_000.0)
        }))
    };
    let names = case.iter().flat_map(|sample| sample.facts.keys().copied());
    let facts = names
        .filter_map(|name| {
            let values = over(&|sample| sample.facts.get(name).copied());
            Some((name, round(median(&values)?)))
        })
        .collect();
    Some(Figure {
        workload: first.workload.clone(),
        database: first.database,
        count: first.count,
        rate: median(&rates).map(f64::round),
        rate_min: rates.first().copied().map(f64::round),
        rate_max: rates.last().copied().map(f64::round),
        p50_ms: time(50).map(round),
        p95_ms: time(95).map(round),
        p99_ms: time(99).map(round),
        facts,
        runs: case.len(),
    })
}

/// To a thousandth, which is finer than any of it can be repeated.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// The middle one; the lower of the two in the middle of an even number.
fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// The smallest time that `share` percent of `times` do not exceed (nearest rank).
fn percentile(times: &[Duration], share: usize) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * share).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// The figures for people.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let mut text = String::new();
    for figure in figures {
        let mut parts = Vec::new();
        if let (Some(rate), Some(min), Some(max)) = (figure.rate, figure.rate_min, figure.rate_max)
        {
            parts.push(format!("{rate}/s ({min} to {max})"));
        }
        for (name, value) in [
            ("p50", figure.p50_ms),
            ("p95", figure.p95_ms),
            ("p99", figure.p99_ms),
        ] {
            parts.extend(value.map(|value| format!("{name} {value} ms")));
        }
        parts.extend(
            figure
                .facts
                .iter()
                .map(|(name, value)| format!("{} {value}", name.replace('_', " "))),
        );
        text.push_str(&format!(
            "{}, {}: {} ({} each, {} runs)\n",
            figure.workload,
            figure.database,
            parts.join(", "),
            figure.count,
            figure.runs
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(workload: &str, rate: f64, millis: &[u64]) -> Sample {
        Sample {
            workload: workload.to_owned(),
            database: "sqlite",
            count: 10,
            rate: Some(rate),
            times: millis.iter().copied().map(Duration::from_millis).collect(),
            facts: BTreeMap::from([("rss_mib", rate)]),
        }
    }

    #[test]
    fn cases_are_told_apart_and_each_is_the_median_of_its_runs() {
        let figures = medians(Vec::from([
            sample("a", 3.0, &[1, 2, 9]),
            sample("b", 1.0, &[]),
            sample("a", 1.0, &[4]),
            sample("a", 2.0, &[3]),
        ]));
        assert_eq!(figures.len(), 2);
        assert_eq!((figures[0].runs, figures[1].runs), (3, 1));
        let a = &figures[0];
        assert_eq!(
            (a.rate, a.rate_min, a.rate_max),
            (Some(2.0), Some(1.0), Some(3.0))
        );
        assert_eq!((a.p50_ms, a.p99_ms), (Some(3.0), Some(4.0)));
        assert_eq!(a.facts["rss_mib"], 2.0);
        assert_eq!(figures[1].p50_ms, None);
        let json = serde_json::to_value(a).unwrap();
        assert_eq!(json["workload"], "a");
        assert_eq!(json["rss_mib"], 2.0);
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&times, 99), Some(Duration::from_millis(99)));
        assert_eq!(
            percentile(&times[..1], 50),
            Some(Duration::from_millis(100))
        );
        assert_eq!(percentile(&[], 50), None);
    }
}
