//! The operator's own robots: a command or an HTTP call, as `robotd.toml` declares them.
//!
//! They are ordinary robots: the runtime schedules, limits, cancels and repeats them like those of
//! the catalogue. What a run answers follows from the end of the command or the status of the call:
//!
//! | command | HTTP | the run |
//! |---|---|---|
//! | exit 0 | 2xx | succeeded |
//! | exit 75 | 408, 425, 429, 502, 503, 504 | failed, class `try_again`; repeated by the retry policy |
//! | | the same with `Retry-After` | put off until then (at most an hour), no attempt used |
//! | any other exit, a signal | any other status | failed, class `exit_status`, `signal` or `http_status`; repeated |
//! | cannot be started | address, file or certificate wrong | failed, not repeated |
//!
//! A failure that is not `try_again` is repeated as well, because we cannot know whether it lasts:
//! `retry.max_attempts` says how often, and 1 switches repeating off.

mod command;
mod http;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::connect::command::{CommandSpec, GuardProgram};
use crate::connect::error::ConnectError;
use crate::connect::webhook::HttpSpec;
use crate::domain::category::Category;
use crate::domain::robot::{INSTANCES_MAX, RobotConfig, RobotIdentity, Sharding};
use crate::robot::{Context, Definition, Robot, RobotSpec};

pub use command::CommandRobot;
pub use http::HttpRobot;

/// How long a cancelled command may tidy up: the process group gets SIGTERM at once and SIGKILL in
/// time for the run to end before the runtime gives it up.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// How long after SIGTERM a command is killed; the rest of [`CANCEL_GRACE`] is for reading its last output.
const TERM_GRACE: Duration = Duration::from_secs(7);

/// One robot of the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// `custom.` and the operator's word.
    pub name: String,
    /// The heading people see.
    pub title: String,
    /// One sentence, no full stop.
    pub summary: String,
    /// Event types that wake it.
    pub events: Vec<String>,
    /// Its configuration until somebody changes it over HTTP.
    pub defaults: RobotConfig,
    /// What a run does.
    pub action: Action,
}

/// What a run of an operator's robot does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Runs a program.
    Command(CommandSpec),
    /// Posts to an address.
    Http(HttpSpec),
}

impl Declaration {
    /// The robot. `guard` is the program that commands are started under: robotd itself.
    ///
    /// # Errors
    /// A command or an address that cannot be used; the program then refuses to start.
    pub fn robot(&self, guard: GuardProgram) -> Result<Arc<dyn Robot>, ConnectError> {
        let definition = self.definition();
        Ok(match &self.action {
            Action::Command(spec) => Arc::new(CommandRobot::new(definition, spec.clone(), guard)?),
            Action::Http(spec) => Arc::new(HttpRobot::new(definition, spec)?),
        })
    }

    /// What the runtime needs to know about it.
    #[must_use]
    pub fn definition(&self) -> Definition {
        Definition {
            identity: RobotIdentity {
                name: self.name.clone(),
                title: self.title.clone(),
                category: Category::Custom,
                summary: self.summary.clone(),
                events: self.events.clone(),
                sharding: Sharding::Sharded,
                instances_max: INSTANCES_MAX,
            },
            defaults: self.defaults.clone(),
            // A command is told the event in its payload, so each event is a run of its own.
            coalesce_events: false,
            cancel_grace: CANCEL_GRACE,
            yields_on_drain: false,
            check_settings: RobotSpec::DEFAULT.check_settings,
            check_range: RobotSpec::DEFAULT.check_range,
        }
    }
}

/// All robots of `declarations`, commands under the running program as their guard.
///
/// # Errors
/// See [`Declaration::robot`].
pub fn robots(declarations: &[Declaration]) -> Result<Vec<Arc<dyn Robot>>, ConnectError> {
    declarations
        .iter()
        .map(|declaration| declaration.robot(GuardProgram::this_program()))
        .collect()
}

/// The JSON a run is given: the task's payload, and `{}` where the task has none (a tick), so that a
/// program can always read an object's member.
fn payload(ctx: &Context) -> Vec<u8> {
    match ctx.payload() {
        Value::Null => json!({}).to_string(),
        payload => payload.to_string(),
    }
    .into_bytes()
}
