//! How often an operation is tried, and an account asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::operation::AttemptPolicy;
use crate::domain::retry::RetryPolicy;
use crate::domain::robot::FieldError;
use crate::robots::settings::{Iso, Settings as Check, require_between};

/// The settings of the executor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Attempts of an operation and the delays between them.
    attempts: RetryPolicy,
    /// For how long a refused sign-in counts; longer than the targets remember them.
    lock_window: Iso,
}

impl Default for Settings {
    /// Six attempts over ten minutes, and half an hour: `pam_faillock` remembers for 15 minutes, Windows for 10 to 30.
    fn default() -> Self {
        Self {
            attempts: RetryPolicy {
                max_attempts: 6,
                initial: Duration::from_secs(10),
                factor: 3.0,
                max: Duration::from_mins(30),
            },
            lock_window: Iso(Duration::from_mins(30)),
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let (least, most) = (Duration::from_mins(1), Duration::from_hours(24));
        require_between("lock_window", self.lock_window(), least, most)
    }
}

impl Settings {
    pub(super) const fn lock_window(&self) -> Duration {
        self.lock_window.0
    }

    pub(super) const fn attempt_policy(&self) -> AttemptPolicy {
        AttemptPolicy {
            retry: self.attempts,
            window: self.lock_window.0,
        }
    }
}
