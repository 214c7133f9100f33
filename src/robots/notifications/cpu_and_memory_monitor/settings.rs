//! What an operator may set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::iso_duration::serde_iso;
use crate::domain::mail::Recipients;
use crate::domain::robot::{FieldError, RobotConfig};
use crate::domain::schedule::Schedule;
use crate::domain::window::Window;
use crate::robots::alerts::{Audience, REMINDER};
use crate::robots::settings::{self, require};

/// Samples a judgement may look at: with one a minute an hour, after which nobody calls it sudden.
const SAMPLES_MAX: u32 = 60;
/// Assumed where the robot has no interval of its own.
const INTERVAL: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Processor time in use, in percent, that is too much.
    pub cpu_percent: f64,
    /// Memory in use, in percent, that is too much; of the machine and of the control group.
    pub memory_percent: f64,
    /// Mean load of the last minute per processor that is too much.
    pub load_per_core: f64,
    /// An alert is over this much below its threshold, in percent of the threshold's unit; for the
    /// load, in percent of the threshold.
    pub clear_percent_lower: f64,
    /// How many samples must agree ...
    pub agree: u32,
    /// ... of how many of the newest.
    pub samples: u32,
    /// A node is offline after so many intervals without a sample.
    pub offline_after_intervals: u32,
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
            cpu_percent: 90.0,
            memory_percent: 85.0,
            load_per_core: 5.0,
            clear_percent_lower: 5.0,
            agree: 3,
            samples: 5,
            offline_after_intervals: 5,
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

    /// How far apart samples are, going by the schedule.
    pub(super) fn interval(&self, config: &RobotConfig) -> Duration {
        match &config.schedule {
            Some(Schedule::Every { interval }) => *interval,
            _ => INTERVAL,
        }
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        for (name, value) in [
            ("cpu_percent", self.cpu_percent),
            ("memory_percent", self.memory_percent),
        ] {
            require(
                value > 0.0 && value <= 100.0,
                name,
                "must lie above 0 and be at most 100",
            )?;
        }
        let load = self.load_per_core;
        require(
            load > 0.0 && load <= 1_000.0,
            "load_per_core",
            "must lie above 0 and be at most 1000",
        )?;
        require(
            (0.0..=50.0).contains(&self.clear_percent_lower),
            "clear_percent_lower",
            "must lie between 0 and 50",
        )?;
        require(
            (1..=SAMPLES_MAX).contains(&self.samples),
            "samples",
            "must lie between 1 and 60",
        )?;
        require(
            (1..=self.samples).contains(&self.agree),
            "agree",
            "must lie between 1 and `samples`",
        )?;
        require(
            (2..=1_000).contains(&self.offline_after_intervals),
            "offline_after_intervals",
            "must lie between 2 and 1000",
        )?;
        self.audience().check()
    }
}
