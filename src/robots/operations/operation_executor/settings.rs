//! How often an operation is tried, and an account asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::{self, AttemptRule};
use crate::domain::failure::FailureClass;
use crate::domain::operation::{AttemptPolicy, LOCK_WINDOW_MAX, OperationKind};
use crate::domain::retry::RetryPolicy;
use crate::domain::robot::FieldError;
use crate::robots::settings::{Iso, Settings as Check, require, require_between};

/// More at once than any machine takes sign-ins.
const PER_DEVICE_MAX: u32 = 100;

/// The settings of the executor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Attempts of an operation and the delays between them.
    attempts: RetryPolicy,
    /// Other ones for some kinds and failures, at most 32: the first that fits.
    attempt_rules: Vec<AttemptRule>,
    /// For how long a refused sign-in counts; longer than the targets remember them.
    lock_window: Iso,
    /// Operations that run on one device at once, in the whole cluster, 1 to 100.
    per_device: u32,
}

impl Default for Settings {
    /// Six attempts over ten minutes, and half an hour: `pam_faillock` remembers for 15 minutes, Windows for 10 to 30. OpenSSH turns
    /// people away from the tenth that is not signed in yet (`MaxStartups`): four leave room for them.
    fn default() -> Self {
        Self {
            attempts: RetryPolicy {
                max_attempts: 6,
                initial: Duration::from_secs(10),
                factor: 3.0,
                max: Duration::from_mins(30),
            },
            attempt_rules: Vec::new(),
            lock_window: Iso(Duration::from_mins(30)),
            per_device: 4,
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let fits = (1..=PER_DEVICE_MAX).contains(&self.per_device);
        require(fits, "per_device", "must lie between 1 and 100")?;
        rules::check(&self.attempt_rules)?;
        let least = Duration::from_mins(1);
        require_between("lock_window", self.lock_window(), least, LOCK_WINDOW_MAX)
    }
}

impl Settings {
    pub(super) const fn lock_window(&self) -> Duration {
        self.lock_window.0
    }

    pub(super) const fn per_device(&self) -> u32 {
        self.per_device
    }

    /// How an operation of this kind is repeated after a failure of this class.
    pub(super) fn attempt_policy(
        &self,
        kind: OperationKind,
        class: Option<FailureClass>,
    ) -> AttemptPolicy {
        let retry = rules::attempts(&self.attempt_rules, kind, class);
        AttemptPolicy {
            retry: retry.unwrap_or(self.attempts),
            window: self.lock_window.0,
        }
    }
}
