//! `/executions`: the report **In execution**.

use actix_web::{HttpRequest, HttpResponse, web};

use super::auth::{Operator, Viewer};
use super::csv::report;
use super::error::{ApiError, Problem};
use super::paging::{ListView, PageParams};
use super::path::PathId;
use super::process_view::ProcessView;
use super::processes::{one, views};
use super::query::{FromParams, Params, Query, RobotParams, Selected};
use super::state::ApiState;
use crate::domain::id::{NodeId, ProcessId};
use crate::store::page::{Page, PageRequest};
use crate::store::process::ProcessFilter;

/// Filter by node.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NodeParam {
    /// Only executions on this node, by id.
    #[param(value_type = Option<String>, pattern = "^[1-9][0-9]{0,18}$", nullable = false)]
    pub node: Option<NodeId>,
}

impl FromParams for NodeParam {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            node: params.id("node"),
        }
    }
}

/// What selects executions.
pub type ExecutionParams = (RobotParams, NodeParam);

/// A part of the report **In execution**.
///
/// # Errors
/// An unknown robot, a database that does not answer.
pub async fn select(
    state: &ApiState,
    (robots, only): &ExecutionParams,
    page: PageRequest,
) -> Result<Page<ProcessView>, ApiError> {
    let robots = match robots.select(state).await? {
        Selected::All => Vec::new(),
        Selected::Some(robots) => robots,
        Selected::Nothing => return Ok(Page::default()),
    };
    let filter = ProcessFilter {
        robots,
        node: only.node,
        ..ProcessFilter::default()
    };
    views(state, state.store.execution_list(filter, page).await?).await
}

/// What runs right now, in the whole cluster, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/executions", tag = "executions", operation_id = "execution_list",
    params(PageParams, RobotParams, NodeParam),
    responses((status = 200, description = "Executions",
        content((ListView<ProcessView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, robots, only)): Query<(PageParams, RobotParams, NodeParam)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let only = (robots, only);
    report(&request, select(&state, &only, page.request()).await?)
}

/// Asks an execution to stop. It ends as `cancelled` when its robot lets go, or is dropped.
#[utoipa::path(
    post, path = "/api/v1/executions/{id}/cancel", tag = "executions", operation_id = "execution_cancel",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses(
        (status = 202, description = "It was asked to stop", body = ProcessView),
        (status = 409, description = "It has ended", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel(
    _: Operator,
    PathId(id): PathId<ProcessId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    cancel_execution(&state, id).await?;
    Ok(HttpResponse::Accepted().json(one(&state, id).await?))
}

/// Asks an execution to stop.
///
/// # Errors
/// There is none of this id, or it has ended; a database that does not answer.
pub async fn cancel_execution(state: &ApiState, id: ProcessId) -> Result<(), ApiError> {
    let effect = state.store.execution_cancel(id, state.now()).await?;
    state.handle.cancel(effect);
    Ok(())
}
