//! `/stats/queue`: how many tasks waited within the last day, by half hour.

use std::time::Duration;

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use super::activity::{PART, PART_MICROS, PARTS};
use super::auth::Viewer;
use super::error::ApiError;
use super::query::Query;
use super::state::ApiState;
use crate::domain::iso_duration;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::sample::{OF_ALL_NODES, QUEUED, Resolution};

/// The queues of the last day.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueView {
    /// Start of the first part.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Width of each part.
    #[serde(with = "iso_duration::serde_iso")]
    #[schema(value_type = String)]
    pub part: Duration,
    /// The most tasks that waited at once in each part, of all robots together; null where no node counted. The last part
    /// is under way.
    pub highest: Vec<Option<u64>>,
}

/// Reads how many tasks waited within the last day: a count each minute by one node of all, each robot exactly up to
/// 10,000.
///
/// # Errors
/// A database that does not answer.
pub async fn read(state: &ApiState) -> Result<QueueView, ApiError> {
    let current = to_micros(state.now()).div_euclid(PART_MICROS);
    let span = i64::try_from(PARTS).unwrap_or(i64::MAX);
    let first = current - span + 1;
    let from = from_micros(first * PART_MICROS);
    let samples = state
        .store
        .sample_read(QUEUED, OF_ALL_NODES, from, Resolution::Raw)
        .await?;
    Ok(QueueView {
        from,
        part: PART,
        highest: highest(first, &samples),
    })
}

/// The highest count of each part; `first` is the first of them, counted since 1970.
fn highest(first: i64, samples: &[(Timestamp, f64)]) -> Vec<Option<u64>> {
    let mut parts = vec![None; PARTS];
    for (at, queued) in samples {
        let part = to_micros(*at).div_euclid(PART_MICROS) - first;
        let place = usize::try_from(part)
            .ok()
            .and_then(|part| parts.get_mut(part));
        if let Some(highest) = place {
            *highest = (*highest).max(Some(whole(*queued)));
        }
    }
    parts
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that was written as one; `as` keeps any other within bounds"
)]
const fn whole(count: f64) -> u64 {
    count as u64
}

/// The most tasks that waited at once in each half hour of the last 24 hours, of all robots together. Counted each minute,
/// each robot exactly up to 10,000.
#[utoipa::path(
    get, path = "/api/v1/stats/queue", tag = "stats", operation_id = "stats_queue",
    responses((status = 200, description = "Counts", body = QueueView))
)]
pub(super) async fn show(
    _: Viewer,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<QueueView>, ApiError> {
    read(&state).await.map(web::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_highest_of_its_counts() {
        let at = |part: i64, micros| from_micros(part * PART_MICROS + micros);
        let parts = highest(
            100,
            &[
                (at(99, PART_MICROS - 1), 50.0),
                (at(100, 0), 3.0),
                (at(100, 60_000_000), 7.0),
                (at(100, PART_MICROS - 1), 5.0),
                (at(102, 0), 0.0),
                (at(148, 0), 9.0),
            ],
        );
        assert_eq!(parts.len(), PARTS);
        assert_eq!(parts[..4], [Some(7), None, Some(0), None]);
        assert!(parts[4..].iter().all(Option::is_none));
    }
}
