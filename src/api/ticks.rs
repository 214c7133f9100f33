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
use crate::store::page::Page;
use crate::store::tick::{Tick, TickFilter};

/// A decided instant, or several in a row that were decided alike.
#[derive(Debug, Serialize, ToSchema)]
pub struct TickView {
    /// Whose.
    robot: String,
    /// The planned instant, or the first of them.
    #[schema(value_type = String, format = DateTime)]
    planned_at: Timestamp,
    /// The last instant, where there are several.
    #[schema(value_type = Option<String>, format = DateTime)]
    through: Option<Timestamp>,
    /// How many instants.
    count: i64,
    /// What became of them.
    #[schema(value_type = schema::DecisionSchema)]
    decision: Decision,
    /// When that was decided.
    #[schema(value_type = String, format = DateTime)]
    decided_at: Timestamp,
    /// By which node.
    #[schema(value_type = String)]
    node: NodeId,
    /// The run it started.
    #[schema(value_type = Option<String>)]
    task: Option<TaskId>,
    /// The node it was decided for, where the robot runs on each node by itself.
    #[schema(value_type = Option<String>)]
    for_node: Option<NodeId>,
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
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DecisionParam {
    /// Only instants that were decided so.
    #[param(value_type = Option<schema::DecisionSchema>, nullable = false)]
    decision: Option<Decision>,
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
    let robots = match robots.select(&state).await? {
        Selected::All => Vec::new(),
        Selected::Some(robots) => robots,
        Selected::Nothing => {
            return report::<TickView>(
                &request,
                Page {
                    items: Vec::new(),
                    next: None,
                },
            );
        }
    };
    let filter = TickFilter {
        robots,
        decision: only.decision,
        from: span.from,
        to: span.to,
    };
    let ticks = state.store.tick_list(filter, page.request()).await?;
    let names = state
        .names(ticks.items.iter().map(|tick| tick.robot))
        .await?;
    let items = ticks
        .items
        .iter()
        .map(|tick| TickView::of(tick, &names))
        .collect();
    report(
        &request,
        Page {
            items,
            next: ticks.next,
        },
    )
}
