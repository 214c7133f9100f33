//! `/robots/{name}/preview`: what a proposed schedule and window would do, before they are set.

use actix_web::web;
use chrono::Datelike;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Viewer;
use super::body::{Json, ObjectOnly, RequestBody, present, whole};
use super::error::{ApiError, Code};
use super::path::PathRobot;
use super::query::Query;
use super::schema;
use super::state::ApiState;
use super::time::{check_time, instant};
use crate::domain::schedule::Schedule;
use crate::domain::tick::{ClockNote, Decision, TickPlan, preview};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;
use crate::robot::registry::Entry;

/// Instants shown when the caller names no number: a day of hours and some more.
const COUNT_DEFAULT: u32 = 25;
/// The most instants of one preview.
const COUNT_MAX: u32 = 100;

/// A proposed schedule and window; what is absent is as it is in force.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}, "from": "2026-03-28T00:00:00Z", "count": 3}))]
pub struct PreviewBody {
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub schedule: Option<ObjectOnly<Schedule>>,
    /// Null: no window.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub window: Option<Option<ObjectOnly<Window>>>,
    /// First instant that may be shown; now when absent.
    #[serde(default, deserialize_with = "instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// How many instants; 25 when absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 100)]
    pub count: Option<u32>,
}

impl RequestBody for PreviewBody {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// The next planned instants.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewView {
    /// In order.
    pub items: Vec<PlannedView>,
}

/// One planned instant, as it would be decided on time with no run open.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedView {
    /// The instant.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The same in the zone of the schedule, else of the window, else UTC.
    #[schema(value_type = String, format = DateTime)]
    pub local: String,
    /// `fired` or `skipped:window`.
    #[schema(value_type = schema::DecisionSchema)]
    pub decision: Decision,
    /// What the change of the clock does to it, on those nights.
    #[schema(value_type = Option<schema::ClockNoteSchema>)]
    pub note: Option<ClockNote>,
}

/// The next ticks under a proposed schedule and window. Nothing is changed.
#[utoipa::path(
    post, path = "/api/v1/robots/{name}/preview", tag = "robots", operation_id = "robot_preview",
    params(("name" = String, Path, description = "`category.robot`")),
    request_body(content = PreviewBody),
    responses((status = 200, description = "The next planned instants", body = PreviewView))
)]
pub(super) async fn show(
    _: Viewer,
    PathRobot(robot): PathRobot,
    _: Query<()>,
    Json(body): Json<PreviewBody>,
    state: web::Data<ApiState>,
) -> Result<web::Json<PreviewView>, ApiError> {
    planned(&state, &robot, body).map(web::Json)
}

/// The next planned instants of a robot under a proposed schedule and window.
///
/// # Errors
/// A number or an instant out of bounds; a robot without a schedule where none is proposed.
pub fn planned(
    state: &ApiState,
    robot: &Entry,
    body: PreviewBody,
) -> Result<PreviewView, ApiError> {
    let invalid = |field: &str, detail: String| ApiError::field(Code::Invalid, field, detail);
    let count = body.count.unwrap_or(COUNT_DEFAULT);
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(invalid(
            "count",
            format!("must lie between 1 and {COUNT_MAX}"),
        ));
    }
    let from = body.from.unwrap_or_else(|| state.now());
    let from = check_time(from).map_err(|error| invalid("from", error.to_string()))?;
    let proposed = body.schedule.is_some();
    let Some(schedule) = body
        .schedule
        .map(|schedule| schedule.0)
        .or_else(|| robot.config.schedule.clone())
    else {
        return Err(invalid(
            "schedule",
            "the robot has none; propose one".to_owned(),
        ));
    };
    let window = match body.window {
        Some(window) => window.map(|window| window.0),
        None => robot.config.window.clone(),
    };
    let plan = TickPlan {
        schedule: &schedule,
        anchor: if proposed { from } else { robot.anchor },
        window: window.as_ref(),
        overlap: robot.config.overlap,
        catch_up: robot.config.catch_up,
    };
    let count = usize::try_from(count).unwrap_or_default();
    let planned = preview(&plan, from, count)
        .into_iter()
        .filter(|tick| tick.at.year() < 9999);
    let items = planned.map(|t| PlannedView {
        at: t.at,
        local: t.local,
        decision: t.decision,
        note: t.note,
    });
    Ok(PreviewView {
        items: items.collect(),
    })
}
