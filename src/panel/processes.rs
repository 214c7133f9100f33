//! The report **Process**: what ran, and how it ended.

use std::time::Duration;

use askama::Template;

use super::list::{List, Report};
use super::moment::{Age, At, took};
use super::plain;
use super::shell::{Place, Shell};
use super::tasks::ERROR_CHARS;
use super::text as t;
use super::when::{LASTS, When};
use super::words::{self, Word};
use crate::api::csv::Row as _;
use crate::api::process_view::ProcessView;
use crate::api::processes::{self, ProcessParams};
use crate::api::query::RobotParams;
use crate::api::{ApiError, ApiState};
use crate::domain::category::Category;
use crate::domain::task::ProcessOutcome;
use crate::domain::time::Timestamp;
use crate::store::page::{Page, PageRequest};

/// The report.
pub(super) struct Processes;

#[derive(Template)]
#[template(path = "processes.html")]
pub(super) struct ProcessesPage {
    shell: Shell,
    list: List,
    rows: Vec<Row>,
}

/// A process as a row of the report, and of the attempts at a task.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) robot: String,
    pub(super) task: String,
    pub(super) outcome: Word,
    pub(super) error: Option<String>,
    pub(super) started: At,
    pub(super) took: Option<String>,
    pub(super) age: Age,
    pub(super) trigger: &'static str,
    pub(super) attempt: i32,
    pub(super) node: String,
}

impl Row {
    pub(super) fn of(process: ProcessView, now: Timestamp) -> Self {
        Self {
            id: process.id.to_string(),
            task: process.task.to_string(),
            outcome: words::outcome(process.outcome),
            started: At(process.started_at),
            took: length(&process).map(took),
            age: Age {
                of: process.started_at,
                now,
            },
            trigger: words::trigger(process.trigger),
            attempt: process.attempt,
            node: process.node.to_string(),
            error: process
                .error
                .map(|error| plain::shortened(&error, ERROR_CHARS)),
            robot: process.robot,
        }
    }
}

/// How long a process took, once it has ended.
pub(super) fn length(process: &ProcessView) -> Option<Duration> {
    let ran = process.finished_at? - process.started_at;
    Some(ran.to_std().unwrap_or_default())
}

impl Report for Processes {
    const PLACE: Place = Place::Processes;
    const TOPICS: &'static str = "process";
    const SUB: &'static str = t::PROCESSES_SUB;
    const EMPTY: &'static str = t::NO_PROCESSES;
    type Only = (RobotParams, ProcessParams, When);
    type View = ProcessView;
    type Page = ProcessesPage;

    async fn select(
        state: &ApiState,
        (robots, only, when): &Self::Only,
        part: PageRequest,
    ) -> Result<Page<ProcessView>, ApiError> {
        let only = (robots.clone(), *only, when.span(state.now()));
        processes::select(state, &only, part).await
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
    ) -> Result<ProcessesPage, ApiError> {
        let now = state.now();
        Ok(ProcessesPage {
            shell,
            list,
            rows: views
                .into_iter()
                .map(|process| Row::of(process, now))
                .collect(),
        })
    }
}
