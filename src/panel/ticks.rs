//! The report **Ticks**: why each planned instant became a run, or did not.

use askama::Template;

use super::list::{List, Report};
use super::moment::At;
use super::shell::{Place, Shell};
use super::text as t;
use super::when::{LASTS, When};
use super::words::{self, Word, count};
use crate::api::csv::Row as _;
use crate::api::query::RobotParams;
use crate::api::ticks::{self, DecisionParam, TickView};
use crate::api::{ApiError, ApiState};
use crate::domain::category::Category;
use crate::domain::tick::Decision;
use crate::store::page::{Page, PageRequest};

/// The report.
pub(super) struct Ticks;

#[derive(Template)]
#[template(path = "tick_list.html")]
pub(super) struct TicksPage {
    shell: Shell,
    list: List,
    rows: Vec<Row>,
}

/// A decided instant, or several, as a row.
struct Row {
    key: String,
    robot: String,
    planned: At,
    through: Option<At>,
    count: Option<String>,
    decision: Word,
    why: &'static str,
    decided: At,
    node: String,
    task: Option<String>,
}

impl Row {
    fn of(tick: TickView) -> Self {
        let instants = u64::try_from(tick.count).unwrap_or(1);
        Self {
            key: format!("{}@{}", tick.robot, tick.planned_at.timestamp_micros()),
            planned: At(tick.planned_at),
            through: tick.through.map(At),
            count: (instants > 1).then(|| count(instants)),
            decision: words::tick(tick.decision),
            why: words::why(tick.decision),
            decided: At(tick.decided_at),
            node: tick.node.to_string(),
            task: tick.task.map(|task| task.to_string()),
            robot: tick.robot,
        }
    }
}

impl Report for Ticks {
    const PLACE: Place = Place::Ticks;
    const TOPICS: &'static str = "task robot";
    const SUB: &'static str = t::TICKS_SUB;
    const EMPTY: &'static str = t::NO_TICKS;
    type Only = (RobotParams, DecisionParam, When);
    type View = TickView;
    type Page = TicksPage;

    async fn select(
        state: &ApiState,
        (robots, only, when): &Self::Only,
        part: PageRequest,
    ) -> Result<Page<TickView>, ApiError> {
        let only = (robots.clone(), *only, when.span(state.now()));
        ticks::select(state, &only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(TickView::COLUMNS.to_vec())
    }

    async fn page(
        _: &ApiState,
        _: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<TickView>,
    ) -> Result<TicksPage, ApiError> {
        Ok(TicksPage {
            shell,
            list,
            rows: views.into_iter().map(Row::of).collect(),
        })
    }
}
