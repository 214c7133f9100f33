//! How files are taken.

use serde::{Deserialize, Serialize};

use crate::domain::import::ROWS_MAX;
use crate::domain::robot::FieldError;
use crate::robots::settings::{Settings as Check, require};

/// The settings of the robot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Rows of a file, 1 to 10,000.
    pub(super) rows_max: usize,
    /// What a row that is not acceptable means for the others.
    pub(super) on_error: OnError,
    /// Whether a site that is not there is made.
    pub(super) create_sites: bool,
}

/// What a row that is not acceptable means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnError {
    /// They are carried out.
    Continue,
    /// None is.
    Stop,
}

impl Default for Settings {
    /// All that one file may hold; the good rows of a file are not held up by the bad ones.
    fn default() -> Self {
        Self {
            rows_max: ROWS_MAX,
            on_error: OnError::Continue,
            create_sites: true,
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let fits = (1..=ROWS_MAX).contains(&self.rows_max);
        require(fits, "rows_max", "must lie between 1 and 10000")
    }
}
