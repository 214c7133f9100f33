//! `/tasks`: registering work, and the report **Tasks**.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::{Caller, Operator, Viewer};
use super::body::{BATCH_BYTES_MAX, Json, ObjectOnly, RequestBody};
use super::csv::report;
use super::error::{ApiError, Code, Problem};
use super::paging::{ListView, PageParams};
use super::path::PathId;
use super::query::{FromParams, Params, Query, RobotParams, Selected, SpanParams};
use super::state::ApiState;
use super::task_approvals;
use super::task_view::{CreateTaskBody, TaskView};
use crate::domain::access::Role;
use crate::domain::id::{RobotId, TaskId};
use crate::domain::robot::FieldError;
use crate::domain::task::{BATCH_TASKS_MAX, TaskStatus, Trigger};
use crate::robot::{Admission, Refusal};
use crate::store::page::{Page, PageRequest};
use crate::store::task::{CancelEffect, NewTask, Task, TaskFilter};

impl RequestBody for CreateTaskBody {}

/// Registers a task. Where (robot, `unique_key`) is known, the known task is answered instead.
#[utoipa::path(
    post, path = "/api/v1/tasks", tag = "tasks", operation_id = "task_create",
    request_body(content = CreateTaskBody),
    responses(
        (status = 201, description = "The registered task", body = TaskView,
            headers(("Location" = String, description = "The task"))),
        (status = 200, description = "The task that is known under this key", body = TaskView,
            headers(("Location" = String, description = "The task"))),
    )
)]
pub(super) async fn create(
    Operator(caller): Operator,
    _: Query<()>,
    Json(body): Json<CreateTaskBody>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let invalid = |errors| ApiError::fields(Code::Invalid, errors);
    let task = body.check(&state, &caller.name, "").map_err(invalid)?;
    let asked = (task.robot, &task.payload);
    admit(&state, asked, task.trigger, caller.role, "").await?;
    let (view, existing) = register(&state, task).await?;
    let mut answer = if existing {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    Ok(answer
        .insert_header((header::LOCATION, location(view.id)))
        .json(view))
}

/// Refuses a task that its robot would not carry out; `prefix` stands before the names of its fields.
///
/// # Errors
/// The field that is to blame, or the role that does not suffice; a database that does not answer.
pub(super) async fn admit(
    state: &ApiState,
    (robot, payload): (RobotId, &Value),
    trigger: Trigger,
    role: Role,
    prefix: &str,
) -> Result<(), ApiError> {
    let admission = Admission {
        payload,
        trigger,
        role,
        inventory: &state.inventory,
    };
    let admitted = state.handle.admit(robot, &admission).await;
    admitted.map_err(|refusal| match refusal {
        Refusal::Field(FieldError { field, detail }) => {
            ApiError::field(Code::Invalid, format!("{prefix}{field}"), detail)
        }
        Refusal::Forbidden(detail) => ApiError::new(Code::Forbidden, detail),
        Refusal::Store(error) => error.into(),
    })
}

/// Registers a task; answers it as it stands then, or the known one and that it was known.
pub(super) async fn register(
    state: &ApiState,
    task: NewTask,
) -> Result<(TaskView, bool), ApiError> {
    let now = state.now();
    let added = state.store.task_add(vec![task.clone()], now).await?;
    match added.first() {
        Some(added) if added.existing => Ok((one(state, added.id).await?, true)),
        Some(added) => {
            let task = Task::registered(added.id, task, now);
            Ok((show(state, task).await?, false))
        }
        None => Err(ApiError::internal(
            "the store answered no task for one that was added",
        )),
    }
}

/// Where a task is.
pub(super) fn location(id: TaskId) -> String {
    format!("/api/v1/tasks/{id}")
}

/// One task, finished or not.
///
/// # Errors
/// There is none of this id; a database that does not answer.
pub async fn one(state: &ApiState, id: TaskId) -> Result<TaskView, ApiError> {
    let task = state.store.task_get(id).await?;
    let task = task.ok_or_else(|| ApiError::missing("task", &id.to_string()))?;
    show(state, task).await
}

async fn show(state: &ApiState, task: Task) -> Result<TaskView, ApiError> {
    let robot = state.name(task.robot).await?;
    Ok(TaskView::of(task, robot))
}

/// Tasks that are registered together or not at all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// In order.
    #[schema(value_type = Vec<CreateTaskBody>, min_items = 1, max_items = 10000)]
    tasks: Vec<ObjectOnly<CreateTaskBody>>,
}

impl RequestBody for BatchBody {
    const BYTES_MAX: usize = BATCH_BYTES_MAX;
}

/// The registered tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchView {
    /// Their ids in the order of the request; a known (robot, `unique_key`) gives the known id.
    #[schema(value_type = Vec<String>)]
    tasks: Vec<TaskId>,
}

/// Registers many tasks, all or none.
#[utoipa::path(
    post, path = "/api/v1/tasks/batch", tag = "tasks", operation_id = "task_batch",
    request_body(content = BatchBody),
    responses((status = 201, description = "All are registered", body = BatchView))
)]
pub(super) async fn batch(
    Operator(caller): Operator,
    _: Query<()>,
    Json(body): Json<BatchBody>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    if body.tasks.is_empty() || body.tasks.len() > BATCH_TASKS_MAX {
        let detail = format!("must hold 1 to {BATCH_TASKS_MAX} tasks");
        return Err(ApiError::field(Code::Invalid, "tasks", detail));
    }
    let mut tasks = Vec::with_capacity(body.tasks.len());
    let mut errors: Vec<FieldError> = Vec::new();
    for (index, ObjectOnly(task)) in body.tasks.into_iter().enumerate() {
        match task.check(&state, &caller.name, &format!("tasks[{index}].")) {
            Ok(task) => tasks.push(task),
            Err(bad) => errors.extend(bad),
        }
    }
    if !errors.is_empty() {
        return Err(ApiError::fields(Code::Invalid, errors));
    }
    for (index, task) in tasks.iter().enumerate() {
        let (asked, prefix) = ((task.robot, &task.payload), format!("tasks[{index}]."));
        admit(&state, asked, task.trigger, caller.role, &prefix).await?;
    }
    let added = state.store.task_add(tasks, state.now()).await?;
    let tasks = added.into_iter().map(|added| added.id).collect();
    Ok(HttpResponse::Created().json(BatchView { tasks }))
}

/// Filter by status.
#[derive(Debug, Clone, Copy, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatusParam {
    /// Only tasks that stand so.
    #[param(value_type = Option<TaskStatus>, nullable = false)]
    pub status: Option<TaskStatus>,
}

impl FromParams for StatusParam {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            status: params.word("status"),
        }
    }
}

/// What selects tasks.
pub type TaskParams = (RobotParams, StatusParam, SpanParams);

/// A part of the report **Tasks**.
///
/// # Errors
/// An unknown robot, a database that does not answer.
pub async fn select(
    state: &ApiState,
    (robots, status, span): &TaskParams,
    page: PageRequest,
) -> Result<Page<TaskView>, ApiError> {
    let robots = match robots.select(state).await? {
        Selected::All => Vec::new(),
        Selected::Some(robots) => robots,
        Selected::Nothing => return Ok(Page::default()),
    };
    let filter = TaskFilter {
        robots,
        status: status.status,
        from: span.from,
        to: span.to,
    };
    let tasks = state.store.task_list(filter, page).await?;
    let names = state
        .names(tasks.items.iter().map(|task| task.robot))
        .await?;
    let items = tasks.items.into_iter().map(|task| {
        let robot = names.of(task.robot);
        TaskView::of(task, robot)
    });
    Ok(Page {
        items: items.collect(),
        next: tasks.next,
    })
}

/// The report **Tasks**, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/tasks", tag = "tasks", operation_id = "task_list",
    params(PageParams, RobotParams, StatusParam, SpanParams),
    responses((status = 200, description = "Tasks",
        content((ListView<TaskView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, robots, status, span)): Query<(PageParams, RobotParams, StatusParam, SpanParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let only = (robots, status, span);
    report(&request, select(&state, &only, page.request()).await?)
}

/// One task, finished or not.
#[utoipa::path(
    get, path = "/api/v1/tasks/{id}", tag = "tasks", operation_id = "task_get",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses((status = 200, description = "The task", body = TaskView))
)]
pub(super) async fn get(
    _: Viewer,
    PathId(id): PathId<TaskId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<TaskView>, ApiError> {
    one(&state, id).await.map(web::Json)
}

/// Cancels a task that waits, or asks a running one to stop.
#[utoipa::path(
    post, path = "/api/v1/tasks/{id}/cancel", tag = "tasks", operation_id = "task_cancel",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses(
        (status = 200, description = "It had not started and is cancelled", body = TaskView),
        (status = 202, description = "It runs and was asked to stop", body = TaskView),
        (status = 409, description = "It is finished", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel(
    _: Operator,
    PathId(id): PathId<TaskId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let mut answer = match cancel_task(&state, id).await? {
        CancelEffect::Cancelled => HttpResponse::Ok(),
        CancelEffect::Requested { .. } => HttpResponse::Accepted(),
    };
    Ok(answer.json(one(&state, id).await?))
}

/// Cancels a task that waits, or asks a running one to stop.
///
/// # Errors
/// There is none of this id, or it is finished; a database that does not answer.
pub async fn cancel_task(state: &ApiState, id: TaskId) -> Result<CancelEffect, ApiError> {
    let effect = state.store.task_cancel(id, state.now()).await?;
    state.handle.cancel(effect);
    Ok(effect)
}

/// Queues a finished or scheduled task at once, with its attempts set back.
#[utoipa::path(
    post, path = "/api/v1/tasks/{id}/retry", tag = "tasks", operation_id = "task_retry",
    params(("id" = String, Path, description = "Its id", pattern = "^[1-9][0-9]{0,18}$")),
    responses(
        (status = 200, description = "It is queued", body = TaskView),
        (status = 409, description = "It runs, is queued or succeeded, or it was denied, or nobody agreed to it in time", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn retry(
    Operator(caller): Operator,
    PathId(id): PathId<TaskId>,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<web::Json<TaskView>, ApiError> {
    retry_task(&state, id, &caller).await.map(web::Json)
}

/// Queues a finished or scheduled task at once, with its attempts set back.
///
/// # Errors
/// There is none of this id, its robot would refuse it of `caller`, it runs, is queued or succeeded, or nobody agreed to it in
/// time; a database that does not answer.
pub async fn retry_task(
    state: &ApiState,
    id: TaskId,
    caller: &Caller,
) -> Result<TaskView, ApiError> {
    task_approvals::must_be_open(state, id).await?;
    if let Some(Task { robot, payload, .. }) = state.store.task_get(id).await? {
        admit(state, (robot, &payload), Trigger::Manual, caller.role, "").await?;
    }
    let task = state
        .store
        .task_retry(id, &caller.name, state.now())
        .await?;
    show(state, task).await
}
