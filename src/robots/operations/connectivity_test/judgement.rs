//! What an answer, or none, says of a service.

use std::time::Duration;

use serde::Deserialize;

use crate::connect::greeting::Greeting;
use crate::domain::failure::FailureClass;
use crate::domain::inventory::Protocol;

/// So few failures say nothing of our own network.
const OUTAGE_WAYS_MIN: usize = 20;

/// What was last told of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Up,
    Down,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A way to a device, with what is known of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Known {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) host_key: Option<String>,
    pub(super) pinned_host_key: Option<String>,
    status: Option<Status>,
    failures: Option<u32>,
    error_class: Option<String>,
    seen_key: Option<String>,
}

/// What is known of it now, and what is news of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) status: Option<Status>,
    pub(super) failures: u32,
    pub(super) error: Option<FailureClass>,
    pub(super) latency: Option<Duration>,
    pub(super) key: Option<String>,
    pub(super) news: Vec<&'static str>,
}

/// Judges what was heard. A service is lost after `lost_after` failures in a row; one that shows another key than the one that
/// is pinned does answer.
pub(super) fn judge(
    known: &Known,
    heard: &Result<Greeting, FailureClass>,
    lost_after: u32,
) -> Judged {
    let mut judged = Judged {
        status: Some(Status::Up),
        failures: 0,
        error: None,
        latency: None,
        key: known.seen_key.clone(),
        news: Vec::new(),
    };
    let is_down = known.status == Some(Status::Down);
    match heard {
        Ok(greeting) => {
            let other = greeting.key.is_some() && known.seen_key.is_some();
            if other && greeting.key != known.seen_key {
                judged.news.push("device.host_key_changed");
            }
            judged.key = greeting.key.clone().or(judged.key);
            judged.latency = Some(greeting.latency);
        }
        Err(class @ FailureClass::HostKeyMismatch) => {
            judged.error = Some(*class);
            if known.error_class.as_deref() != Some(class.as_str()) {
                judged.news.push("device.host_key_changed");
            }
        }
        Err(class) => {
            judged.error = Some(*class);
            judged.failures = known.failures.unwrap_or(0).saturating_add(1);
            let lost = is_down || judged.failures >= lost_after;
            judged.status = if lost {
                Some(Status::Down)
            } else {
                known.status
            };
            if lost && !is_down {
                judged.news.push("device.connectivity_lost");
            }
            return judged;
        }
    }
    if is_down {
        judged.news.push("device.connectivity_recovered");
    }
    judged
}

/// Whether so many of them fail that the fault is ours: nine of ten, and not just a few.
pub(super) const fn is_own_outage(tested: usize, failing: usize) -> bool {
    failing >= OUTAGE_WAYS_MIN && failing * 10 >= tested * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Known {
        Known {
            protocol: Protocol::Ssh,
            port: 22,
            host_key: None,
            pinned_host_key: None,
            status: None,
            failures: None,
            error_class: None,
            seen_key: None,
        }
    }

    fn heard(key: &str) -> Result<Greeting, FailureClass> {
        Ok(Greeting {
            latency: Duration::from_millis(3),
            key: Some(key.to_owned()),
        })
    }

    /// What is told of each answer in a row.
    fn told(answers: &[Result<Greeting, FailureClass>]) -> Vec<Vec<&'static str>> {
        let mut known = fresh();
        let mut told = Vec::new();
        for answer in answers {
            let judged = judge(&known, answer, 3);
            known.status = judged.status;
            known.failures = Some(judged.failures);
            known.error_class = judged.error.map(|class| class.as_str().to_owned());
            known.seen_key = judged.key;
            told.push(judged.news);
        }
        told
    }

    #[test]
    fn a_service_is_lost_once_and_recovers_once() {
        let away = || Err(FailureClass::Timeout);
        let (lost, back) = ("device.connectivity_lost", "device.connectivity_recovered");
        let answers = [
            heard("a"),
            away(),
            away(),
            heard("a"),
            away(),
            away(),
            away(),
            away(),
            heard("a"),
        ];
        let none = Vec::new;
        assert_eq!(
            told(&answers),
            [
                none(),
                none(),
                none(),
                none(),
                none(),
                none(),
                vec![lost],
                none(),
                vec![back]
            ]
        );
    }

    #[test]
    fn another_key_is_told_once() {
        let changed = "device.host_key_changed";
        let mismatch = || Err(FailureClass::HostKeyMismatch);
        let answers = [
            heard("a"),
            heard("b"),
            heard("b"),
            mismatch(),
            mismatch(),
            heard("b"),
        ];
        let none = Vec::new;
        assert_eq!(
            told(&answers),
            [none(), vec![changed], none(), vec![changed], none(), none()]
        );
    }

    #[test]
    fn few_failures_are_not_ours() {
        for (tested, failing, ours) in [
            (5, 5, false),
            (20, 20, true),
            (100, 89, false),
            (100, 90, true),
        ] {
            assert_eq!(
                is_own_outage(tested, failing),
                ours,
                "{failing} of {tested}"
            );
        }
    }
}
