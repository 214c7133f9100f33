//! One task: what is to be done, and the attempts at it.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::approvals::Approval;
use super::moment::{Age, At};
use super::processes::Row;
use super::shell::{Place, Shell, Visit, answer};
use super::tasks::{can_cancel, can_retry, ordered_by};
use super::words::{self, Word};
use super::{plain, text as t};
use crate::api::path::PathId;
use crate::api::processes::ProcessParams;
use crate::api::query::{Query, RobotParams, SpanParams};
use crate::api::{ApiError, ApiState, Viewer, processes, task_approvals, tasks};
use crate::domain::id::TaskId;
use crate::domain::task::TaskStatus;
use crate::store::page::PageRequest;

/// Attempts that a page shows, the newest first.
const ATTEMPTS: u32 = 50;

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    shell: Shell,
    id: String,
    robot: String,
    status: Word,
    stopping: bool,
    can_cancel: bool,
    can_retry: bool,
    used: i32,
    allowed: i32,
    deaths: i32,
    priority: i16,
    trigger: &'static str,
    ordered_by: Option<String>,
    registered: At,
    due: Option<Age>,
    deadline: Option<At>,
    finished: Option<At>,
    planned: Option<At>,
    event: Option<String>,
    unique_key: Option<String>,
    error: Option<String>,
    payload: Option<String>,
    approval: Option<Approval>,
    attempts: Vec<Row>,
}

/// Shows a task.
pub(super) async fn page(
    Viewer(caller): Viewer,
    PathId(id): PathId<TaskId>,
    _: Query<()>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let task = tasks::one(&state, id).await?;
    let now = state.now();
    let waits = matches!(task.status, TaskStatus::Scheduled | TaskStatus::Queued);
    let title = format!("{} {id}", t::TASK);
    let shell = visit.shell(Some(&caller), Place::Tasks, title, "task process");
    let approval = task_approvals::of_task(&state, id).await?;
    let would_begin = approval.as_ref().is_none_or(|one| {
        let asked = one.question();
        !asked.waits(now) && asked.refusal(now).is_none()
    });
    let approval = match approval {
        Some(asked) => Some(Approval::whole(&state, asked, &shell).await?),
        None => None,
    };
    answer(&TaskPage {
        approval,
        shell,
        attempts: attempts(&state, id).await?,
        id: id.to_string(),
        status: words::task(task.status),
        stopping: task.cancel_requested && task.status == TaskStatus::Running,
        can_cancel: can_cancel(&task),
        can_retry: can_retry(&task) && would_begin,
        used: task.attempts,
        allowed: task.max_attempts,
        deaths: task.deaths,
        priority: task.priority,
        trigger: words::trigger(task.trigger),
        ordered_by: ordered_by(&task),
        registered: At(task.created_at),
        due: waits.then_some(Age {
            of: task.run_at,
            now,
        }),
        deadline: task.deadline.map(At),
        finished: task.finished_at.map(At),
        planned: task.planned_at.map(At),
        event: task.event.map(|event| event.to_string()),
        unique_key: task.unique_key.as_deref().map(plain::visible),
        error: task.error.as_deref().map(plain::visible),
        payload: (!task.payload.is_null()).then(|| plain::visible(&format!("{:#}", task.payload))),
        robot: task.robot,
    })
}

/// The newest attempts at a task.
pub(super) async fn attempts(state: &ApiState, task: TaskId) -> Result<Vec<Row>, ApiError> {
    let only = (
        RobotParams {
            robot: None,
            category: None,
        },
        ProcessParams {
            outcome: None,
            node: None,
            task: Some(task),
        },
        SpanParams {
            from: None,
            to: None,
        },
    );
    let part = PageRequest {
        limit: ATTEMPTS,
        after: None,
    };
    let now = state.now();
    let found = processes::select(state, &only, part).await?;
    Ok(found
        .items
        .into_iter()
        .map(|process| Row::of(process, now))
        .collect())
}
