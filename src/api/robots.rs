//! `/robots`: configuration and live state, and the only way to change it.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::auth::{Admin, Caller, Operator, Viewer};
use super::body::{Json, RequestBody};
use super::error::{ApiError, Code};
use super::etag::{IfMatch, IfMatchParam, etag};
use super::object::UniqueObject;
use super::paging::{ListView, PageParams};
use super::path::PathRobot;
use super::query::{FromParams, Params, Query};
use super::robot_view::{ChangedRobotView, RobotView, last_runs, view};
use super::schema::RobotPatch;
use super::state::ApiState;
use super::task_view::{TaskView, order};
use super::tasks::{admit, location, register};
use crate::domain::category::Category;
use crate::domain::robot::{FieldError, Overrides, RobotConfig, RobotStatus, merge};
use crate::domain::task::{PAYLOAD_BYTES_MAX, Trigger};
use crate::robot::registry::{Entry, effective};
use crate::store::task::NewTask;

/// The caution of the product page, for people who change a robot.
pub const WARNING: &str = "Changing an interval of execution, the number of instances or the status of a robot \
                       can make data unavailable.";

/// Said before it, where a schedule and a window do not fit each other.
const NEVER: &str =
    "None of the planned instants lies inside the window: by its schedule the robot will not run.";

/// What may be changed over HTTP.
pub const CHANGEABLE: [&str; 10] = [
    "enabled",
    "instances",
    "schedule",
    "window",
    "range",
    "timeout",
    "retry",
    "overlap",
    "catch_up",
    "settings",
];

/// Filters of the list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RobotsParams {
    /// Only robots of this category, by title or by the first half of their names.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64, nullable = false)]
    pub category: Option<Category>,
    /// Only robots that stand so.
    #[param(value_type = Option<RobotStatus>, nullable = false)]
    pub status: Option<RobotStatus>,
}

impl FromParams for RobotsParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        let status = |text: &str| {
            let known = "must be idle, running, paused, outside_window, backing_off, quarantined or disabled";
            serde_json::from_value(Value::String(text.to_owned())).map_err(|_| known.to_owned())
        };
        Self {
            category: super::query::category(params),
            status: params.read("status", status),
        }
    }
}

/// The robots that the filters let through, by name.
///
/// # Errors
/// A database that does not answer.
pub async fn select(state: &ApiState, only: &RobotsParams) -> Result<Vec<RobotView>, ApiError> {
    let last = last_runs(state).await?;
    let of_category = |entry: &Entry| {
        only.category
            .is_none_or(|c| entry.definition.identity.category == c)
    };
    let all = state.registry().all();
    let views = all
        .iter()
        .filter(|entry| of_category(entry))
        .map(|entry| view(state, entry, &last));
    Ok(views
        .filter(|view| only.status.is_none_or(|status| view.state.status == status))
        .collect())
}

/// One robot as it stands now.
///
/// # Errors
/// A database that does not answer.
pub async fn one(state: &ApiState, robot: &Entry) -> Result<RobotView, ApiError> {
    let last = last_runs(state).await?;
    Ok(view(state, robot, &last))
}

/// All robots by name.
#[utoipa::path(
    get, path = "/api/v1/robots", tag = "robots", operation_id = "robot_list",
    params(PageParams, RobotsParams),
    responses((status = 200, description = "Robots by name", body = ListView<RobotView>))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, only)): Query<(PageParams, RobotsParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<web::Json<ListView<RobotView>>, ApiError> {
    let part = page.slice(select(&state, &only).await?);
    Ok(web::Json(ListView::of(request.path(), part)))
}

/// One robot.
#[utoipa::path(
    get, path = "/api/v1/robots/{name}", tag = "robots", operation_id = "robot_get",
    params(("name" = String, Path, description = "`category.robot`")),
    responses((status = 200, description = "The robot", body = RobotView,
        headers(("ETag" = String, description = "Its revision, for `If-Match`"))))
)]
pub(super) async fn get(
    _: Viewer,
    PathRobot(robot): PathRobot,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok()
        .insert_header(etag(robot.revision))
        .json(one(&state, &robot).await?))
}

/// A merge patch; what it may hold is checked field by field, so that each bad one is named.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct PatchBody(UniqueObject);

impl RequestBody for PatchBody {
    const MEDIA: &'static [&'static str] = &["application/merge-patch+json", "application/json"];
}

/// Changes a robot's configuration. In force at once, without restart, when this is answered.
#[utoipa::path(
    patch, path = "/api/v1/robots/{name}", tag = "robots", operation_id = "robot_change",
    params(
        ("name" = String, Path, description = "`category.robot`"),
        IfMatchParam,
    ),
    request_body(content((RobotPatch = "application/merge-patch+json"), (RobotPatch = "application/json"))),
    responses(
        (status = 200, description = "The robot as it is now", body = ChangedRobotView,
            headers(("ETag" = String, description = "Its new revision"))),
        (status = 409, description = "Somebody changed it at the same moment", body = super::error::Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is at another revision", body = super::error::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn change(
    Admin(caller): Admin,
    PathRobot(robot): PathRobot,
    _: Query<()>,
    condition: IfMatch,
    Json(PatchBody(UniqueObject(patch))): Json<PatchBody>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let expected = condition.expected(robot.revision);
    let robot = change_robot(&state, &robot, expected, &patch, &caller.name).await?;
    changed(&state, &robot).await
}

/// Lays a merge patch over the configuration of a robot; in force when this returns.
///
/// # Errors
/// A patch that is not acceptable, another revision than `expected`, a database that does not answer.
pub async fn change_robot(
    state: &ApiState,
    robot: &Entry,
    expected: Option<i64>,
    patch: &Overrides,
    actor: &str,
) -> Result<Arc<Entry>, ApiError> {
    check_patch(patch)?;
    let changed = state
        .handle
        .robot_change(robot.name(), expected, patch, actor)
        .await?;
    Ok(changed)
}

/// The configuration that a merge patch would give a robot. Nothing is changed.
///
/// # Errors
/// A patch that is not acceptable: every field that is to blame.
pub fn propose(robot: &Entry, patch: &Overrides) -> Result<RobotConfig, ApiError> {
    check_patch(patch)?;
    let mut overrides = robot.overrides.clone();
    merge(&mut overrides, patch);
    effective(&robot.definition, &overrides)
        .map_err(|errors| ApiError::fields(Code::Invalid, errors))
}

/// Checks what the configuration's own reading would let through: unknown names after the first, and an
/// array or object where a plain value or an object is meant.
fn check_patch(patch: &Overrides) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    for (name, value) in patch {
        let detail = match name.as_str() {
            "schedule" | "window" if !value.is_object() && !value.is_null() => {
                "must be an object or null".to_owned()
            }
            "retry" | "settings" if !value.is_object() => "must be an object".to_owned(),
            "overlap" | "catch_up" | "timeout" if !value.is_string() => {
                "must be a string".to_owned()
            }
            known if CHANGEABLE.contains(&known) => continue,
            _ => format!("cannot be changed; what can: {}", CHANGEABLE.join(", ")),
        };
        errors.push(FieldError::new(
            name.chars().take(80).collect::<String>(),
            detail,
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::fields(Code::Invalid, errors))
    }
}

async fn changed(state: &ApiState, entry: &Entry) -> Result<HttpResponse, ApiError> {
    let body = ChangedRobotView {
        robot: one(state, entry).await?,
        warning: if state.handle.can_fire(entry) {
            WARNING.to_owned()
        } else {
            format!("{NEVER} {WARNING}")
        },
    };
    Ok(HttpResponse::Ok()
        .insert_header(etag(entry.revision))
        .json(body))
}

/// Back to the defaults of the code or of `robotd.toml`.
#[utoipa::path(
    post, path = "/api/v1/robots/{name}/reset", tag = "robots", operation_id = "robot_reset",
    params(
        ("name" = String, Path, description = "`category.robot`"),
        IfMatchParam,
    ),
    responses(
        (status = 200, description = "The robot as it is now", body = ChangedRobotView,
            headers(("ETag" = String, description = "Its new revision"))),
        (status = 409, description = "Somebody changed it at the same moment", body = super::error::Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is at another revision", body = super::error::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reset(
    Admin(caller): Admin,
    PathRobot(robot): PathRobot,
    _: Query<()>,
    condition: IfMatch,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let expected = condition.expected(robot.revision);
    let robot = reset_robot(&state, &robot, expected, &caller.name).await?;
    changed(&state, &robot).await
}

/// The configuration that a robot would have after a reset. Nothing is changed.
///
/// # Errors
/// Defaults that do not fit the robot, which is a defect.
pub fn propose_reset(robot: &Entry) -> Result<RobotConfig, ApiError> {
    effective(&robot.definition, &Overrides::new())
        .map_err(|errors| ApiError::fields(Code::Invalid, errors))
}

/// Takes a robot back to its defaults; in force when this returns.
///
/// # Errors
/// Another revision than `expected`, a database that does not answer.
pub async fn reset_robot(
    state: &ApiState,
    robot: &Entry,
    expected: Option<i64>,
    actor: &str,
) -> Result<Arc<Entry>, ApiError> {
    let reset = state.handle.robot_reset(robot.name(), expected, actor);
    Ok(reset.await?)
}

/// What a run by hand is given.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBody {
    /// The work, in the robot's own shape.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    payload: Option<Map<String, Value>>,
}

impl RequestBody for RunBody {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// Runs a robot now: registers a task that is due at once.
#[utoipa::path(
    post, path = "/api/v1/robots/{name}/run", tag = "robots", operation_id = "robot_run",
    params(("name" = String, Path, description = "`category.robot`")),
    request_body(content = RunBody),
    responses((status = 202, description = "The registered task", body = TaskView,
        headers(("Location" = String, description = "The task"))))
)]
pub(super) async fn run(
    Operator(caller): Operator,
    PathRobot(robot): PathRobot,
    _: Query<()>,
    Json(body): Json<RunBody>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let payload = body.payload.map_or(Value::Null, Value::Object);
    let view = run_robot(&state, &robot, payload, &caller).await?;
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location(view.id)))
        .json(view))
}

/// Registers a task of a robot that is due at once, as ordered by hand.
///
/// # Errors
/// A payload of more than 256 KiB, or one that the robot refuses; a database that does not answer.
pub async fn run_robot(
    state: &ApiState,
    robot: &Entry,
    payload: Value,
    caller: &Caller,
) -> Result<TaskView, ApiError> {
    if payload.to_string().len() > PAYLOAD_BYTES_MAX {
        return Err(ApiError::field(
            Code::Invalid,
            "payload",
            "must be at most 256 KiB of JSON",
        ));
    }
    let task = NewTask {
        trigger: Trigger::Manual,
        payload,
        ..order(robot, &caller.name)
    };
    let asked = (task.robot, &task.payload);
    admit(state, asked, task.trigger, caller.role, "").await?;
    Ok(register(state, task).await?.0)
}
