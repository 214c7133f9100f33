//! How much is done by a run, how long is waited, and who is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::iso_duration::serde_iso;
use crate::domain::mail::Recipients;
use crate::domain::operation::LOCK_WINDOW_MAX;
use crate::domain::retry::{ATTEMPTS_MAX, RetryPolicy};
use crate::domain::robot::FieldError;
use crate::domain::window::Window;
use crate::robots::alerts::{Audience, REMINDER};
use crate::robots::settings::{self, require, require_between};

/// More renewals than a run has time for.
const QUOTA_MAX: usize = 1_000;
/// How much longer each wait is than the one before.
const FACTOR: f64 = 3.0;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Certificates renewed by one run, 1 to 1,000.
    pub quota: usize,
    /// How long after a failure it is tried again; each time three times as long.
    #[serde(with = "serde_iso")]
    pub again_after: Duration,
    /// Up to which that grows.
    #[serde(with = "serde_iso")]
    pub again_at_most: Duration,
    /// How long a service may take to serve a certificate after it was told to.
    #[serde(with = "serde_iso")]
    pub verify_within: Duration,
    /// For how long a refused sign-in to a machine counts, as `lock_window` of the operation executor.
    #[serde(with = "serde_iso")]
    pub lock_window: Duration,
    /// Who gets mails of failures.
    pub recipients: Recipients,
    /// How often a lasting failure is told again.
    #[serde(with = "serde_iso")]
    pub reminder_interval: Duration,
    /// When nobody gets mails.
    pub quiet_hours: Option<Window>,
}

impl Default for Settings {
    /// A quarter of an hour keeps below the five failed validations an hour that Let's Encrypt allows.
    fn default() -> Self {
        Self {
            quota: 50,
            again_after: Duration::from_mins(15),
            again_at_most: Duration::from_hours(24),
            verify_within: Duration::from_secs(30),
            lock_window: Duration::from_mins(30),
            recipients: Recipients::default(),
            reminder_interval: REMINDER,
            quiet_hours: None,
        }
    }
}

impl Settings {
    /// Whom to tell.
    pub(super) fn audience(&self) -> Audience<'_> {
        Audience {
            recipients: &self.recipients,
            reminder: self.reminder_interval,
            quiet_hours: self.quiet_hours.as_ref(),
        }
    }

    /// The wait after failure number `failures` in a row (1 is the first).
    pub(super) fn wait(&self, failures: u32, jitter: f64) -> Duration {
        let policy = RetryPolicy {
            max_attempts: ATTEMPTS_MAX,
            initial: self.again_after,
            factor: FACTOR,
            max: self.again_at_most,
        };
        policy.delay(failures, jitter)
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let fits = (1..=QUOTA_MAX).contains(&self.quota);
        require(fits, "quota", "must lie between 1 and 1000")?;
        let month = Duration::from_hours(31 * 24);
        let minute = Duration::from_mins(1);
        require_between("again_after", self.again_after, minute, month)?;
        require_between("again_at_most", self.again_at_most, self.again_after, month)?;
        require_between(
            "verify_within",
            self.verify_within,
            Duration::from_secs(1),
            Duration::from_mins(2),
        )?;
        require_between("lock_window", self.lock_window, minute, LOCK_WINDOW_MAX)?;
        self.audience().check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_have_an_end() {
        let settings = Settings::default();
        let minutes = |failures| settings.wait(failures, 0.5).as_secs() / 60;
        assert_eq!([1, 2, 3, 40].map(minutes), [15, 45, 135, 24 * 60]);
    }
}
