//! The report **In execution**: what runs now, in the whole cluster.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::Posted;
use super::list::{List, Report};
use super::moment::{Age, At};
use super::plain;
use super::shell::{Place, Shell, see_and_tell};
use super::{text as t, words};
use crate::api::csv::Row as _;
use crate::api::executions::{self, ExecutionParams};
use crate::api::path::PathId;
use crate::api::process_view::{ProcessView, ProgressView};
use crate::api::{ApiError, ApiState, Operator};
use crate::domain::category::Category;
use crate::domain::id::ProcessId;
use crate::domain::time::Timestamp;
use crate::store::page::{Page, PageRequest};

/// The report.
pub(super) struct Executions;

#[derive(Template)]
#[template(path = "executions.html")]
pub(super) struct ExecutionsPage {
    shell: Shell,
    list: List,
    rows: Vec<Row>,
}

/// An execution as a row.
struct Row {
    id: String,
    robot: String,
    task: String,
    trigger: &'static str,
    attempt: i32,
    node: String,
    started: At,
    age: Age,
    progress: Option<Progress>,
    stopping: bool,
}

/// How far a run has got, for `progress.html`.
pub(super) struct Progress {
    pub(super) percent: i16,
    pub(super) message: String,
}

impl Progress {
    pub(super) fn of(progress: &ProgressView) -> Self {
        Self {
            percent: progress.percent,
            message: plain::visible(&progress.message),
        }
    }
}

impl Row {
    fn of(process: ProcessView, now: Timestamp) -> Self {
        Self {
            id: process.id.to_string(),
            task: process.task.to_string(),
            trigger: words::trigger(process.trigger),
            attempt: process.attempt,
            node: process.node.to_string(),
            started: At(process.started_at),
            age: Age {
                of: process.started_at,
                now,
            },
            progress: process.progress.as_ref().map(Progress::of),
            stopping: process.cancel_requested,
            robot: process.robot,
        }
    }
}

impl Report for Executions {
    const PLACE: Place = Place::Executions;
    const TOPICS: &'static str = "process";
    const SUB: &'static str = t::EXECUTIONS_SUB;
    const EMPTY: &'static str = t::NO_EXECUTIONS;
    type Only = ExecutionParams;
    type View = ProcessView;
    type Page = ExecutionsPage;

    async fn select(
        state: &ApiState,
        only: &ExecutionParams,
        part: PageRequest,
    ) -> Result<Page<ProcessView>, ApiError> {
        executions::select(state, only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(ProcessView::COLUMNS.to_vec())
    }

    async fn page(
        state: &ApiState,
        _: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<ProcessView>,
    ) -> Result<ExecutionsPage, ApiError> {
        let now = state.now();
        Ok(ExecutionsPage {
            shell,
            list,
            rows: views
                .into_iter()
                .map(|process| Row::of(process, now))
                .collect(),
        })
    }
}

/// Asks an execution to stop.
pub(super) async fn cancel(
    _: Operator,
    PathId(id): PathId<ProcessId>,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    executions::cancel_execution(&state, id).await?;
    let back = fields.back(Place::Executions.address());
    Ok(see_and_tell(back, "stopping", &id.to_string()))
}
