//! How services are greeted, and when one is lost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::robot::FieldError;
use crate::robots::settings::{Iso, Settings as Check, require, require_between};

/// The settings of the connectivity test.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// How long a service may take to be reached; twice as long to be heard.
    limit: Iso,
    /// How often one that does not answer is greeted in one run, 1 to 5.
    tries: u32,
    /// After so many runs without an answer it is lost, 1 to 100.
    lost_after: u32,
    /// Services that are greeted at once, 1 to 256.
    concurrency: u32,
}

impl Default for Settings {
    /// Lost is what does not answer for an hour and a half.
    fn default() -> Self {
        Self {
            limit: Iso(Duration::from_secs(5)),
            tries: 2,
            lost_after: 3,
            concurrency: 32,
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let (least, most) = (Duration::from_millis(100), Duration::from_mins(1));
        require_between("limit", self.limit.0, least, most)?;
        for (field, value, most) in [
            ("tries", self.tries, 5),
            ("lost_after", self.lost_after, 100),
            ("concurrency", self.concurrency, 256),
        ] {
            let sound = (1..=most).contains(&value);
            require(sound, field, &format!("must lie between 1 and {most}"))?;
        }
        Ok(())
    }
}

impl Settings {
    pub(super) const fn limit(&self) -> Duration {
        self.limit.0
    }

    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    pub(super) const fn lost_after(&self) -> u32 {
        self.lost_after
    }

    pub(super) fn concurrency(&self) -> usize {
        usize::try_from(self.concurrency).unwrap_or(1)
    }
}
