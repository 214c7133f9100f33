//! Pausing and resuming many robots at once.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use crate::api::query::{FromParams, Params, Query};
use crate::api::robots::{RobotsParams, WARNING};
use crate::api::{Admin, ApiError, ApiState, Code, robots};
use crate::domain::robot::Overrides;
use crate::panel::form::Posted;
use crate::panel::shell::{Place, Shell, Visit, answer, see_and_tell};
use crate::panel::text as t;
use crate::panel::words::{self, Word};

/// Which way robots are switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::panel) enum Way {
    On,
    Off,
}

impl Way {
    fn is_off(&self) -> bool {
        *self == Self::Off
    }

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("must be `on` or `off`".to_owned()),
        }
    }
}

impl FromParams for Way {
    fn from_params(params: &mut Params<'_>) -> Self {
        params.read("to", Self::read).unwrap_or(Self::Off)
    }
}

#[derive(Template)]
#[template(path = "switch.html")]
struct SwitchPage {
    shell: Shell,
    way: Way,
    warning: &'static str,
    robots: Vec<(String, String, Word)>,
}

/// Shows the robots that can be switched this way.
pub(in crate::panel) async fn page(
    Admin(caller): Admin,
    Query(way): Query<Way>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let all = RobotsParams {
        category: None,
        status: None,
    };
    let robots = robots::select(&state, &all).await?.into_iter();
    let robots = robots
        .filter(|robot| robot.enabled == (way == Way::Off))
        .map(|robot| (robot.name, robot.title, words::robot(robot.state.status)));
    let title = match way {
        Way::On => t::SWITCH_ON,
        Way::Off => t::SWITCH_OFF,
    };
    answer(&SwitchPage {
        shell: visit.shell(Some(&caller), Place::Robots, title, ""),
        way,
        warning: WARNING,
        robots: robots.collect(),
    })
}

/// Switches the robots that were chosen; one that fails does not keep the others from it.
pub(in crate::panel) async fn apply(
    Admin(caller): Admin,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let way = Way::read(fields.text("to"));
    let way = way.map_err(|detail| ApiError::field(Code::Malformed, "to", detail))?;
    let enabled = way == Way::On;
    let patch = Overrides::from_iter([("enabled".to_owned(), Value::Bool(enabled))]);
    let (mut switched, mut failed) = (0_u32, None);
    for name in fields.all("robot") {
        let Some(robot) = state.registry().get(name) else {
            continue;
        };
        if robot.config.enabled == enabled {
            continue;
        }
        match robots::change_robot(&state, &robot, None, &patch, &caller.name).await {
            Ok(_) => switched += 1,
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => {
            let code = if enabled {
                "switched_on"
            } else {
                "switched_off"
            };
            Ok(see_and_tell("/robots", code, &switched.to_string()))
        }
    }
}
