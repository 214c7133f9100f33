//! Changing a robot: a form, a caution with a preview before what can make data unavailable, and what to do when somebody
//! else was faster.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::preview::{Plan, TICKS, Ticks};
use super::wish::Wish;
use crate::api::path::PathRobot;
use crate::api::query::Query;
use crate::api::robot_view::RobotView;
use crate::api::robots::{CHANGEABLE, WARNING};
use crate::api::{Admin, ApiError, ApiState, Caller, Code, robots};
use crate::domain::robot::{FieldError, Overrides, RobotConfig};
use crate::panel::form::{Fields, Posted};
use crate::panel::moment::length;
use crate::panel::shell::{Place, Shell, Visit, answer, see_and_tell};
use crate::panel::{schedule, text as t, words};
use crate::robot::registry::Entry;

/// What the caution is about.
const CAUTIONED: [&str; 5] = ["enabled", "instances", "schedule", "window", "range"];

#[derive(Template)]
#[template(path = "robot_change.html")]
struct ChangePage {
    shell: Shell,
    robot: RobotView,
    wish: Wish,
    /// The form as it was before anything was typed.
    base: String,
    mistakes: Vec<FieldError>,
    /// Where somebody else was faster: name, in force now, wished for.
    conflict: Vec<Change>,
    stale: bool,
    ticks: Ticks,
}

impl ChangePage {
    /// The zones of the IANA database.
    fn zones(&self) -> impl Iterator<Item = &'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
    }
}

/// A field before and after.
struct Change {
    field: &'static str,
    before: String,
    after: String,
}

#[derive(Template)]
#[template(path = "robot_confirm.html")]
struct ConfirmPage {
    shell: Shell,
    robot: RobotView,
    fields: Fields,
    changes: Vec<Change>,
    /// `change` or `reset`: what is confirmed.
    order: &'static str,
    warning: &'static str,
    ticks: Ticks,
}

/// One person at one robot.
struct Desk {
    visit: Visit,
    caller: Caller,
    state: web::Data<ApiState>,
    robot: std::sync::Arc<Entry>,
    view: RobotView,
}

impl Desk {
    fn shell(self) -> (Shell, RobotView) {
        let shell = self.visit.shell(
            Some(&self.caller),
            Place::Robots,
            self.view.title.clone(),
            "robot",
        );
        (shell, self.view)
    }

    fn form(
        self,
        wish: Wish,
        mistakes: Vec<FieldError>,
        conflict: Option<Vec<Change>>,
    ) -> Result<HttpResponse, ApiError> {
        let plan = match (wish.schedule(), wish.window()) {
            (Ok(schedule), Ok(window)) => Plan::wished(&self.robot, schedule, window),
            _ => Plan::in_force(&self.robot),
        };
        let ticks = plan.ticks(&self.state, &self.robot, TICKS);
        let status = match (mistakes.is_empty(), conflict.is_some()) {
            (false, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (true, true) => StatusCode::CONFLICT,
            (true, false) => StatusCode::OK,
        };
        let base = Wish::of(&self.view).written();
        let (shell, robot) = self.shell();
        let mut page = answer(&ChangePage {
            shell,
            robot,
            wish,
            base,
            mistakes,
            stale: conflict.is_some(),
            conflict: conflict.unwrap_or_default(),
            ticks,
        })?;
        *page.status_mut() = status;
        Ok(page)
    }

    fn refused(self, wish: Wish, error: ApiError) -> Result<HttpResponse, ApiError> {
        match error.code() {
            Code::Invalid => self.form(wish, error.bad_fields().to_vec(), None),
            _ => Err(error),
        }
    }

    /// What is shown before a change that can make data unavailable.
    fn caution(
        self,
        fields: Fields,
        changes: Vec<Change>,
        config: RobotConfig,
        order: &'static str,
    ) -> Result<HttpResponse, ApiError> {
        let plan = Plan::wished(&self.robot, config.schedule, config.window);
        let ticks = plan.ticks(&self.state, &self.robot, TICKS);
        let (shell, robot) = self.shell();
        answer(&ConfirmPage {
            shell,
            robot,
            fields,
            changes,
            order,
            warning: WARNING,
            ticks,
        })
    }
}

async fn desk(
    visit: Visit,
    caller: Caller,
    state: web::Data<ApiState>,
    robot: std::sync::Arc<Entry>,
) -> Result<Desk, ApiError> {
    let view = robots::one(&state, &robot).await?;
    Ok(Desk {
        visit,
        caller,
        state,
        robot,
        view,
    })
}

/// Shows the form.
pub(in crate::panel) async fn page(
    Admin(caller): Admin,
    PathRobot(robot): PathRobot,
    _: Query<()>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let desk = desk(visit, caller, state, robot).await?;
    let wish = Wish::of(&desk.view);
    desk.form(wish, Vec::new(), None)
}

/// Takes the form: shows what is wrong with it, what it would do, or does it.
pub(in crate::panel) async fn apply(
    Admin(caller): Admin,
    PathRobot(robot): PathRobot,
    Posted(fields): Posted,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let seen: i64 = fields.text("revision").parse().unwrap_or_default();
    let mut desk = desk(visit, caller, state, robot).await?;
    let wish = Wish::read(&fields);
    if seen != desk.view.revision {
        return stale(desk, &fields, wish);
    }
    if fields.text("do") == "edit" {
        return desk.form(wish, Vec::new(), None);
    }
    let patch = match wish.patch(&desk.view) {
        Ok(patch) => patch,
        Err(mistakes) => return desk.form(wish, mistakes, None),
    };
    let path = format!("/robots/{}", desk.view.name);
    if patch.is_empty() {
        return Ok(see_and_tell(&path, "unchanged", &desk.view.name));
    }
    let config = match robots::propose(&desk.robot, &patch) {
        Ok(config) => config,
        Err(error) => return desk.refused(wish, error),
    };
    let cautioned = patch
        .keys()
        .any(|field| CAUTIONED.contains(&field.as_str()));
    if cautioned && fields.text("confirmed") != "yes" {
        let changes = changes(&desk.view, names(&patch), &config);
        return desk.caution(fields, changes, config, "change");
    }
    let change = robots::change_robot(
        &desk.state,
        &desk.robot,
        Some(seen),
        &patch,
        &desk.caller.name,
    );
    match change.await {
        Ok(_) => Ok(see_and_tell(&path, "changed", &desk.view.name)),
        Err(error) if error.code() == Code::Stale => {
            if let Some(robot) = desk.state.registry().get(desk.robot.name()) {
                desk.view = robots::one(&desk.state, &robot).await?;
                desk.robot = robot;
            }
            stale(desk, &fields, wish)
        }
        Err(error) => desk.refused(wish, error),
    }
}

/// Somebody else changed the robot: what was typed is laid over what is in force now, and both are shown.
fn stale(desk: Desk, fields: &Fields, mine: Wish) -> Result<HttpResponse, ApiError> {
    let base = Wish::read(&Fields::parse(fields.text("base").as_bytes()));
    let wish = mine.over(&base, Wish::of(&desk.view));
    let (mistakes, conflict) = match wish.patch(&desk.view) {
        Ok(patch) => match robots::propose(&desk.robot, &patch) {
            Ok(config) => (Vec::new(), changes(&desk.view, names(&patch), &config)),
            Err(error) => (error.bad_fields().to_vec(), Vec::new()),
        },
        Err(mistakes) => (mistakes, Vec::new()),
    };
    desk.form(wish, mistakes, Some(conflict))
}

fn names(patch: &Overrides) -> impl Iterator<Item = &str> {
    patch.keys().map(String::as_str)
}

/// What becomes of some fields, in words.
fn changes<'a>(
    robot: &RobotView,
    fields: impl Iterator<Item = &'a str>,
    after: &RobotConfig,
) -> Vec<Change> {
    let on = |enabled| if enabled { t::ON } else { t::OFF }.to_owned();
    let wakes = |of: &Option<_>| {
        of.as_ref()
            .map_or_else(|| t::KIND_NONE.to_owned(), schedule::schedule)
    };
    let json = |value: &serde_json::Value| value.to_string();
    let change = |field, before, after| Change {
        field,
        before,
        after,
    };
    let in_words = |name: &str| match name {
        "enabled" => change(t::ENABLED, on(robot.enabled), on(after.enabled)),
        "instances" => change(
            t::INSTANCES,
            robot.instances.to_string(),
            after.instances.to_string(),
        ),
        "schedule" => change(t::SCHEDULE, wakes(&robot.schedule), wakes(&after.schedule)),
        "window" => change(
            t::WINDOW,
            schedule::window_in_full(robot.window.as_ref()),
            schedule::window_in_full(after.window.as_ref()),
        ),
        "overlap" => change(
            t::OVERLAP,
            words::overlap(robot.overlap).to_owned(),
            words::overlap(after.overlap).to_owned(),
        ),
        "catch_up" => change(
            t::CATCH_UP,
            words::catch_up(robot.catch_up).to_owned(),
            words::catch_up(after.catch_up).to_owned(),
        ),
        "retry" => change(
            t::RETRY,
            words::retry(&robot.retry),
            words::retry(&after.retry),
        ),
        "timeout" => change(t::TIMEOUT, length(robot.timeout), length(after.timeout)),
        "range" => change(
            t::RANGE,
            robot.range.as_ref().map(json).unwrap_or_default(),
            after.range.as_ref().map(json).unwrap_or_default(),
        ),
        _ => change(t::SETTINGS, json(&robot.settings), json(&after.settings)),
    };
    fields.map(in_words).collect()
}

/// Takes a robot back to its defaults, after a caution that shows what it changes.
pub(in crate::panel) async fn reset(
    Admin(caller): Admin,
    PathRobot(robot): PathRobot,
    Posted(fields): Posted,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let seen = fields.text("revision").parse().unwrap_or_default();
    let desk = desk(visit, caller, state, robot).await?;
    let path = format!("/robots/{}", desk.view.name);
    if fields.text("confirmed") != "yes" {
        let config = robots::propose_reset(&desk.robot)?;
        let mut changes = changes(&desk.view, CHANGEABLE.into_iter(), &config);
        changes.retain(|change| change.before != change.after);
        if changes.is_empty() {
            return Ok(see_and_tell(&path, "unchanged", &desk.view.name));
        }
        return desk.caution(fields, changes, config, "reset");
    }
    robots::reset_robot(&desk.state, &desk.robot, Some(seen), &desk.caller.name).await?;
    Ok(see_and_tell(&path, "reset", &desk.view.name))
}
