//! What an operator may set.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::mail::Recipients;
use crate::domain::robot::FieldError;
use crate::robots::settings::{self, require};

/// Levels; each is a mail about each thing.
const LEVELS_MAX: usize = 20;
/// The highest level in days: ten years, as long as an authority's certificate lasts.
const DAYS_MAX: u32 = 3_650;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Days before an end at which it is told, in any order; that it has passed is told always.
    pub levels: Vec<u32>,
    /// The zone whose midnights divide the days.
    pub timezone: Tz,
    /// Who gets mails.
    pub recipients: Recipients,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            levels: Vec::from([90, 60, 30, 15, 7, 1, 0]),
            timezone: Tz::UTC,
            recipients: Recipients::default(),
        }
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        require(
            (1..=LEVELS_MAX).contains(&self.levels.len()),
            "levels",
            "must have 1 to 20 entries",
        )?;
        for (index, level) in self.levels.iter().enumerate() {
            let field = format!("levels[{index}]");
            require(*level <= DAYS_MAX, &field, "must be at most 3650 days")?;
            let before = self.levels.iter().take(index);
            require(
                !before.into_iter().any(|other| other == level),
                &field,
                "stands twice",
            )?;
        }
        Ok(())
    }
}
