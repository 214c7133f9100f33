//! What an operator may set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::robot::FieldError;
use crate::robots::settings::{Iso, Settings as Check, require, require_between};

/// As many operations as one run looks at.
const OUTAGE_MAX: u32 = 500;

/// The settings of this robot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// A device that so many operations did not reach is down, and not they are, 2 to 500.
    pub(super) outage_from: u32,
    /// How long the others wait for the one that tries.
    pub(super) outage_pause: Iso,
}

impl Default for Settings {
    /// Two may be a coincidence; two minutes are what a machine takes to start again.
    fn default() -> Self {
        Self {
            outage_from: 3,
            outage_pause: Iso(Duration::from_mins(2)),
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let fits = (2..=OUTAGE_MAX).contains(&self.outage_from);
        require(fits, "outage_from", "must lie between 2 and 500")?;
        let (least, most) = (Duration::from_secs(10), Duration::from_hours(1));
        require_between("outage_pause", self.outage_pause.0, least, most)
    }
}

impl Settings {
    /// Whether so many are an outage.
    pub(super) fn is_outage(&self, count: usize) -> bool {
        u32::try_from(count).is_ok_and(|count| count >= self.outage_from)
    }
}
