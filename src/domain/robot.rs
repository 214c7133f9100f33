//! A robot's configuration as a value: its defaults, the changes laid over them, and what is refused.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::category::Category;
use super::iso_duration;
use super::reading::{in_plain_words, of_bounds};
use super::retry::RetryPolicy;
use super::schedule::Schedule;
use super::tick::{CatchUp, Overlap};
use super::window::Window;

/// More instances than this are a typing error on any machine we know.
pub const INSTANCES_MAX: u32 = 10_000;

/// A run longer than this is not a run but a service.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Bound on the JSON text of `settings` and of `range`, each.
pub const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// The JSON merge patch laid over the defaults (RFC 7396), as stored with its revision.
pub type Overrides = Map<String, Value>;

/// What may be changed of a robot while it runs. The field names are those of the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotConfig {
    /// False: no tick fires and no task is started; queued tasks wait.
    pub enabled: bool,
    /// How many runs may be in execution at once in the whole cluster. 0 pauses, the queue is kept.
    pub instances: u32,
    /// When it wakes by itself; `None`: only on events, tasks and by hand.
    pub schedule: Option<Schedule>,
    /// When it may run; `None`: always.
    pub window: Option<Window>,
    /// The robot's own execution range, where it has one; its shape is the robot's.
    pub range: Option<Value>,
    /// Time limit of one run.
    #[serde(with = "iso_duration::serde_iso")]
    pub timeout: Duration,
    /// What follows a failed run.
    pub retry: RetryPolicy,
    /// What a tick does while a run is open.
    pub overlap: Overlap,
    /// What becomes of ticks that were missed.
    pub catch_up: CatchUp,
    /// The robot's own settings; their shape is the robot's.
    pub settings: Value,
}

/// How `instances` is spread over work and nodes (robots.md section 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharding {
    /// Instances take different items.
    Sharded,
    /// One instance on every node.
    PerNode,
    /// One instance in the cluster.
    Single,
}

/// One thing wrong with an input, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Path of the field, dots between names: `retry.max_attempts`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub detail: String,
}

impl FieldError {
    /// The error `detail` at `field`.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            detail: detail.into(),
        }
    }

    /// The error that serde reports as `message` at `path`, in plain words; both are cut to [`READ_CHARS_MAX`], they may
    /// quote what was read. A missing field is reported at the object that lacks it; its name is in the message only.
    #[must_use]
    pub fn at(path: &str, message: &str) -> Self {
        let cut = |text: &str| text.chars().take(READ_CHARS_MAX).collect::<String>();
        let parent = if path == "." { "" } else { path };
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split_once('`'));
        let field = match missing {
            Some((name, _)) if parent.is_empty() => name.to_owned(),
            Some((name, _)) => format!("{parent}.{name}"),
            None => parent.to_owned(),
        };
        Self::new(cut(&field), cut(&in_plain_words(message)))
    }
}

/// Longest part of a reader's message that is passed on.
const READ_CHARS_MAX: usize = 300;

/// Lays `patch` over `target` as RFC 7396 says: null removes, objects merge, all else replaces.
/// Members of a `schedule` replace the whole schedule: `every` over `cron` must not leave both.
pub fn merge(target: &mut Overrides, patch: &Overrides) {
    for (key, value) in patch {
        match (target.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if key != "schedule" => merge(old, new),
            _ => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

impl RobotConfig {
    /// The configuration with `overrides` laid over it.
    ///
    /// # Errors
    /// Every field of `overrides` that is unknown, of the wrong type or out of bounds.
    pub fn with_overrides(&self, overrides: &Overrides) -> Result<Self, Vec<FieldError>> {
        let mut value = serde_json::to_value(self)
            .map_err(|error| vec![FieldError::new("", error.to_string())])?;
        if let Value::Object(fields) = &mut value {
            for (key, change) in overrides {
                if !fields.contains_key(key) {
                    return Err(vec![FieldError::new(
                        key,
                        "unknown field; see GET /robots/{name}",
                    )]);
                }
                if change.is_array() {
                    // A sequence would otherwise be read as an object's fields in their order.
                    return Err(vec![FieldError::new(key, "must not be an array")]);
                }
                apply(fields, key, change);
            }
        }
        let config: Self = serde_path_to_error::deserialize(&value).map_err(|error| {
            let check = |near: Value| {
                let near = serde_json::from_value::<Self>(near);
                near.map_or(Ok(()), |near| near.validate())
                    .err()
                    .unwrap_or_default()
            };
            let (path, text) = (error.path().to_string(), error.inner().to_string());
            let own = of_bounds(&value, &error, check);
            vec![own.unwrap_or_else(|| FieldError::at(&path, &text))]
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Checks the bounds of every field.
    ///
    /// # Errors
    /// All fields out of bounds, not only the first.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        if self.instances > INSTANCES_MAX {
            errors.push(FieldError::new(
                "instances",
                format!("must lie between 0 and {INSTANCES_MAX}"),
            ));
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            errors.push(FieldError::new(
                "timeout",
                "must lie between PT0.001S and P7D",
            ));
        }
        if let Err(error) = self.retry.validate() {
            errors.push(FieldError::new(
                format!("retry.{}", error.field),
                error.to_string(),
            ));
        }
        if !self.settings.is_object() {
            errors.push(FieldError::new("settings", "must be an object"));
        }
        for (name, value) in [
            ("settings", Some(&self.settings)),
            ("range", self.range.as_ref()),
        ] {
            if value.is_some_and(|v| v.to_string().len() > SETTINGS_BYTES_MAX) {
                errors.push(FieldError::new(name, "must be at most 64 KiB of JSON"));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

/// Null means "none" for the fields that may be absent and "the default again" inside objects.
fn apply(fields: &mut Overrides, key: &str, change: &Value) {
    match (fields.get_mut(key), change) {
        (Some(Value::Object(old)), Value::Object(new)) if key != "schedule" => {
            merge(old, new);
            old.retain(|_, value| !value.is_null());
        }
        _ => {
            fields.insert(key.to_owned(), change.clone());
        }
    }
}

/// What a robot is, apart from what may be changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RobotIdentity {
    /// `category.robot`.
    pub name: String,
    /// The heading people see.
    pub title: String,
    /// Its group.
    pub category: Category,
    /// One sentence, no full stop.
    pub summary: String,
    /// Event types that wake it; `*` at the end matches the rest.
    pub events: Vec<String>,
    /// How instances are spread.
    pub sharding: Sharding,
    /// The most instances that make sense: 1 for `single` and `per_node`.
    pub instances_max: u32,
}

/// The one word for how a robot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RobotStatus {
    /// Ready; nothing to do.
    Idle,
    /// At least one run is in execution.
    Running,
    /// Set to 0 instances.
    Paused,
    /// The window is closed.
    OutsideWindow,
    /// All its workers wait to be restarted.
    BackingOff,
    /// It crashed too often; one worker probes it from time to time.
    Quarantined,
    /// Switched off.
    Disabled,
}

/// What [`RobotStatus::of`] looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RobotStanding {
    /// See [`RobotConfig::enabled`].
    pub enabled: bool,
    /// See [`RobotConfig::instances`].
    pub instances: u32,
    /// Whether the window is open, or there is none.
    pub window_open: bool,
    /// Whether the pool is quarantined.
    pub quarantined: bool,
    /// Workers waiting to be restarted.
    pub backing_off: u32,
    /// Runs in execution.
    pub running: u32,
}

impl RobotStatus {
    /// The word for a standing: a run in execution is named before what keeps the next one from
    /// starting, except that quarantine is always named.
    #[must_use]
    pub const fn of(standing: RobotStanding) -> Self {
        if standing.quarantined {
            Self::Quarantined
        } else if standing.running > 0 {
            Self::Running
        } else if !standing.enabled {
            Self::Disabled
        } else if standing.instances == 0 {
            Self::Paused
        } else if !standing.window_open {
            Self::OutsideWindow
        } else if standing.backing_off >= standing.instances {
            Self::BackingOff
        } else {
            Self::Idle
        }
    }
}

#[cfg(test)]
mod tests;
