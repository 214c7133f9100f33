//! Settings of robots: read as a type, then checked for what a type cannot say.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::iso_duration;
use crate::domain::reading::of_bounds;
use crate::domain::robot::FieldError;
use crate::robot::spec::check_settings;

/// A robot's settings with their bounds.
pub(super) trait Settings: DeserializeOwned {
    /// Checks bounds and the fields against each other.
    ///
    /// # Errors
    /// The first field out of bounds, by its name inside the settings.
    fn check(&self) -> Result<(), FieldError>;
}

/// For [`crate::robot::RobotSpec::check_settings`].
///
/// # Errors
/// The field that does not read or is out of bounds, as `settings.name`.
pub(super) fn check<T: Settings>(value: &Value) -> Result<(), FieldError> {
    let inside = |error: FieldError| FieldError {
        field: format!("settings.{}", error.field),
        ..error
    };
    let settings: T = match serde_path_to_error::deserialize(value) {
        Ok(settings) => settings,
        Err(error) => {
            let check = |near: Value| -> Vec<FieldError> {
                let near = serde_json::from_value::<T>(near).ok();
                near.and_then(|near| near.check().err())
                    .into_iter()
                    .collect()
            };
            let own = of_bounds(value, &error, check).map(inside);
            return own.map_or_else(|| check_settings::<T>(value), Err);
        }
    };
    settings.check().map_err(inside)
}

/// Refuses `field` with `detail` unless `sound`.
///
/// # Errors
/// When it is not.
pub(super) fn require(sound: bool, field: &str, detail: &str) -> Result<(), FieldError> {
    if sound {
        Ok(())
    } else {
        Err(FieldError::new(field, detail))
    }
}

/// Refuses a percentage outside 0 to 100, or not above its own lower neighbour.
///
/// # Errors
/// When `critical` is over 100, `warn` is not above 0, or `warn` is above `critical`.
pub(super) fn require_percents(
    (warn_name, warn): (&str, f64),
    (critical_name, critical): (&str, f64),
) -> Result<(), FieldError> {
    require(
        critical > 0.0 && critical <= 100.0,
        critical_name,
        "must lie above 0 and be at most 100",
    )?;
    require(
        warn > 0.0 && warn <= critical,
        warn_name,
        &format!("must lie above 0 and be at most `{critical_name}`"),
    )
}

/// Refuses a time outside `min` to `max`.
///
/// # Errors
/// Names the bounds.
pub(super) fn require_between(
    field: &str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), FieldError> {
    let (from, to) = (iso_duration::format(min), iso_duration::format(max));
    let sound = (min..=max).contains(&value);
    require(sound, field, &format!("must lie between {from} and {to}"))
}

/// A time as ISO 8601, for lists of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Iso(#[serde(with = "iso_duration::serde_iso")] pub(super) Duration);
