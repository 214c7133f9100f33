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
    recent: Option<String>,
}

impl Known {
    /// What the last `of` tests came to, with this one.
    fn with(&self, answered: bool, of: usize) -> String {
        let known = self.recent.as_deref().unwrap_or_default();
        let kept = known.len().saturating_sub(of.saturating_sub(1));
        let kept = known.get(kept..).unwrap_or_default();
        format!("{kept}{}", if answered { ANSWERED } else { SILENT })
    }
}

/// A test in `recent`.
const ANSWERED: char = '+';
const SILENT: char = '-';

/// When a service is lost: after so many failures among so many tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) fails: usize,
    pub(super) of: usize,
}

impl Lost {
    /// Whether it is lost by what its last tests came to.
    fn by(self, recent: &str) -> bool {
        recent.matches(SILENT).count() >= self.fails
    }

    /// Whether one that was lost is back: after as many answers in a row as keep it from being lost by the failures before them.
    fn is_over(self, recent: &str) -> bool {
        let answers = recent.chars().rev().take_while(|test| *test == ANSWERED);
        answers.count() + self.fails > self.of
    }
}

/// What is known of it now, and what is news of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) status: Option<Status>,
    pub(super) failures: u32,
    pub(super) recent: String,
    pub(super) error: Option<FailureClass>,
    pub(super) latency: Option<Duration>,
    pub(super) key: Option<String>,
    pub(super) news: Vec<&'static str>,
}

/// Judges what was heard. A service is lost, and comes back, by what its last tests came to, so that one that answers now and then
/// is not told of each time; one that shows another key than the one that is pinned does answer.
pub(super) fn judge(known: &Known, heard: &Result<Greeting, FailureClass>, lost: Lost) -> Judged {
    let answered = matches!(heard, Ok(_) | Err(FailureClass::HostKeyMismatch));
    let recent = known.with(answered, lost.of);
    let is_down = known.status == Some(Status::Down);
    let mut judged = Judged {
        status: match answered {
            true if is_down && !lost.is_over(&recent) => Some(Status::Down),
            true => Some(Status::Up),
            false if lost.by(&recent) => Some(Status::Down),
            false => known.status,
        },
        failures: 0,
        recent,
        error: None,
        latency: None,
        key: known.seen_key.clone(),
        news: Vec::new(),
    };
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
        }
    }
    match (is_down, judged.status) {
        (false, Some(Status::Down)) => judged.news.push(LOST),
        (true, Some(Status::Up)) => judged.news.push(RECOVERED),
        _ => {}
    }
    judged
}

/// What is told of a service that is away, and of one that is back.
pub(super) const LOST: &str = "device.connectivity_lost";
pub(super) const RECOVERED: &str = "device.connectivity_recovered";

/// Whether so many of them fail that the fault is ours: nine of ten, and not just a few.
pub(super) const fn is_own_outage(tested: usize, failing: usize) -> bool {
    failing >= OUTAGE_WAYS_MIN && failing * 10 >= tested * 9
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A way that answers.
    pub(in super::super) fn up() -> (Known, Judged) {
        let judged = judge(&fresh(), &heard("a"), IN_A_ROW);
        (fresh(), judged)
    }

    /// A way that is lost.
    pub(in super::super) fn down() -> (Known, Judged) {
        let known = Known {
            status: Some(Status::Down),
            ..fresh()
        };
        let judged = judge(
            &known,
            &Err(FailureClass::Timeout),
            Lost { fails: 1, of: 1 },
        );
        (known, judged)
    }

    const IN_A_ROW: Lost = Lost { fails: 3, of: 3 };

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
            recent: None,
        }
    }

    fn heard(key: &str) -> Result<Greeting, FailureClass> {
        Ok(Greeting {
            latency: Duration::from_millis(3),
            key: Some(key.to_owned()),
        })
    }

    /// What is told of each answer in a row.
    fn told(answers: &[Result<Greeting, FailureClass>], lost: Lost) -> Vec<Vec<&'static str>> {
        let mut known = fresh();
        let mut told = Vec::new();
        for answer in answers {
            let judged = judge(&known, answer, lost);
            known.status = judged.status;
            known.failures = Some(judged.failures);
            known.recent = Some(judged.recent);
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
            told(&answers, IN_A_ROW),
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
    fn a_service_that_answers_now_and_then_is_told_of_once() {
        let away = || Err(FailureClass::Timeout);
        let lost = Lost { fails: 3, of: 5 };
        let flaps = [
            away(),
            heard("a"),
            away(),
            heard("a"),
            away(),
            heard("a"),
            away(),
        ];
        let steady = [heard("a"), heard("a"), heard("a")];
        let answers = flaps.into_iter().chain(steady).collect::<Vec<_>>();
        let news = told(&answers, lost);
        let at = |kind| news.iter().position(|told| told.contains(&kind));
        assert_eq!((at(LOST), at(RECOVERED)), (Some(4), Some(9)));
        assert_eq!(news.concat().len(), 2, "{news:?}");
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
            told(&answers, IN_A_ROW),
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
