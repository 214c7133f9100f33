//! What an operator may set. The account itself is the node's configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connect::smtp::MAIL_BYTES_MAX;
use crate::domain::mail::Address;
use crate::domain::robot::FieldError;
use crate::robots::settings::{self, Iso, require, require_between};

/// More delays than this are never reached before a mail expires.
const DELAYS_MAX: usize = 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Pauses after the first, second … attempt; the last one repeats until the mail expires.
    pub delays: Vec<Iso>,
    /// Mails a minute over all instances; none: as fast as the server takes them.
    pub mails_per_minute: Option<u32>,
    /// A longer mail, in bytes, is not sent.
    pub max_size: usize,
    /// Test mode: every mail goes to this address, with the true one in its subject.
    pub redirect: Option<Address>,
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = [1, 5, 15, 60, 240];
        Self {
            delays: minutes
                .map(|minutes| Iso(Duration::from_mins(minutes)))
                .to_vec(),
            mails_per_minute: None,
            max_size: MAIL_BYTES_MAX,
            redirect: None,
        }
    }
}

impl Settings {
    /// The pause after an attempt; `before` attempts were made before it.
    pub(super) fn delay(&self, before: i32) -> Duration {
        let index = usize::try_from(before).unwrap_or(0);
        let delay = self.delays.get(index).or(self.delays.last());
        delay.map_or(Duration::from_mins(1), |delay| delay.0)
    }

    /// The shortest pause.
    pub(super) fn first_delay(&self) -> Duration {
        self.delay(0)
    }
}

impl settings::Settings for Settings {
    fn check(&self) -> Result<(), FieldError> {
        require(
            (1..=DELAYS_MAX).contains(&self.delays.len()),
            "delays",
            "must have 1 to 20 entries",
        )?;
        for (index, delay) in self.delays.iter().enumerate() {
            let (min, max) = (Duration::from_secs(1), Duration::from_hours(24));
            require_between(&format!("delays[{index}]"), delay.0, min, max)?;
        }
        require(
            self.mails_per_minute
                .is_none_or(|rate| (1..=100_000).contains(&rate)),
            "mails_per_minute",
            "must lie between 1 and 100000, or be null",
        )?;
        require(
            (1_024..=MAIL_BYTES_MAX).contains(&self.max_size),
            "max_size",
            &format!("must lie between 1024 and {MAIL_BYTES_MAX}"),
        )
    }
}
