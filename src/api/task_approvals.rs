//! `/task-approvals`: tasks that wait for somebody's decision before they begin.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
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
use crate::domain::approval::{ApprovalState, Decision, Obstacle, Question, REASON_CHARS_MAX};
use crate::domain::id::{InventoryId, TaskId};
use crate::domain::inventory::check::Problems;
use crate::domain::inventory::{Noun, TaskDefinitionBody};
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::audit::NewAudit;
use crate::store::page::{Page, PageRequest};
use crate::store::task_approval::{Approval, ApprovalRequest, Verdict};

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
        let ApprovalRequest {
            task,
            definition,
            revision,
            name,
            meaning,
            role,
            requested_by,
            expires_at,
        } = approval.request;
        Self {
            task,
            definition,
            revision,
            name,
            meaning,
            state: approval.state,
            role,
            requested_by,
            requested_at: approval.requested_at,
            expires_at,
            decided_by: approval.decided_by,
            decided_at: approval.decided_at,
            reason: approval.reason,
        }
    }
}

impl TaskApprovalView {
    /// What matters for who may decide.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            state: self.state,
            requested_by: &self.requested_by,
            role: self.role,
            expires_at: self.expires_at,
        }
    }
}

/// Filters of the list.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TaskApprovalParams {
    /// Only in this state.
    #[param(value_type = Option<ApprovalState>, nullable = false)]
    pub state: Option<ApprovalState>,
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

/// How the decision on a task stands; none: it need not wait, or its run has not found that it must.
///
/// # Errors
/// A database that does not answer.
pub async fn of_task(state: &ApiState, task: TaskId) -> Result<Option<TaskApprovalView>, ApiError> {
    let found = state.store.approval_get(task).await?;
    Ok(found.map(TaskApprovalView::from))
}

/// Refuses to queue a task again that could not begin, because nobody agreed to it.
pub(super) async fn must_be_open(state: &ApiState, task: TaskId) -> Result<(), ApiError> {
    let asked = of_task(state, task).await?;
    let now = state.now();
    let Some(over) = asked.and_then(|asked| asked.question().refusal(now)) else {
        return Ok(());
    };
    let why = format!(
        "the approval of task `{task}` is {over}: it would begin nothing. Register another one with `POST /tasks` for somebody to \
         decide on, with another `unique_key` where this one has one"
    );
    Err(ApiError::new(Code::Conflict, why))
}

fn missing(task: TaskId) -> ApiError {
    ApiError::missing("approval of the task", &task.to_string())
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
    let found = of_task(&state, task).await?;
    found.map(web::Json).ok_or_else(|| missing(task))
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

/// The `{decision}` of a path.
#[derive(Debug, Clone, Copy)]
pub struct PathDecision(pub Decision);

impl FromRequest for PathDecision {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let decision = request.match_info().query("decision").parse();
        let known = decision.map(Self);
        ready(known.map_err(|_| ApiError::missing("path", request.path())))
    }
}

/// Decides on a task in the name of `caller`.
///
/// # Errors
/// The task does not wait, or not any more; the caller's role does not suffice, or the task is the caller's own; a reason that
/// is no line of at most 500 characters; an approval of what could not begin any more; a database that does not answer.
pub async fn decide_task(
    state: &ApiState,
    (task, decision): (TaskId, Decision),
    reason: Option<String>,
    caller: &Caller,
) -> Result<TaskApprovalView, ApiError> {
    let mut problems = Problems::default();
    problems.optional_line("reason", reason.as_ref(), REASON_CHARS_MAX);
    let errors = problems.into_errors();
    if !errors.is_empty() {
        return Err(ApiError::fields(Code::Invalid, errors));
    }
    let now = state.now();
    let asked = of_task(state, task).await?;
    let asked = asked.ok_or_else(|| missing(task))?;
    if let Some(obstacle) = asked.question().obstacle(&caller.name, caller.role, now) {
        return Err(obstacle.into());
    }
    if decision == Decision::Approve {
        must_be_able_to_begin(state, &asked).await?;
    }
    let verdict = Verdict {
        task,
        state: decision.state(),
        reason: reason.clone(),
        audit: NewAudit {
            actor: caller.name.clone(),
            action: format!("task.{decision}"),
            object: format!("task:{task}"),
            before: Some(json!({"state": asked.state})),
            after: Some(json!({"state": decision.state(), "reason": reason})),
        },
    };
    let decided = state.store.approval_decide(verdict, now).await?;
    Ok(decided.into())
}

impl From<Obstacle> for ApiError {
    fn from(obstacle: Obstacle) -> Self {
        let code = match obstacle {
            Obstacle::Role(_) | Obstacle::OwnTask => Code::Forbidden,
            Obstacle::Decided(_) | Obstacle::Late => Code::Conflict,
        };
        Self::new(code, obstacle.to_string())
    }
}

/// Refuses what would fail as soon as it runs: its definition is gone, or disabled.
async fn must_be_able_to_begin(state: &ApiState, asked: &TaskApprovalView) -> Result<(), ApiError> {
    let name = &asked.name;
    let found = state.inventory.get(Noun::TaskDefinition, asked.definition);
    let why = match found.await {
        Err(StoreError::NotFound { .. }) => {
            format!("the task definition `{name}` was removed: deny the task, or cancel it")
        }
        found => {
            let body: TaskDefinitionBody =
                serde_json::from_value(found?.body.into()).map_err(ApiError::internal)?;
            if body.enabled {
                return Ok(());
            }
            format!("the task definition `{name}` is disabled: enable it first, or deny the task")
        }
    };
    Err(ApiError::new(Code::Conflict, why))
}

/// Lets a task begin (`approve`), or keeps it from beginning, so that it is cancelled (`deny`). Not who asked for it, and only a
/// role that its definition names.
#[utoipa::path(
    post, path = "/api/v1/task-approvals/{id}/{decision}", tag = "task-approvals", operation_id = "task_approval_decide",
    params(
        ("id" = String, Path, description = "The task's id", pattern = "^[1-9][0-9]{0,18}$"),
        ("decision" = inline(Decision), Path, description = "What is decided"),
    ),
    request_body(content = DecisionBody),
    responses(
        (status = 200, description = "It is decided: the task begins, or ends", body = TaskApprovalView),
        (status = 409, description = "It is decided on, has ended, or could not begin any more", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn decide(
    Operator(caller): Operator,
    PathId(task): PathId<TaskId>,
    PathDecision(decision): PathDecision,
    _: Query<()>,
    Json(body): Json<DecisionBody>,
    state: web::Data<ApiState>,
) -> Result<web::Json<TaskApprovalView>, ApiError> {
    let decided = decide_task(&state, (task, decision), body.reason, &caller).await?;
    Ok(web::Json(decided))
}
