//! The report **In execution**: what runs now, in the whole cluster.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::Posted;
use super::list::{Address, Filters, csv_file, robot_names};
use super::moment::{Age, At};
use super::shell::{Place, Shell, Visit, answer, see_and_tell};
use super::{text as t, words};
use crate::api::executions::{self, ExecutionParams};
use crate::api::paging::PageParams;
use crate::api::path::PathId;
use crate::api::process_view::ProcessView;
use crate::api::{ApiError, ApiState, Operator, Viewer};
use crate::domain::category::Category;
use crate::domain::id::ProcessId;
use crate::domain::time::Timestamp;

#[derive(Template)]
#[template(path = "executions.html")]
struct ExecutionsPage {
    shell: Shell,
    address: Address,
    robots: Vec<String>,
    rows: Vec<Row>,
    older: Option<String>,
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
    progress: Option<(i16, String)>,
    stopping: bool,
}

impl Row {
    fn of(process: ProcessView, now: Timestamp) -> Self {
        Self {
            id: process.id.to_string(),
            robot: process.robot,
            task: process.task.to_string(),
            trigger: words::trigger(process.trigger),
            attempt: process.attempt,
            node: process.node.to_string(),
            started: At(process.started_at),
            age: Age {
                of: process.started_at,
                now,
            },
            progress: process
                .progress
                .map(|progress| (progress.percent, progress.message)),
            stopping: process.cancel_requested,
        }
    }
}

/// Shows what runs.
pub(super) async fn page(
    Viewer(caller): Viewer,
    visit: Visit,
    filters: Filters<(PageParams, ExecutionParams)>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let (part, only) = filters.only;
    let page = executions::select(&state, &only, part.request()).await?;
    let now = state.now();
    answer(&ExecutionsPage {
        shell: visit.shell(Some(&caller), Place::Executions, t::EXECUTIONS, "process"),
        older: filters.address.older(page.next),
        robots: robot_names(&state, &filters.address),
        address: filters.address,
        rows: page
            .items
            .into_iter()
            .map(|process| Row::of(process, now))
            .collect(),
    })
}

/// All of it as CSV.
pub(super) async fn table(
    _: Viewer,
    filters: Filters<ExecutionParams>,
    state: web::Data<ApiState>,
) -> HttpResponse {
    let (state, only) = (state.into_inner(), std::rc::Rc::new(filters.only));
    csv_file("executions", move |part| {
        let (state, only) = (std::sync::Arc::clone(&state), std::rc::Rc::clone(&only));
        Box::pin(async move { executions::select(&state, &only, part).await })
    })
}

/// Asks an execution to stop.
pub(super) async fn cancel(
    _: Operator,
    PathId(id): PathId<ProcessId>,
    _: Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    executions::cancel_execution(&state, id).await?;
    Ok(see_and_tell("/executions", "stopping", &id.to_string()))
}
