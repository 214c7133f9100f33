//! One process: how it went or goes, the other attempts at its task, and its log.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::executions::Progress;
use super::list::Filters;
use super::log::Log;
use super::moment::{Age, At, took};
use super::processes::{Row, length};
use super::shell::{Place, Shell, Visit, answer};
use super::task::attempts;
use super::tasks::can_retry;
use super::words::{self, Word};
use super::{plain, text as t};
use crate::api::path::PathId;
use crate::api::process_log::LogParams;
use crate::api::{ApiError, ApiState, Code, Viewer, processes, tasks};
use crate::domain::id::ProcessId;
use crate::domain::task::ProcessOutcome;

/// Characters of a counted value.
const COUNTER_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "process.html")]
struct ProcessPage {
    shell: Shell,
    id: String,
    robot: String,
    task: String,
    outcome: Word,
    running: bool,
    stopping: bool,
    can_retry: bool,
    progress: Option<Progress>,
    started: At,
    age: Age,
    finished: Option<At>,
    took: Option<String>,
    attempt: i32,
    trigger: &'static str,
    node: String,
    planned: Option<At>,
    error_class: Option<String>,
    error: Option<String>,
    counters: Vec<(String, String)>,
    attempts: Vec<Row>,
    log: Log,
}

/// Shows a process.
pub(super) async fn page(
    Viewer(caller): Viewer,
    PathId(id): PathId<ProcessId>,
    filters: Filters<LogParams>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let process = processes::one(&state, id).await?;
    let log = Log::read(&state, id, filters.only).await?;
    let now = state.now();
    let can_retry = match tasks::one(&state, process.task).await {
        Ok(task) => can_retry(&task),
        // Its history may have been removed before the process's.
        Err(error) if error.code() == Code::NotFound => false,
        Err(error) => return Err(error),
    };
    let running = process.outcome == ProcessOutcome::Running;
    let title = format!("{} {id}", t::PROCESS);
    answer(&ProcessPage {
        shell: visit.shell(Some(&caller), Place::Processes, title, "process task"),
        attempts: attempts(&state, process.task).await?,
        log,
        id: id.to_string(),
        task: process.task.to_string(),
        outcome: words::outcome(process.outcome),
        running,
        stopping: running && process.cancel_requested,
        can_retry,
        progress: process.progress.as_ref().map(Progress::of),
        started: At(process.started_at),
        age: Age {
            of: process.started_at,
            now,
        },
        finished: process.finished_at.map(At),
        took: length(&process).map(took),
        attempt: process.attempt,
        trigger: words::trigger(process.trigger),
        node: process.node.to_string(),
        planned: process.planned_at.map(At),
        error_class: process.error_class,
        error: process.error.as_deref().map(plain::visible),
        counters: counters(&process.counters),
        robot: process.robot,
    })
}

/// What a run counted, by name.
fn counters(counters: &Value) -> Vec<(String, String)> {
    let counters = counters.as_object().into_iter().flatten();
    counters
        .map(|(name, value)| (plain::visible(name), plain::value(value, COUNTER_CHARS)))
        .collect()
}
