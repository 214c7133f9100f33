//! What an operator may set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::robot::FieldError;
use crate::robots::settings::{Iso, Settings as Check, require, require_between};
use crate::store::operation::OPERATIONS_MAX;

/// More failures in a row than anybody waits for.
const FAILURES_MAX: u32 = 100;

/// Sites of the setting.
const SITES_MAX: usize = 100;
/// Bound on the name of a site in characters.
const NAME_CHARS_MAX: usize = 255;

/// The settings of this robot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Changes ordered by one run, 1 to 500.
    pub(super) quota: u32,
    /// Over how long they are spread.
    pub(super) spread: Iso,
    /// How long an account is left alone after a change that failed.
    pub(super) again_after: Iso,
    /// After so many changes that failed, by no fault of the network, no more are ordered, 1 to 100.
    pub(super) failures_max: u32,
    /// How long before it is as old as its policy's `max_age` a password is changed, at most half of that age.
    pub(super) head_start: Iso,
    /// Only accounts on devices in these sites, by their names; none: wherever they stand. At most 100.
    pub(super) sites: Vec<String>,
}

impl Default for Settings {
    /// A hundred in the two minutes to the next run: what a few executors do in that time. Five failures are some hours, in
    /// which a target that is being set up is ready.
    fn default() -> Self {
        Self {
            quota: 100,
            spread: Iso(Duration::from_mins(2)),
            again_after: Iso(Duration::from_hours(1)),
            failures_max: 5,
            head_start: Iso(Duration::ZERO),
            sites: Vec::new(),
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let fits =
            usize::try_from(self.quota).is_ok_and(|quota| (1..=OPERATIONS_MAX).contains(&quota));
        require(fits, "quota", "must lie between 1 and 500")?;
        let fits = (1..=FAILURES_MAX).contains(&self.failures_max);
        require(fits, "failures_max", "must lie between 1 and 100")?;
        let is_name = |name: &String| (1..=NAME_CHARS_MAX).contains(&name.chars().count());
        let fits = self.sites.len() <= SITES_MAX && self.sites.iter().all(is_name);
        let detail = "must have at most 100 names of 1 to 255 characters";
        require(fits, "sites", detail)?;
        let day = Duration::from_hours(24);
        require_between("spread", self.spread.0, Duration::ZERO, day)?;
        let month = Duration::from_hours(31 * 24);
        require_between(
            "again_after",
            self.again_after.0,
            Duration::from_mins(1),
            month,
        )?;
        require_between("head_start", self.head_start.0, Duration::ZERO, month)
    }
}
