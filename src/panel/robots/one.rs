//! One robot: how it stands, how it is set, and what it does next.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::Last;
use super::preview::{Plan, Ticks};
use crate::api::path::PathRobot;
use crate::api::query::Query;
use crate::api::robot_view::RobotView;
use crate::api::{ApiError, ApiState, Operator, Viewer, activity, robots};
use crate::panel::form::Posted;
use crate::panel::moment::{Age, At, length};
use crate::panel::shell::{Place, Shell, Visit, answer, see_and_tell};
use crate::panel::spark::{Day, marks};
use crate::panel::words::{self, Word, count};
use crate::panel::{schedule, text as t};

/// Ticks that are shown ahead.
const TICKS: u32 = 5;

#[derive(Template)]
#[template(path = "robot.html")]
struct RobotPage {
    shell: Shell,
    name: String,
    title: String,
    summary: String,
    category: &'static str,
    status: Word,
    running: u32,
    instances: u32,
    instances_max: String,
    queued: String,
    next: Option<Age>,
    last: Option<Last>,
    restarts: String,
    revision: i64,
    facts: Vec<(&'static str, String)>,
    json: Vec<(&'static str, String)>,
    ticks: Ticks,
    day: Day,
    marks: Vec<At>,
}

/// Shows a robot.
pub(in crate::panel) async fn page(
    Viewer(caller): Viewer,
    PathRobot(robot): PathRobot,
    _: Query<()>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let view = robots::one(&state, &robot).await?;
    let activity = activity::read(&state).await?;
    let now = state.now();
    answer(&RobotPage {
        shell: visit.shell(
            Some(&caller),
            Place::Robots,
            view.title.clone(),
            "robot process task",
        ),
        category: view.category.title(),
        status: words::robot(view.state.status),
        running: view.state.running,
        instances: view.instances,
        instances_max: count(u64::from(view.instances_max)),
        queued: count(u64::from(view.state.queued)),
        next: view.state.next_tick_at.map(|of| Age { of, now }),
        last: Last::of(&view, now),
        restarts: count(view.state.restarts),
        revision: view.revision,
        facts: facts(&view),
        json: json(&view),
        ticks: Plan::in_force(&robot).ticks(&state, &robot, TICKS),
        day: Day::of(&activity, &view.name),
        marks: marks(now),
        name: view.name,
        title: view.title,
        summary: view.summary,
    })
}

/// The configuration in words.
fn facts(robot: &RobotView) -> Vec<(&'static str, String)> {
    let wakes = robot.schedule.as_ref().map(schedule::schedule);
    let events = if robot.events.is_empty() {
        t::NOTHING.to_owned()
    } else {
        robot.events.join(", ")
    };
    vec![
        (t::SCHEDULE, wakes.unwrap_or_else(|| t::NOTHING.to_owned())),
        (t::WINDOW, schedule::window_in_full(robot.window.as_ref())),
        (t::EVENTS, events),
        (t::TIMEOUT, length(robot.timeout)),
        (t::RETRY, words::retry(&robot.retry)),
        (t::OVERLAP, words::overlap(robot.overlap).to_owned()),
        (t::CATCH_UP, words::catch_up(robot.catch_up).to_owned()),
        (t::SHARDING, words::sharding(robot.sharding).to_owned()),
    ]
}

/// The configuration whose shape is the robot's own.
fn json(robot: &RobotView) -> Vec<(&'static str, String)> {
    let settings =
        Some(&robot.settings).filter(|settings| **settings != Value::Object(Default::default()));
    [(t::RANGE, robot.range.as_ref()), (t::SETTINGS, settings)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, format!("{:#}", value?))))
        .collect()
}

/// Orders a run.
pub(in crate::panel) async fn run(
    Operator(caller): Operator,
    PathRobot(robot): PathRobot,
    _: Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let task = robots::run_robot(&state, &robot, Value::Null, &caller).await?;
    let path = format!("/robots/{}", robot.name());
    Ok(see_and_tell(&path, "run", &task.id.to_string()))
}
