//! `/processes`: the report **Process**.

use actix_web::{HttpRequest, HttpResponse, web};

use super::auth::Viewer;
use super::csv::report;
use super::error::ApiError;
use super::paging::{ListView, PageParams};
use super::path::PathId;
use super::process_view::ProcessView;
use super::query::{FromParams, Params, Query, RobotParams, Selected, SpanParams};
use super::state::ApiState;
use crate::domain::id::{NodeId, ProcessId, TaskId};
use crate::domain::task::ProcessOutcome;
use crate::store::page::{Page, PageRequest};
use crate::store::process::{Process, ProcessFilter};

/// Filters of the report.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProcessParams {
    /// Only processes that ended so, or `running`.
    #[param(value_type = Option<ProcessOutcome>, nullable = false)]
    pub outcome: Option<ProcessOutcome>,
    /// Only processes of this node, by id.
    #[param(value_type = Option<String>, pattern = "^[1-9][0-9]{0,18}$", nullable = false)]
    pub node: Option<NodeId>,
    /// Only attempts of this task.
    #[param(value_type = Option<String>, pattern = "^[1-9][0-9]{0,18}$", nullable = false)]
    pub task: Option<TaskId>,
}

impl FromParams for ProcessParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            outcome: params.word("outcome"),
            node: params.id("node"),
            task: params.id("task"),
        }
    }
}

/// What selects processes.
pub type ProcessesParams = (RobotParams, ProcessParams, SpanParams);

/// A part of the report **Process**.
///
/// # Errors
/// An unknown robot, a database that does not answer.
pub async fn select(
    state: &ApiState,
    (robots, only, span): &ProcessesParams,
    page: PageRequest,
) -> Result<Page<ProcessView>, ApiError> {
    let robots = match robots.select(state).await? {
        Selected::All => Vec::new(),
        Selected::Some(robots) => robots,
        Selected::Nothing => return Ok(Page::default()),
    };
    let filter = ProcessFilter {
        robots,
        outcome: only.outcome,
        node: only.node,
        task: only.task,
        from: span.from,
        to: span.to,
    };
    views(state, state.store.process_list(filter, page).await?).await
}

/// The report **Process**, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/processes", tag = "processes", operation_id = "process_list",
    params(PageParams, RobotParams, ProcessParams, SpanParams),
    responses((status = 200, description = "Processes",
        content((ListView<ProcessView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, robots, only, span)): Query<(PageParams, RobotParams, ProcessParams, SpanParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let only = (robots, only, span);
    report(&request, select(&state, &only, page.request()).await?)
}

/// Processes with their robots' names.
pub(super) async fn views(
    state: &ApiState,
    page: Page<Process>,
) -> Result<Page<ProcessView>, ApiError> {
    let names = state
        .names(page.items.iter().map(|process| process.robot))
        .await?;
    let items = page
        .items
        .into_iter()
        .map(|process| ProcessView::of(process, &names))
        .collect();
    Ok(Page {
        items,
        next: page.next,
    })
}

/// One process, running or ended.
///
/// # Errors
/// There is none of this id; a database that does not answer.
pub async fn one(state: &ApiState, id: ProcessId) -> Result<ProcessView, ApiError> {
    let process = state.store.process_get(id).await?;
    let process = process.ok_or_else(|| ApiError::missing("process", &id.to_string()))?;
    let names = state.names([process.robot]).await?;
    Ok(ProcessView::of(process, &names))
}

/// One process, running or ended.
#[utoipa::path(
    get, path = "/api/v1/processes/{id}", tag = "processes", operation_id = "process_get",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses((status = 200, description = "The process", body = ProcessView))
)]
pub(super) async fn get(
    _: Viewer,
    PathId(id): PathId<ProcessId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<ProcessView>, ApiError> {
    one(&state, id).await.map(web::Json)
}
