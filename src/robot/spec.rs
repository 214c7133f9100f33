//! How a robot is declared: a constant beside its code.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::domain::category::Category;
use crate::domain::retry::RetryPolicy;
use crate::domain::robot::{FieldError, INSTANCES_MAX, RobotConfig, RobotIdentity, Sharding};
use crate::domain::schedule::Schedule;
use crate::domain::tick::{CatchUp, Overlap};

/// When a robot wakes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakes {
    /// Never by itself.
    OnDemand,
    /// At this interval.
    Every(Duration),
    /// By a cron line, read in UTC until the operator sets a zone.
    Cron(&'static str),
}

/// A robot of the catalogue. Write `RobotSpec { name: …, ..RobotSpec::DEFAULT }`.
#[derive(Debug, Clone, Copy)]
pub struct RobotSpec {
    /// `category.robot`; agrees with the file's path (tested).
    pub name: &'static str,
    /// The heading people see, in the seed page's words.
    pub title: &'static str,
    /// Its group.
    pub category: Category,
    /// One sentence, no full stop.
    pub summary: &'static str,
    /// When it wakes by itself.
    pub wakes: Wakes,
    /// Event types that wake it; a `*` at the end matches the rest.
    pub events: &'static [&'static str],
    /// Whether an event only says "look now": a waiting task then serves later events too.
    pub coalesce_events: bool,
    /// Instances by default.
    pub instances: u32,
    /// How they are spread.
    pub sharding: Sharding,
    /// Time limit of one run.
    pub timeout: Duration,
    /// What follows a failed run.
    pub retry: RetryPolicy,
    /// What a tick does while a run is open.
    pub overlap: Overlap,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// How long a cancelled run may tidy up before it is dropped; zero: dropped at its next await.
    pub cancel_grace: Duration,
    /// Whether its runs may be given back at any moment: a node that drains does so at once, and waits for no end. For runs that
    /// only wait, and go on wherever they are run again.
    pub yields_on_drain: bool,
    /// Default settings; use [`settings_of`].
    pub settings: fn() -> Value,
    /// Checks settings; use [`check_settings`].
    pub check_settings: fn(&Value) -> Result<(), FieldError>,
    /// Default execution range, where the robot has one.
    pub range: fn() -> Option<Value>,
    /// Checks a range.
    pub check_range: fn(&Value) -> Result<(), FieldError>,
}

impl RobotSpec {
    /// What most robots want.
    pub const DEFAULT: Self = Self {
        name: "",
        title: "",
        category: Category::Custom,
        summary: "",
        wakes: Wakes::OnDemand,
        events: &[],
        coalesce_events: true,
        instances: 1,
        sharding: Sharding::Single,
        timeout: Duration::from_secs(300),
        retry: RetryPolicy::DEFAULT,
        overlap: Overlap::Skip,
        catch_up: CatchUp::Last,
        cancel_grace: Duration::ZERO,
        yields_on_drain: false,
        settings: || json!({}),
        check_settings: no_settings,
        range: || None,
        check_range: no_range,
    };

    /// The definition the runtime works with.
    ///
    /// # Errors
    /// A cron line that cannot be read; a test over the catalogue keeps it from happening.
    pub fn definition(&self) -> Result<Definition, FieldError> {
        let schedule = match self.wakes {
            Wakes::OnDemand => None,
            Wakes::Every(interval) => Some(Schedule::Every { interval }),
            Wakes::Cron(line) => {
                let value = json!({"cron": line, "timezone": "UTC"});
                let parsed = serde_json::from_value(value);
                Some(parsed.map_err(|error| FieldError::new("schedule", error.to_string()))?)
            }
        };
        Ok(Definition {
            identity: RobotIdentity {
                name: self.name.to_owned(),
                title: self.title.to_owned(),
                category: self.category,
                summary: self.summary.to_owned(),
                events: self.events.iter().map(|&event| event.to_owned()).collect(),
                sharding: self.sharding,
                instances_max: match self.sharding {
                    Sharding::Sharded => INSTANCES_MAX,
                    Sharding::PerNode | Sharding::Single => 1,
                },
            },
            defaults: RobotConfig {
                enabled: true,
                instances: self.instances,
                schedule,
                window: None,
                range: (self.range)(),
                timeout: self.timeout,
                retry: self.retry,
                overlap: self.overlap,
                catch_up: self.catch_up,
                settings: (self.settings)(),
            },
            coalesce_events: self.coalesce_events,
            cancel_grace: self.cancel_grace,
            yields_on_drain: self.yields_on_drain,
            check_settings: self.check_settings,
            check_range: self.check_range,
        })
    }
}

/// A robot as the runtime knows it, of the catalogue or of `robotd.toml`.
#[derive(Debug, Clone)]
pub struct Definition {
    /// What it is.
    pub identity: RobotIdentity,
    /// Its configuration until somebody changes it.
    pub defaults: RobotConfig,
    /// See [`RobotSpec::coalesce_events`].
    pub coalesce_events: bool,
    /// See [`RobotSpec::cancel_grace`].
    pub cancel_grace: Duration,
    /// See [`RobotSpec::yields_on_drain`].
    pub yields_on_drain: bool,
    /// See [`RobotSpec::check_settings`].
    pub check_settings: fn(&Value) -> Result<(), FieldError>,
    /// See [`RobotSpec::check_range`].
    pub check_range: fn(&Value) -> Result<(), FieldError>,
}

impl Definition {
    /// Checks a configuration against what this robot allows.
    ///
    /// # Errors
    /// Every field out of bounds.
    pub fn check(&self, config: &RobotConfig) -> Result<(), Vec<FieldError>> {
        let mut errors = config.validate().err().unwrap_or_default();
        if config.instances > self.identity.instances_max {
            errors.push(FieldError::new(
                "instances",
                format!(
                    "this robot runs at most {} at once",
                    self.identity.instances_max
                ),
            ));
        }
        errors.extend((self.check_settings)(&config.settings).err());
        if let Some(range) = &config.range {
            errors.extend((self.check_range)(range).err());
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

/// The default settings of type `T` as JSON; a type that does not serialise gives null, which no
/// configuration accepts.
#[must_use]
pub fn settings_of<T: Default + Serialize>() -> Value {
    serde_json::to_value(T::default()).unwrap_or(Value::Null)
}

/// Whether `value` reads as `T`.
///
/// # Errors
/// The field that does not fit.
pub fn check_settings<T: DeserializeOwned>(value: &Value) -> Result<(), FieldError> {
    serde_path_to_error::deserialize::<_, T>(value)
        .map(drop)
        .map_err(|error| {
            let path = format!("settings.{}", error.path());
            FieldError::at(path.trim_end_matches('.'), &error.inner().to_string())
        })
}

fn no_settings(value: &Value) -> Result<(), FieldError> {
    match value {
        Value::Object(fields) if fields.is_empty() => Ok(()),
        _ => Err(FieldError::new("settings", "this robot has no settings")),
    }
}

fn no_range(_: &Value) -> Result<(), FieldError> {
    Err(FieldError::new("range", "this robot has no range"))
}
