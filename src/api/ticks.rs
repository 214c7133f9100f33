//! `/ticks`: why each planned instant fired or did not.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Viewer;
use super::csv::{Row, report};
use super::error::ApiError;
use super::paging::{ListView, PageParams};
use super::query::{FromParams, Params, Query, RobotParams, Selected, SpanParams};
use super::schema;
use super::state::{ApiState, RobotNames};
use crate::domain::id::{NodeId, TaskId};
use crate::domain::tick::Decision;
use crate::domain::time::Timestamp;
use crate::store::page::{Page, PageRequest};
use crate::store::tick::{Tick, TickFilter};

/// A decided instant, or several in a row that were decided alike.
#[derive(Debug, Serialize, ToSchema)]
pub struct TickView {
    /// Whose.
    pub robot: String,
    /// The planned instant, or the first of them.
    #[schema(value_type = String, format = DateTime)]
    pub planned_at: Timestamp,
    /// The last instant, where there are several.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub through: Option<Timestamp>,
    /// How many instants.
    pub count: i64,
    /// What became of them.
    #[schema(value_type = schema::DecisionSchema)]
    pub decision: Decision,
    /// When that was decided.
    #[schema(value_type = String, format = DateTime)]
    pub decided_at: Timestamp,
    /// By which node.
    #[schema(value_type = String)]
    pub node: NodeId,
    /// The run it started.
    #[schema(value_type = Option<String>)]
    pub task: Option<TaskId>,
    /// The node it was decided for, where the robot runs on each node by itself.
    #[schema(value_type = Option<String>)]
    pub for_node: Option<NodeId>,
}

impl Row for TickView {
    const COLUMNS: &'static [&'static str] = &[
        "robot",
        "planned_at",
        "through",
        "count",
        "decision",
        "decided_at",
        "node",
        "task",
        "for_node",
    ];
}

impl TickView {
    fn of(tick: &Tick, names: &RobotNames) -> Self {
        Self {
            robot: names.of(tick.robot),
            planned_at: tick.planned_at,
            through: tick.through,
            count: tick.count,
            decision: tick.decision,
            decided_at: tick.decided_at,
            node: tick.node,
            task: tick.task,
            for_node: tick.for_node,
        }
    }
}

/// Filter by decision.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DecisionParam {
    /// Only instants that were decided so.
    #[param(value_type = Option<schema::DecisionSchema>, nullable = false)]
    pub decision: Option<Decision>,
}

impl FromParams for DecisionParam {
    fn from_params(params: &mut Params<'_>) -> Self {
        let known = || Decision::ALL.map(Decision::as_str).join(", ");
        Self {
            decision: params.read("decision", |text| {
                text.parse()
                    .map_err(|_| format!("must be one of {}", known()))
            }),
        }
    }
}

/// What selects ticks.
pub type TickParams = (RobotParams, DecisionParam, SpanParams);

/// A part of the report **Ticks**.
///
/// # Errors
/// An unknown robot, a database that does not answer.
pub async fn select(
    state: &ApiState,
    (robots, only, span): &TickParams,
    page: PageRequest,
) -> Result<Page<TickView>, ApiError> {
    let robots = match robots.select(state).await? {
        Selected::All => Vec::new(),
        Selected::Some(robots) => robots,
        Selected::Nothing => return Ok(Page::default()),
    };
    let filter = TickFilter {
        robots,
        decision: only.decision,
        from: span.from,
        to: span.to,
    };
    let ticks = state.store.tick_list(filter, page).await?;
    let names = state
        .names(ticks.items.iter().map(|tick| tick.robot))
        .await?;
    let items = ticks.items.iter().map(|tick| TickView::of(tick, &names));
    Ok(Page {
        items: items.collect(),
        next: ticks.next,
    })
}

/// Decided instants, the latest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/ticks", tag = "ticks", operation_id = "tick_list",
    params(PageParams, RobotParams, DecisionParam, SpanParams),
    responses((status = 200, description = "Ticks",
        content((ListView<TickView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, robots, only, span)): Query<(PageParams, RobotParams, DecisionParam, SpanParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let only = (robots, only, span);
    report(&request, select(&state, &only, page.request()).await?)
}
