//! `/task-approvals`: tasks that wait for somebody's decision before they begin.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::auth::{Caller, Operator, Viewer};
use super::body::{Json, RequestBody};
use super::csv::{Row, report};
use super::error::{ApiError, Code, Problem};
use super::paging::{ListView, PageParams};
use super::path::PathId;
use super::query::{FromParams, Params, Query};
use super::state::ApiState;
use crate::domain::access::Role;
use crate::domain::approval::{ApprovalState, Obstacle, REASON_CHARS_MAX};
use crate::domain::id::{InventoryId, TaskId};
use crate::domain::inventory::check::Problems;
use crate::domain::time::Timestamp;
use crate::store::audit::NewAudit;
use crate::store::page::{Page, PageRequest};
use crate::store::task_approval::{Approval, Verdict};

/// A task that waits, or waited, for a decision.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskApprovalView {
    /// The task.
    #[schema(value_type = String)]
    pub task: TaskId,
    /// The definition it names.
    #[schema(value_type = String)]
    pub definition: InventoryId,
    /// The definition's revision when it was asked for.
    pub revision: i64,
    /// The definition's name then.
    pub name: String,
    /// What the task does and to which accounts: this is what is decided on, whatever becomes of the definition.
    #[schema(value_type = Object)]
    pub meaning: Value,
    /// Where the decision stands.
    pub state: ApprovalState,
    /// Who may decide: this role at least, but not who asked.
    pub role: Role,
    /// Who asked for the task.
    pub requested_by: String,
    /// When the task began to wait.
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    /// Until when it waits.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Who decided; null where nobody did.
    pub decided_by: Option<String>,
    /// When it was decided, or was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub decided_at: Option<Timestamp>,
    /// Why, in the words of whoever decided.
    pub reason: Option<String>,
}

impl Row for TaskApprovalView {
    const COLUMNS: &'static [&'static str] = &[
        "task",
        "definition",
        "revision",
        "name",
        "meaning",
        "state",
        "role",
        "requested_by",
        "requested_at",
        "expires_at",
        "decided_by",
        "decided_at",
        "reason",
    ];
}

impl From<Approval> for TaskApprovalView {
    fn from(approval: Approval) -> Self {
        Self {
            task: approval.task,
            definition: approval.definition,
            revision: approval.revision,
            name: approval.name,
            meaning: approval.meaning,
            state: approval.state,
            role: approval.role,
            requested_by: approval.requested_by,
            requested_at: approval.requested_at,
            expires_at: approval.expires_at,
            decided_by: approval.decided_by,
            decided_at: approval.decided_at,
            reason: approval.reason,
        }
    }
}

/// Filters of the list.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TaskApprovalParams {
    /// Only in this state.
    #[param(value_type = Option<ApprovalState>, nullable = false)]
    state: Option<ApprovalState>,
}

impl FromParams for TaskApprovalParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            state: params.word("state"),
        }
    }
}

/// A part of the tasks that wait, or waited, newest first.
///
/// # Errors
/// A database that does not answer.
pub async fn select(
    state: &ApiState,
    only: &TaskApprovalParams,
    page: PageRequest,
) -> Result<Page<TaskApprovalView>, ApiError> {
    let found = state.store.approval_list(only.state, page).await?;
    Ok(found.map(TaskApprovalView::from))
}

/// Tasks that wait, or waited, for a decision, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/task-approvals", tag = "task-approvals", operation_id = "task_approval_list",
    params(PageParams, TaskApprovalParams),
    responses((status = 200, description = "Tasks and the decisions on them",
        content((ListView<TaskApprovalView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, only)): Query<(PageParams, TaskApprovalParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    report(&request, select(&state, &only, page.request()).await?)
}

async fn one(state: &ApiState, task: TaskId) -> Result<Approval, ApiError> {
    let found = state.store.approval_get(task).await?;
    found.ok_or_else(|| ApiError::missing("approval of the task", &task.to_string()))
}

/// How the decision on a task stands.
#[utoipa::path(
    get, path = "/api/v1/task-approvals/{id}", tag = "task-approvals", operation_id = "task_approval_get",
    params(("id" = String, Path, description = "The task's id", pattern = "^[1-9][0-9]{0,18}$")),
    responses((status = 200, description = "The task and the decision on it", body = TaskApprovalView))
)]
pub(super) async fn get(
    _: Viewer,
    PathId(task): PathId<TaskId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<TaskApprovalView>, ApiError> {
    Ok(web::Json(one(&state, task).await?.into()))
}

/// What goes with a decision.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// Why; stands in the audit trail.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

impl RequestBody for DecisionBody {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// Decides on a task in the name of `caller`.
///
/// # Errors
/// The task does not wait, or not any more; the caller's role does not suffice, or the task is the caller's own; a reason that
/// is no line of at most 500 characters; a database that does not answer.
async fn decide(
    state: &ApiState,
    task: TaskId,
    decision: ApprovalState,
    reason: Option<String>,
    caller: &Caller,
) -> Result<web::Json<TaskApprovalView>, ApiError> {
    let mut problems = Problems::default();
    problems.optional_line("reason", reason.as_ref(), REASON_CHARS_MAX);
    let errors = problems.into_errors();
    if !errors.is_empty() {
        return Err(ApiError::fields(Code::Invalid, errors));
    }
    let now = state.now();
    let asked = one(state, task).await?;
    if let Some(obstacle) = asked.question().obstacle(&caller.name, caller.role, now) {
        let code = match obstacle {
            Obstacle::Role(_) | Obstacle::OwnTask => Code::Forbidden,
            Obstacle::Decided(_) | Obstacle::Late => Code::Conflict,
        };
        return Err(ApiError::new(code, obstacle.to_string()));
    }
    let action = match decision {
        ApprovalState::Approved => "task.approve",
        _ => "task.deny",
    };
    let verdict = Verdict {
        task,
        state: decision,
        reason: reason.clone(),
        audit: NewAudit {
            actor: caller.name.clone(),
            action: action.to_owned(),
            object: format!("task:{task}"),
            before: Some(json!({"state": asked.state})),
            after: Some(json!({"state": decision, "reason": reason})),
        },
    };
    let decided = state.store.approval_decide(verdict, now).await?;
    Ok(web::Json(decided.into()))
}

/// Lets a task begin. Not who asked for it, and only a role that its definition names.
#[utoipa::path(
    post, path = "/api/v1/task-approvals/{id}/approve", tag = "task-approvals", operation_id = "task_approval_approve",
    params(("id" = String, Path, description = "The task's id", pattern = "^[1-9][0-9]{0,18}$")),
    request_body(content = DecisionBody),
    responses(
        (status = 200, description = "It is approved, and begins", body = TaskApprovalView),
        (status = 409, description = "It is decided on, or has ended", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn approve(
    Operator(caller): Operator,
    PathId(task): PathId<TaskId>,
    _: Query<()>,
    Json(body): Json<DecisionBody>,
    state: web::Data<ApiState>,
) -> Result<web::Json<TaskApprovalView>, ApiError> {
    decide(&state, task, ApprovalState::Approved, body.reason, &caller).await
}

/// Keeps a task from beginning: it is cancelled. Not who asked for it, and only a role that its definition names.
#[utoipa::path(
    post, path = "/api/v1/task-approvals/{id}/deny", tag = "task-approvals", operation_id = "task_approval_deny",
    params(("id" = String, Path, description = "The task's id", pattern = "^[1-9][0-9]{0,18}$")),
    request_body(content = DecisionBody),
    responses(
        (status = 200, description = "It is denied, and ends", body = TaskApprovalView),
        (status = 409, description = "It is decided on, or has ended", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn deny(
    Operator(caller): Operator,
    PathId(task): PathId<TaskId>,
    _: Query<()>,
    Json(body): Json<DecisionBody>,
    state: web::Data<ApiState>,
) -> Result<web::Json<TaskApprovalView>, ApiError> {
    decide(&state, task, ApprovalState::Denied, body.reason, &caller).await
}
