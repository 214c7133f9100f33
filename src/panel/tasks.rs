//! The report **Tasks**: registered work and how it stands.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::Posted;
use super::list::{List, Report};
use super::moment::{Age, At};
use super::plain;
use super::shell::{Place, Shell, see_and_tell};
use super::text as t;
use super::when::{LASTS, When};
use super::words::{self, Word};
use crate::api::csv::Row as _;
use crate::api::path::PathId;
use crate::api::query::RobotParams;
use crate::api::task_view::TaskView;
use crate::api::tasks::{self, StatusParam};
use crate::api::{ApiError, ApiState, Operator};
use crate::domain::category::Category;
use crate::domain::id::TaskId;
use crate::domain::task::{TaskStatus, Trigger};
use crate::domain::time::Timestamp;
use crate::store::page::{Page, PageRequest};

/// Characters of a payload that a row shows.
const PAYLOAD_CHARS: usize = 120;
/// Characters of an error that a row shows; all of it is on the page of the task.
pub(super) const ERROR_CHARS: usize = 300;

/// The report.
pub(super) struct Tasks;

#[derive(Template)]
#[template(path = "tasks.html")]
pub(super) struct TasksPage {
    shell: Shell,
    list: List,
    rows: Vec<Row>,
}

/// A task as a row.
struct Row {
    id: String,
    robot: String,
    status: Word,
    stopping: bool,
    trigger: &'static str,
    ordered_by: Option<String>,
    attempts: i32,
    max_attempts: i32,
    registered: At,
    due: Option<Age>,
    finished: Option<Age>,
    payload: String,
    error: Option<String>,
    can_cancel: bool,
    can_retry: bool,
}

impl Row {
    fn of(task: TaskView, now: Timestamp) -> Self {
        let waits = matches!(task.status, TaskStatus::Scheduled | TaskStatus::Queued);
        let age = |of| Age { of, now };
        Self {
            id: task.id.to_string(),
            status: words::task(task.status),
            stopping: task.cancel_requested && task.status == TaskStatus::Running,
            trigger: words::trigger(task.trigger),
            ordered_by: ordered_by(&task),
            attempts: task.attempts,
            max_attempts: task.max_attempts,
            registered: At(task.created_at),
            due: waits.then(|| age(task.run_at)),
            finished: task.finished_at.map(age),
            payload: plain::value(&task.payload, PAYLOAD_CHARS),
            can_cancel: can_cancel(&task),
            can_retry: can_retry(&task),
            error: task
                .error
                .map(|error| plain::shortened(&error, ERROR_CHARS)),
            robot: task.robot,
        }
    }
}

/// The person behind a task, where there is one.
pub(super) fn ordered_by(task: &TaskView) -> Option<String> {
    let by_people = matches!(task.trigger, Trigger::Manual | Trigger::Api);
    by_people.then(|| task.requested_by.clone())
}

/// Whether a task can be asked to end.
pub(super) const fn can_cancel(task: &TaskView) -> bool {
    !task.status.is_final() && !task.cancel_requested
}

/// Whether a task can be queued again.
pub(super) fn can_retry(task: &TaskView) -> bool {
    task.status == TaskStatus::Scheduled
        || task.status.is_final() && task.status != TaskStatus::Succeeded
}

impl Report for Tasks {
    const PLACE: Place = Place::Tasks;
    const TOPICS: &'static str = "task";
    const SUB: &'static str = t::TASKS_SUB;
    const EMPTY: &'static str = t::NO_TASKS;
    type Only = (RobotParams, StatusParam, When);
    type View = TaskView;
    type Page = TasksPage;

    async fn select(
        state: &ApiState,
        (robots, status, when): &Self::Only,
        part: PageRequest,
    ) -> Result<Page<TaskView>, ApiError> {
        let only = (robots.clone(), *status, when.span(state.now()));
        tasks::select(state, &only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(TaskView::COLUMNS.to_vec())
    }

    async fn page(
        state: &ApiState,
        _: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<TaskView>,
    ) -> Result<TasksPage, ApiError> {
        let now = state.now();
        Ok(TasksPage {
            shell,
            list,
            rows: views.into_iter().map(|task| Row::of(task, now)).collect(),
        })
    }
}

/// Cancels a task, or asks its process to stop.
pub(super) async fn cancel(
    _: Operator,
    PathId(id): PathId<TaskId>,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    tasks::cancel_task(&state, id).await?;
    let back = fields.back(Place::Tasks.address());
    Ok(see_and_tell(back, "cancelled", &id.to_string()))
}

/// Queues a task again.
pub(super) async fn retry(
    Operator(caller): Operator,
    PathId(id): PathId<TaskId>,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    tasks::retry_task(&state, id, &caller).await?;
    let back = fields.back(Place::Tasks.address());
    Ok(see_and_tell(back, "retried", &id.to_string()))
}
