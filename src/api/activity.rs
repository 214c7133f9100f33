//! `/stats/activity`: how many runs ended how within the last day and how long they took, by robot and half hour.
//!
//! Counting reads every process of its time, so that the counts are kept: those of the half hours that may still
//! change for some seconds, the others for some minutes. Callers who come meanwhile wait for the one who counts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use actix_web::web;
use chrono::TimeDelta;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::auth::Viewer;
use super::error::ApiError;
use super::query::Query;
use super::state::ApiState;
use crate::domain::iso_duration;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::process::Activity;

/// The width of a part.
pub const PART: Duration = Duration::from_secs(30 * 60);
/// Parts of the answer; the last one is under way.
pub const PARTS: usize = 48;
/// [`PART`] as the database counts.
const PART_MICROS: i64 = 30 * 60 * 1_000_000;
/// How long the counts of the last parts are shown: people look at them as they grow.
const YOUNG_TTL: Duration = Duration::from_secs(10);
/// How long those of older parts are: a long run may still end and be counted where it started.
const OLD_TTL: Duration = Duration::from_secs(600);
/// The last parts, whose counts grow.
const YOUNG: i64 = 2;

/// The runs of the last day.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityView {
    /// Start of the first part.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Width of each part.
    #[serde(with = "iso_duration::serde_iso")]
    #[schema(value_type = String)]
    pub part: Duration,
    /// How many parts there are; the last is under way.
    pub parts: usize,
    /// Robots that ran, by name, with the parts in which they did.
    pub robots: BTreeMap<String, Vec<PartView>>,
}

/// The runs of one robot that started within one part of the day and have ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PartView {
    /// Its place, from 0.
    pub part: usize,
    /// How many ended how.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How long they took together, ISO 8601.
    #[serde(with = "iso_duration::serde_iso")]
    #[schema(value_type = String)]
    pub took: Duration,
    /// How long the longest of them took, ISO 8601.
    #[serde(with = "iso_duration::serde_iso")]
    #[schema(value_type = String)]
    pub longest: Duration,
    /// How long one of them waited at most from when it was due, ISO 8601; attempts that others followed do not count.
    #[serde(with = "iso_duration::serde_iso")]
    #[schema(value_type = String)]
    pub longest_wait: Duration,
}

/// The counts of one part, and when they were read.
type Counted = (Instant, Vec<Activity>);

/// Counts that were read, by part since 1970.
#[derive(Debug, Default)]
pub struct ActivityCache(Mutex<BTreeMap<i64, Counted>>);

/// Reads the runs of the last day, at most some seconds old.
///
/// # Errors
/// A database that does not answer.
pub async fn read(state: &ApiState) -> Result<ActivityView, ApiError> {
    let current = to_micros(state.now()).div_euclid(PART_MICROS);
    let span = i64::try_from(PARTS).unwrap_or(i64::MAX);
    let wanted = current - span + 1..current + 1;
    let mut known = state.activity.0.lock().await;
    let read_at = Instant::now();
    let ages = |part: i64| known.get(&part).map(|(at, _)| read_at.duration_since(*at));
    if let Some(stale) = stale(&wanted, ages) {
        let bounds = [stale.start, stale.end].map(|part| from_micros(part * PART_MICROS));
        let counts = state
            .store
            .process_activity(bounds[0], bounds[1], TimeDelta::microseconds(PART_MICROS))
            .await?;
        for part in stale {
            known.insert(part, (read_at, Vec::new()));
        }
        for count in counts {
            let part = to_micros(count.at).div_euclid(PART_MICROS);
            if let Some((_, counts)) = known.get_mut(&part) {
                counts.push(count);
            }
        }
        known.retain(|part, _| wanted.contains(part));
    }
    let counts: Vec<_> = known
        .values()
        .flat_map(|(_, counts)| counts)
        .cloned()
        .collect();
    drop(known);
    view(state, wanted.start, &counts).await
}

/// The parts to be read again, as one stretch: from the first whose counts are missing or too old to the last.
fn stale(wanted: &Range<i64>, age: impl Fn(i64) -> Option<Duration>) -> Option<Range<i64>> {
    let is_stale = |part: &i64| {
        let ttl = if *part >= wanted.end - YOUNG {
            YOUNG_TTL
        } else {
            OLD_TTL
        };
        age(*part).is_none_or(|age| age > ttl)
    };
    let first = wanted.clone().find(is_stale)?;
    let last = wanted.clone().rfind(is_stale)?;
    Some(first..last + 1)
}

async fn view(state: &ApiState, first: i64, counts: &[Activity]) -> Result<ActivityView, ApiError> {
    let names = state.names(counts.iter().map(|count| count.robot)).await?;
    let mut robots: BTreeMap<String, BTreeMap<usize, PartView>> = BTreeMap::new();
    for count in counts {
        let part = to_micros(count.at).div_euclid(PART_MICROS) - first;
        let part = usize::try_from(part).unwrap_or_default();
        let parts = robots.entry(names.of(count.robot)).or_default();
        let view = parts.entry(part).or_insert_with(|| PartView {
            part,
            outcomes: BTreeMap::new(),
            took: Duration::ZERO,
            longest: Duration::ZERO,
            longest_wait: Duration::ZERO,
        });
        *view.outcomes.entry(count.outcome.as_str()).or_default() += count.count;
        view.took = view.took.saturating_add(count.took);
        view.longest = view.longest.max(count.longest);
        view.longest_wait = view.longest_wait.max(count.longest_wait);
    }
    Ok(ActivityView {
        from: from_micros(first * PART_MICROS),
        part: PART,
        parts: PARTS,
        robots: robots
            .into_iter()
            .map(|(name, parts)| (name, parts.into_values().collect()))
            .collect(),
    })
}

/// Runs of the last 24 hours that have ended and how long they took, by robot, half hour and outcome. At most some minutes old, the last
/// hour some seconds; the newest million are counted.
#[utoipa::path(
    get, path = "/api/v1/stats/activity", tag = "stats", operation_id = "stats_activity",
    responses((status = 200, description = "Counts", body = ActivityView))
)]
pub(super) async fn show(
    _: Viewer,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<ActivityView>, ApiError> {
    read(&state).await.map(web::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_have_changed_is_counted_again() {
        let wanted = 100..148;
        let stale_at = |young: u64, old: u64| {
            stale(&wanted, |part| {
                let age = if part >= 146 { young } else { old };
                (part != 99).then(|| Duration::from_secs(age))
            })
        };
        assert_eq!(stale(&wanted, |_| None), Some(wanted.clone()));
        assert_eq!(stale_at(3, 3), None);
        assert_eq!(stale_at(11, 300), Some(146..148));
        assert_eq!(stale_at(3, 601), Some(100..146));
        assert_eq!(stale_at(11, 601), Some(wanted.clone()));
    }
}
