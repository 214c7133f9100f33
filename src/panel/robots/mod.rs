//! The robots: all of them, one of them, and changing them.

pub(super) mod change;
pub(super) mod one;
pub(super) mod preview;
pub(super) mod switch;
mod wish;

use actix_web::{HttpResponse, web};
use askama::Template;

use super::list::{Address, Filters};
use super::moment::Age;
use super::shell::{Place, Shell, Visit, answer};
use super::spark::Day;
use super::text as t;
use super::words::{self, Word};
use super::{schedule, words::count};
use crate::api::activity::ActivityView;
use crate::api::query::{FromParams, Params};
use crate::api::robot_view::RobotView;
use crate::api::robots::RobotsParams;
use crate::api::{ApiError, ApiState, Viewer, activity, robots};
use crate::domain::category::Category;
use crate::domain::time::Timestamp;

/// Longest text that is searched for.
const SEARCH_CHARS_MAX: usize = 100;

/// What is searched for.
#[derive(Debug)]
pub(super) struct SearchParam(Option<String>);

impl FromParams for SearchParam {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self(params.text("q", SEARCH_CHARS_MAX))
    }
}

#[derive(Template)]
#[template(path = "robots.html")]
struct RobotsPage {
    shell: Shell,
    address: Address,
    groups: Vec<Group>,
    shown: usize,
}

/// The robots of a category.
struct Group {
    category: Category,
    rows: Vec<Row>,
}

/// A robot as a row.
struct Row {
    name: String,
    title: String,
    summary: String,
    status: Word,
    running: u32,
    instances: u32,
    queued: String,
    wakes: Option<String>,
    window: Option<String>,
    next: Option<Age>,
    last: Option<Last>,
    day: Day,
}

/// How the last run of a robot ended.
pub(super) struct Last {
    pub(super) outcome: Word,
    pub(super) age: Age,
    pub(super) error: Option<String>,
}

impl Last {
    pub(super) fn of(robot: &RobotView, now: Timestamp) -> Option<Self> {
        let last = robot.state.last_process.as_ref()?;
        Some(Self {
            outcome: words::outcome(last.outcome),
            age: Age {
                of: last.finished_at,
                now,
            },
            error: last.error.clone(),
        })
    }
}

impl Row {
    fn of(robot: RobotView, activity: &ActivityView, now: Timestamp) -> Self {
        Self {
            status: words::robot(robot.state.status),
            running: robot.state.running,
            instances: robot.instances,
            queued: count(u64::from(robot.state.queued)),
            wakes: robot.schedule.as_ref().map(schedule::schedule),
            window: robot.window.as_ref().map(schedule::window),
            next: robot.state.next_tick_at.map(|of| Age { of, now }),
            last: Last::of(&robot, now),
            day: Day::of(activity, &robot.name),
            name: robot.name,
            title: robot.title,
            summary: robot.summary,
        }
    }
}

/// All robots by category, or those that are searched for.
pub(super) async fn page(
    Viewer(caller): Viewer,
    visit: Visit,
    filters: Filters<(SearchParam, RobotsParams)>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let (SearchParam(search), only) = filters.only;
    let mut found = robots::select(&state, &only).await?;
    if let Some(search) = search {
        found.retain(|robot| is_like(robot, &search));
    }
    let activity = activity::read(&state).await?;
    answer(&RobotsPage {
        shell: visit.shell(
            Some(&caller),
            Place::Robots,
            t::ROBOTS,
            "robot process task",
        ),
        address: filters.address,
        shown: found.len(),
        groups: grouped(found, &activity, state.now()),
    })
}

/// Whether every word that is searched for stands somewhere in the robot's texts.
fn is_like(robot: &RobotView, search: &str) -> bool {
    let texts = [&robot.name, &robot.title, &robot.summary];
    let texts = texts.map(|text| text.to_lowercase());
    search
        .to_lowercase()
        .split_whitespace()
        .all(|word| texts.iter().any(|text| text.contains(word)))
}

fn grouped(mut found: Vec<RobotView>, activity: &ActivityView, now: Timestamp) -> Vec<Group> {
    found.sort_by(|a, b| (a.category, &a.title).cmp(&(b.category, &b.title)));
    let mut groups: Vec<Group> = Vec::new();
    for robot in found {
        let category = robot.category;
        let row = Row::of(robot, activity, now);
        match groups.last_mut() {
            Some(group) if group.category == category => group.rows.push(row),
            _ => groups.push(Group {
                category,
                rows: vec![row],
            }),
        }
    }
    groups
}
