//! What an operator may set.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::iso_duration::serde_iso;
use crate::domain::mail::Recipients;
use crate::domain::robot::FieldError;
use crate::domain::window::Window;
use crate::robots::alerts::{Audience, REMINDER};
use crate::robots::settings::{self, Iso, require, require_between};

/// Robots with a limit of their own; more than any catalogue has.
const OWN_LIMITS_MAX: usize = 1_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// A tick may be decided so much later than planned.
    #[serde(with = "serde_iso")]
    pub tolerance: Duration,
    /// After the start of the node nothing is called late for so long.
    #[serde(with = "serde_iso")]
    pub grace: Duration,
    /// A run is slow when it takes so many times as long as 95 of 100 did.
    pub slow_factor: f64,
    /// A run shorter than this is never slow.
    #[serde(with = "serde_iso")]
    pub slow_floor: Duration,
    /// A task may wait so long for an instance; ten times as long is critical.
    #[serde(with = "serde_iso")]
    pub queue_wait: Duration,
    /// The same for single robots, by name.
    pub queue_wait_of: BTreeMap<String, Iso>,
    /// Failed and quarantined tasks are counted over this time.
    #[serde(with = "serde_iso")]
    pub dead_within: Duration,
    /// So many of them are a warning.
    pub dead_tasks: u32,
    /// A step of the clock from here on is told.
    #[serde(with = "serde_iso")]
    pub clock_jump: Duration,
    /// Who gets mails.
    pub recipients: Recipients,
    /// How often a lasting alert is told again.
    #[serde(with = "serde_iso")]
    pub reminder_interval: Duration,
    /// When nobody gets mails.
    pub quiet_hours: Option<Window>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance: Duration::from_mins(1),
            grace: Duration::from_mins(2),
            slow_factor: 4.0,
            slow_floor: Duration::from_mins(1),
            queue_wait: Duration::from_mins(10),
            queue_wait_of: BTreeMap::new(),
            dead_within: Duration::from_hours(1),
            dead_tasks: 1,
            clock_jump: Duration::from_secs(30),
            recipients: Recipients::default(),
            reminder_interval: REMINDER,
            quiet_hours: None,
        }
    }
}

impl Settings {
    /// Whom to tell.
    pub(super) fn audience(&self) -> Audience<'_> {
        Audience {
            recipients: &self.recipients,
            reminder: self.reminder_interval,
            quiet_hours: self.quiet_hours.as_ref(),
        }
    }

    /// How long a task of `robot` may wait.
    pub(super) fn queue_wait(&self, robot: &str) -> Duration {
        self.queue_wait_of
            .get(robot)
            .map_or(self.queue_wait, |own| own.0)
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
        let month = Duration::from_hours(31 * 24);
        require_between("tolerance", self.tolerance, second, day)?;
        require_between("grace", self.grace, Duration::ZERO, day)?;
        require_between("slow_floor", self.slow_floor, second, month)?;
        require_between("queue_wait", self.queue_wait, second, month)?;
        require_between(
            "dead_within",
            self.dead_within,
            Duration::from_mins(1),
            month,
        )?;
        require_between("clock_jump", self.clock_jump, second, day)?;
        require(
            (1.0..=1_000.0).contains(&self.slow_factor),
            "slow_factor",
            "must lie between 1 and 1000",
        )?;
        require(self.dead_tasks >= 1, "dead_tasks", "must be at least 1")?;
        require(
            self.queue_wait_of.len() <= OWN_LIMITS_MAX,
            "queue_wait_of",
            "must have at most 1000 entries",
        )?;
        for (robot, wait) in &self.queue_wait_of {
            require_between(&format!("queue_wait_of.{robot}"), wait.0, second, month)?;
        }
        self.audience().check()
    }
}
