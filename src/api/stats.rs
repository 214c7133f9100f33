//! `/stats`: the figures of the panel's first page, from bounded reads.

use std::collections::BTreeMap;

use actix_web::web;
use chrono::TimeDelta;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Viewer;
use super::error::ApiError;
use super::query::Query;
use super::state::ApiState;
use crate::domain::time::Timestamp;
use crate::store::page::{PAGE_ROWS_MAX, PageRequest};
use crate::store::process::{Process, ProcessFilter};

/// Parts of the list that are read for the last hour: 2,000 processes. A busier node says so.
const PAGES_MAX: usize = 4;

/// How the work goes.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    /// When this was read.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Queued tasks of all robots; each robot counts exactly up to 10,000.
    queued: u64,
    /// Processes in execution in the whole cluster, exact up to 500.
    executions: u64,
    /// Since when `robots` counts.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Whether more processes started since then than are counted here; the newest are.
    truncated: bool,
    /// Robots with queued tasks or with processes that started since then, by name.
    robots: BTreeMap<String, RobotStatsView>,
}

/// How the work of one robot goes.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct RobotStatsView {
    /// Queued tasks, exact up to 10,000.
    queued: u32,
    /// Processes by outcome.
    outcomes: BTreeMap<&'static str, u32>,
}

/// Queue lengths, executions, and the outcomes of the last hour.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "stats", operation_id = "stats",
    responses((status = 200, description = "Figures", body = StatsView))
)]
pub(super) async fn show(
    _: Viewer,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<StatsView>, ApiError> {
    let at = state.now();
    let since = at - TimeDelta::hours(1);
    let depths = state.store.task_depths().await?;
    let running = PageRequest {
        limit: PAGE_ROWS_MAX,
        after: None,
    };
    let executions = state
        .store
        .execution_list(ProcessFilter::default(), running)
        .await?
        .items
        .len();
    let (processes, truncated) = recent(&state, since).await?;
    let ids = depths
        .iter()
        .map(|(id, _)| *id)
        .chain(processes.iter().map(|process| process.robot));
    let names = state.names(ids).await?;
    let mut robots: BTreeMap<String, RobotStatsView> = BTreeMap::new();
    for (robot, queued) in &depths {
        robots.entry(names.of(*robot)).or_default().queued = *queued;
    }
    for process in &processes {
        let outcomes = &mut robots.entry(names.of(process.robot)).or_default().outcomes;
        *outcomes.entry(process.outcome.as_str()).or_default() += 1;
    }
    Ok(web::Json(StatsView {
        at,
        queued: depths.iter().map(|(_, queued)| u64::from(*queued)).sum(),
        executions: u64::try_from(executions).unwrap_or(u64::MAX),
        since,
        truncated,
        robots,
    }))
}

async fn recent(state: &ApiState, since: Timestamp) -> Result<(Vec<Process>, bool), ApiError> {
    let filter = ProcessFilter {
        from: Some(since),
        ..ProcessFilter::default()
    };
    let mut processes = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let request = PageRequest {
            limit: PAGE_ROWS_MAX,
            after,
        };
        let page = state.store.process_list(filter.clone(), request).await?;
        processes.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok((processes, false));
        }
    }
    Ok((processes, true))
}
