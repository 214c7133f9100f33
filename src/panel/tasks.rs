//! The report **Tasks**: registered work and how it stands.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::TimeDelta;
use serde_json::Value;

use super::form::{Fields, Posted};
use super::list::{Address, Filters, csv_file, robot_names};
use super::moment::{Age, At};
use super::shell::{Place, Shell, Visit, answer, own_address, see_and_tell};
use super::text as t;
use super::words::{self, Word};
use crate::api::paging::PageParams;
use crate::api::path::PathId;
use crate::api::query::{FromParams, Params};
use crate::api::task_view::TaskView;
use crate::api::tasks::{self, TaskParams};
use crate::api::{ApiError, ApiState, Operator, Viewer};
use crate::domain::category::Category;
use crate::domain::id::TaskId;
use crate::domain::task::{TaskStatus, Trigger};
use crate::domain::time::Timestamp;

/// Characters of a payload that a row shows.
const PAYLOAD_CHARS: usize = 120;

/// How far back is looked, from now: unlike `from` it stays true when the address is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastParam(Option<TimeDelta>);

/// What is written in addresses and forms, and how it is called.
const LASTS: [(&str, &str, TimeDelta); 3] = [
    ("1h", t::LAST_HOUR, TimeDelta::hours(1)),
    ("24h", t::LAST_DAY, TimeDelta::hours(24)),
    ("7d", t::LAST_WEEK, TimeDelta::days(7)),
];

impl FromParams for LastParam {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self(params.read("last", |text| {
            let found = LASTS.iter().find(|(known, ..)| *known == text);
            found
                .map(|(.., back)| *back)
                .ok_or_else(|| "must be 1h, 24h or 7d".to_owned())
        }))
    }
}

/// `only` with the time that `last` means.
fn since(last: LastParam, mut only: TaskParams, now: Timestamp) -> TaskParams {
    let (_, _, span) = &mut only;
    span.from = span.from.max(last.0.map(|back| now - back));
    only
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    shell: Shell,
    address: Address,
    robots: Vec<String>,
    rows: Vec<Row>,
    older: Option<String>,
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
            robot: task.robot,
            status: words::task(task.status),
            stopping: task.cancel_requested && task.status == TaskStatus::Running,
            trigger: words::trigger(task.trigger),
            ordered_by: Some(task.requested_by)
                .filter(|_| matches!(task.trigger, Trigger::Manual | Trigger::Api)),
            attempts: task.attempts,
            max_attempts: task.max_attempts,
            registered: At(task.created_at),
            due: waits.then(|| age(task.run_at)),
            finished: task.finished_at.map(age),
            payload: shortened(&task.payload),
            error: task.error,
            can_cancel: !task.status.is_final() && !task.cancel_requested,
            can_retry: task.status == TaskStatus::Scheduled
                || task.status.is_final() && task.status != TaskStatus::Succeeded,
        }
    }
}

fn shortened(payload: &Value) -> String {
    if payload.is_null() {
        return String::new();
    }
    let text = payload.to_string();
    match text.char_indices().nth(PAYLOAD_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Shows tasks.
pub(super) async fn page(
    Viewer(caller): Viewer,
    visit: Visit,
    filters: Filters<(PageParams, LastParam, TaskParams)>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let (part, last, only) = filters.only;
    let now = state.now();
    let page = tasks::select(&state, &since(last, only, now), part.request()).await?;
    answer(&TasksPage {
        shell: visit.shell(Some(&caller), Place::Tasks, t::TASKS, "task"),
        older: filters.address.older(page.next),
        robots: robot_names(&state, &filters.address),
        address: filters.address,
        rows: page
            .items
            .into_iter()
            .map(|task| Row::of(task, now))
            .collect(),
    })
}

/// All of them as CSV.
pub(super) async fn table(
    _: Viewer,
    filters: Filters<(LastParam, TaskParams)>,
    state: web::Data<ApiState>,
) -> HttpResponse {
    let (last, only) = filters.only;
    let only = std::rc::Rc::new(since(last, only, state.now()));
    let state = state.into_inner();
    csv_file("tasks", move |part| {
        let (state, only) = (std::sync::Arc::clone(&state), std::rc::Rc::clone(&only));
        Box::pin(async move { tasks::select(&state, &only, part).await })
    })
}

/// Cancels a task, or asks its process to stop.
pub(super) async fn cancel(
    _: Operator,
    PathId(id): PathId<TaskId>,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    tasks::cancel_task(&state, id).await?;
    Ok(see_and_tell(back(&fields), "cancelled", &id.to_string()))
}

/// Queues a task again.
pub(super) async fn retry(
    _: Operator,
    PathId(id): PathId<TaskId>,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    tasks::retry_task(&state, id).await?;
    Ok(see_and_tell(back(&fields), "retried", &id.to_string()))
}

/// The list that the form stands in, with its filters.
fn back(fields: &Fields) -> &str {
    let back = fields.text("back");
    if own_address(back) { back } else { "/tasks" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_payload_is_cut_between_characters() {
        assert_eq!(shortened(&Value::Null), "");
        assert_eq!(shortened(&json!({"a": 1})), "{\"a\":1}");
        let long = shortened(&json!("ä".repeat(500)));
        assert_eq!(long.chars().count(), PAYLOAD_CHARS + 1);
        assert!(long.ends_with('…'));
    }
}
