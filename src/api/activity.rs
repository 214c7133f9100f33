//! `/stats/activity`: how many runs ended how within the last day and how long they took, by robot and half hour.
//!
//! Counting reads every process of its time, so that the counts are kept, by slices of five minutes: those of the slices
//! that fill for some seconds, the others for some minutes. [`keep`] counts what is over before somebody asks, and anew
//! what somebody was shown, so that who asks waits for the last minutes only. Callers who come meanwhile wait for the one
//! who counts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use actix_web::web;
use chrono::TimeDelta;
use serde::Serialize;
use tokio::sync::{Mutex, Notify};
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
pub(super) const PART_MICROS: i64 = 30 * 60 * 1_000_000;
/// Slices of a part, each of which is counted by itself.
const SLICES: i64 = 6;
/// The width of a slice as the database counts.
const SLICE_MICROS: i64 = PART_MICROS / SLICES;
/// How long the counts of the last slices are shown: people look at them as they grow.
const YOUNG_TTL: Duration = Duration::from_secs(10);
/// How long those of older slices are: a long run may still end and be counted where it started.
const OLD_TTL: Duration = Duration::from_secs(600);
/// The last slices, whose counts grow.
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

/// The counts of one slice.
#[derive(Debug)]
struct Counted {
    /// When they were read.
    at: Instant,
    /// Whether runs could still begin in the slice then, or had hardly had time to end.
    young: bool,
    counts: Vec<Activity>,
}

/// Counts that were read, by slice since 1970.
#[derive(Debug, Default)]
pub struct ActivityCache {
    counted: Mutex<BTreeMap<i64, Counted>>,
    /// Rings when somebody was shown counts that are to be read again.
    shown: Notify,
}

/// When a slice is to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Before anybody is shown it.
    Now,
    /// After somebody was shown it: a long run may have ended that began in it.
    Soon,
    /// Not yet.
    Later,
}

fn due(counted: Option<&Counted>, is_young: bool, now: Instant) -> Due {
    let Some(counted) = counted else {
        return Due::Now;
    };
    let age = now.duration_since(counted.at);
    match (is_young, counted.young) {
        (true, _) if age > YOUNG_TTL => Due::Now,
        (false, true) => Due::Now,
        (false, false) if age > OLD_TTL => Due::Soon,
        _ => Due::Later,
    }
}

/// The slices of the last day's parts, those that are to come left out.
fn wanted(now: Timestamp) -> Range<i64> {
    let current = to_micros(now).div_euclid(PART_MICROS);
    let span = i64::try_from(PARTS).unwrap_or(i64::MAX);
    (current - span + 1) * SLICES..to_micros(now).div_euclid(SLICE_MICROS) + 1
}

const fn is_young(slice: i64, wanted: &Range<i64>) -> bool {
    slice >= wanted.end - YOUNG
}

/// Reads the runs of the last day: those that began within the last minutes at most some seconds old, the others some
/// minutes, or as they were when somebody looked last.
///
/// # Errors
/// A database that does not answer.
pub async fn read(state: &ApiState) -> Result<ActivityView, ApiError> {
    let wanted = wanted(state.now());
    let mut known = state.activity.counted.lock().await;
    if stretch(&known, &wanted, &wanted, &[Due::Soon]).is_some() {
        state.activity.shown.notify_one();
    }
    if let Some(missing) = stretch(&known, &wanted, &wanted, &[Due::Now]) {
        count(state, &mut known, &missing, &wanted).await?;
    }
    let counts: Vec<_> = known
        .range(wanted.clone())
        .flat_map(|(_, counted)| &counted.counts)
        .cloned()
        .collect();
    drop(known);
    view(state, wanted.start.div_euclid(SLICES), &counts).await
}

/// The slices among `some` that are to be counted, as one stretch: from the first of them to the last.
fn stretch(
    known: &BTreeMap<i64, Counted>,
    wanted: &Range<i64>,
    some: &Range<i64>,
    dues: &[Due],
) -> Option<Range<i64>> {
    let now = Instant::now();
    let due = |slice: &i64| due(known.get(slice), is_young(*slice, wanted), now);
    let mut slices = some.clone().filter(|slice| dues.contains(&due(slice)));
    let first = slices.next()?;
    let last = slices.next_back().unwrap_or(first);
    Some(first..last + 1)
}

/// A stretch as it is counted, each piece with the width of a count: whole parts that are over, whose counts are a sixth as
/// many, and slices. What was counted as a part is always counted as one again.
fn pieces(slices: &Range<i64>, wanted: &Range<i64>) -> [(Range<i64>, i64); 2] {
    let over = (wanted.end - YOUNG).min(slices.end).div_euclid(SLICES) * SLICES;
    let middle = match slices.start.rem_euclid(SLICES) {
        0 => over.max(slices.start),
        _ => slices.start,
    };
    [
        (slices.start..middle, PART_MICROS),
        (middle..slices.end, SLICE_MICROS),
    ]
}

/// Counts slices anew, and forgets those that nobody wants any more.
async fn count(
    state: &ApiState,
    known: &mut BTreeMap<i64, Counted>,
    slices: &Range<i64>,
    wanted: &Range<i64>,
) -> Result<(), ApiError> {
    let pieces = pieces(slices, wanted).into_iter();
    for (piece, width) in pieces.filter(|(piece, _)| !piece.is_empty()) {
        let at = Instant::now();
        let bounds = [piece.start, piece.end].map(|slice| from_micros(slice * SLICE_MICROS));
        let counts = state
            .store
            .process_activity(bounds[0], bounds[1], TimeDelta::microseconds(width))
            .await?;
        for slice in piece {
            let counted = Counted {
                at,
                young: is_young(slice, wanted),
                counts: Vec::new(),
            };
            known.insert(slice, counted);
        }
        for count in counts {
            // Those of a part stand at its first slice.
            let slice = to_micros(count.at).div_euclid(SLICE_MICROS);
            if let Some(counted) = known.get_mut(&slice) {
                counted.counts.push(count);
            }
        }
    }
    known.retain(|slice, _| wanted.contains(slice));
    Ok(())
}

/// Counts what is over before somebody asks, and what somebody was shown anew, part by part, until the node ends. The
/// application runs it once for each node.
pub async fn keep(state: ApiState) {
    let mut shown = false;
    loop {
        if let Err(error) = round(&state, shown).await {
            log::debug!("failed to count the runs of the last day: {error}");
        }
        shown = tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(OLD_TTL) => false,
            () = state.activity.shown.notified() => true,
        };
    }
}

/// Counts what is due, the newest first; `shown` says whether what is due soon is, too.
async fn round(state: &ApiState, shown: bool) -> Result<(), ApiError> {
    let wanted = wanted(state.now());
    let dues: &[Due] = if shown {
        &[Due::Now, Due::Soon]
    } else {
        &[Due::Now]
    };
    let parts = wanted.start.div_euclid(SLICES)..(wanted.end - 1).div_euclid(SLICES) + 1;
    for part in parts.rev() {
        // Each part by itself, so that nobody waits for more than one.
        let mut known = state.activity.counted.lock().await;
        let slices = part * SLICES..wanted.end.min((part + 1) * SLICES);
        let is_over = (part + 1) * SLICES <= wanted.end - YOUNG;
        if let Some(due) = stretch(&known, &wanted, &slices, dues) {
            let due = if is_over { slices } else { due };
            count(state, &mut known, &due, &wanted).await?;
        }
    }
    Ok(())
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

/// Runs of the last 24 hours that have ended and how long they took, by robot, half hour and outcome. The last minutes are at most some
/// seconds old, the rest some minutes or as it was when somebody asked last; of a half hour the newest million are counted.
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
        let now = Instant::now() + OLD_TTL * 2;
        for (seconds, was_young, is_young, wanted) in [
            (3, true, true, Due::Later),
            (11, true, true, Due::Now),
            // It was counted while runs still began in it.
            (3, true, false, Due::Now),
            (300, false, false, Due::Later),
            (601, false, false, Due::Soon),
        ] {
            let counted = counted(now - Duration::from_secs(seconds), was_young);
            assert_eq!(due(Some(&counted), is_young, now), wanted, "{seconds}");
        }
        assert_eq!(due(None, false, now), Due::Now);
    }

    fn counted(at: Instant, young: bool) -> Counted {
        Counted {
            at,
            young,
            counts: Vec::new(),
        }
    }

    #[test]
    fn who_asks_waits_for_the_last_minutes_only() {
        let wanted = wanted(from_micros(200 * PART_MICROS + SLICE_MICROS + 1));
        assert_eq!(wanted, 153 * SLICES..200 * SLICES + 2);
        let now = Instant::now();
        let stretch = |known: &_, dues: &[Due]| stretch(known, &wanted, &wanted, dues);
        let mut known = BTreeMap::new();
        assert_eq!(stretch(&known, &[Due::Now]), Some(wanted.clone()));
        // Counted when the last but one was the last.
        for slice in wanted.start..wanted.end - 1 {
            let young = slice >= wanted.end - 1 - YOUNG;
            known.insert(slice, counted(now, young));
        }
        let last = wanted.end - 3..wanted.end;
        assert_eq!(stretch(&known, &[Due::Now]), Some(last));
        assert_eq!(stretch(&known, &[Due::Soon]), None);
    }

    #[test]
    fn what_is_over_is_counted_by_whole_parts() {
        // The last two of these are young: the part that ends with them is not over.
        let wanted = 0..4 * SLICES;
        let over = 3 * SLICES;
        for (slices, middle) in [
            (0..wanted.end, over),
            (SLICES..2 * SLICES, 2 * SLICES),
            (over..wanted.end, over),
            (SLICES..SLICES + 1, SLICES),
            // It begins within a part.
            (1..wanted.end, 1),
        ] {
            let [whole, rest] = pieces(&slices, &wanted);
            assert_eq!(whole, (slices.start..middle, PART_MICROS), "{slices:?}");
            assert_eq!(rest, (middle..slices.end, SLICE_MICROS), "{slices:?}");
        }
    }
}
