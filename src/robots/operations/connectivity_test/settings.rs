//! How services are greeted, and when one is lost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judgement::Lost;
use crate::domain::inventory::Protocol;
use crate::domain::mail::Recipients;
use crate::domain::robot::FieldError;
use crate::robots::alerts::{Audience, REMINDER};
use crate::robots::settings::{Iso, Settings as Check, require, require_between};

/// Places that are asked whether our own network is there.
const CANARIES_MAX: usize = 5;

/// Host and port of a place.
fn place_of(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty() && host.len() <= 255).then_some((host, port))
}

/// The settings of the connectivity test.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// How long a service may take to be reached; twice as long to be heard.
    limit: Iso,
    /// How often one that does not answer is greeted in one run, 1 to 5.
    tries: u32,
    /// It is lost when so many of its last `of` tests failed, 1 to `of`; and back after `of` - `fails` + 1 answers in a row.
    fails: u32,
    /// See `fails`; 1 to 20.
    of: u32,
    /// Services that are greeted at once, 1 to 256.
    concurrency: u32,
    /// Only services of these protocols are greeted; all where none is named.
    protocols: Vec<Protocol>,
    /// From so many devices on, 2 to 10,000, a subnet of which nothing answers is told as one.
    subnet_devices: u32,
    /// Up to 5 places, as `HOST:PORT`, that answer whenever this machine's own network is there.
    canaries: Vec<String>,
    /// Who gets mails of whole subnets, and of our own network.
    recipients: Recipients,
    /// How often they are told again while it lasts.
    reminder_interval: Iso,
}

impl Default for Settings {
    /// Lost is what does not answer for an hour and a half. Five devices do not fail together by chance.
    fn default() -> Self {
        Self {
            limit: Iso(Duration::from_secs(5)),
            tries: 2,
            fails: 3,
            of: 3,
            concurrency: 32,
            protocols: Vec::new(),
            subnet_devices: 5,
            canaries: Vec::new(),
            recipients: Recipients::default(),
            reminder_interval: Iso(REMINDER),
        }
    }
}

impl Check for Settings {
    fn check(&self) -> Result<(), FieldError> {
        let (least, most) = (Duration::from_millis(100), Duration::from_mins(1));
        require_between("limit", self.limit.0, least, most)?;
        for (field, value, most) in [
            ("tries", self.tries, 5),
            ("of", self.of, 20),
            ("fails", self.fails, self.of),
            ("concurrency", self.concurrency, 256),
        ] {
            let sound = (1..=most).contains(&value);
            require(sound, field, &format!("must lie between 1 and {most}"))?;
        }
        let fits = (2..=10_000).contains(&self.subnet_devices);
        require(fits, "subnet_devices", "must lie between 2 and 10000")?;
        let sound = self.canaries.len() <= CANARIES_MAX
            && self.canaries.iter().all(|place| place_of(place).is_some());
        let detail = "must be at most 5 places of the form `HOST:PORT`";
        require(sound, "canaries", detail)?;
        self.audience().check()
    }
}

impl Settings {
    pub(super) const fn limit(&self) -> Duration {
        self.limit.0
    }

    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    pub(super) fn lost(&self) -> Lost {
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Lost {
            fails: count(self.fails),
            of: count(self.of),
        }
    }

    pub(super) fn greets(&self, protocol: Protocol) -> bool {
        self.protocols.is_empty() || self.protocols.contains(&protocol)
    }

    pub(super) fn subnet_devices(&self) -> usize {
        usize::try_from(self.subnet_devices).unwrap_or(usize::MAX)
    }

    pub(super) fn canaries(&self) -> impl Iterator<Item = (&str, u16)> {
        self.canaries.iter().filter_map(|place| place_of(place))
    }

    pub(super) fn audience(&self) -> Audience<'_> {
        Audience {
            recipients: &self.recipients,
            reminder: self.reminder_interval.0,
            quiet_hours: None,
        }
    }

    pub(super) fn concurrency(&self) -> usize {
        usize::try_from(self.concurrency).unwrap_or(1)
    }
}
