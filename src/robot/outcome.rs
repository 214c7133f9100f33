//! What a run answers, and what that means for its task.

use std::collections::BTreeMap;

use crate::connect::error::ConnectError;
use crate::domain::task::RunEnd;
use crate::domain::time::Timestamp;
use crate::store::StoreError;

/// A run that did not fail. Counters are what panel, API and tests read; there is no prose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it means for the task.
    pub verdict: Verdict,
    /// What was counted, e.g. `mails_sent`.
    pub counters: BTreeMap<String, i64>,
}

/// What a run that did not fail means for its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The work is done.
    Done,
    /// There was nothing it may do now.
    Nothing,
    /// Run again at this instant; no attempt is used up.
    Snooze(Timestamp),
    /// The work could not begin in time: the task has expired.
    Expired,
    /// A person did not let it begin: the task is cancelled.
    Refused,
    /// A remote effect may or may not have happened; the next attempt reconciles.
    Unverified,
}

impl Outcome {
    /// Done.
    #[must_use]
    pub const fn done() -> Self {
        Self {
            verdict: Verdict::Done,
            counters: BTreeMap::new(),
        }
    }

    /// There was nothing it may do.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            verdict: Verdict::Nothing,
            counters: BTreeMap::new(),
        }
    }

    /// Run again at `until`.
    #[must_use]
    pub const fn snooze(until: Timestamp) -> Self {
        Self {
            verdict: Verdict::Snooze(until),
            counters: BTreeMap::new(),
        }
    }

    /// The work could not begin in time.
    #[must_use]
    pub const fn expired() -> Self {
        Self {
            verdict: Verdict::Expired,
            counters: BTreeMap::new(),
        }
    }

    /// A person did not let the work begin.
    #[must_use]
    pub const fn refused() -> Self {
        Self {
            verdict: Verdict::Refused,
            counters: BTreeMap::new(),
        }
    }

    /// Done, with one counter.
    #[must_use]
    pub fn counted(what: &str, count: usize) -> Self {
        Self::done().and(what, count)
    }

    /// The same with one measured figure more, rounded to a whole number; what is no number is left out.
    #[must_use]
    pub fn measured(mut self, what: &str, value: f64) -> Self {
        if let Some(value) = whole(value) {
            self.counters.insert(what.to_owned(), value);
        }
        self
    }

    /// The same with one counter more.
    #[must_use]
    pub fn and(mut self, what: &str, count: usize) -> Self {
        self.counters
            .insert(what.to_owned(), i64::try_from(count).unwrap_or(i64::MAX));
        self
    }
}

/// `value` as a whole number, where it is one within 2^53.
fn whole(value: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bound is checked in the same line"
    )]
    (value.abs() <= EXACT_MAX).then(|| value.round() as i64)
}

/// A run that failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct RobotError {
    /// Whether another attempt may succeed.
    pub temporary: bool,
    /// Stable word for machines, e.g. `smtp_unreachable`.
    pub class: &'static str,
    /// For people; no secrets.
    pub text: String,
}

impl RobotError {
    /// Another attempt may succeed.
    pub fn retry(class: &'static str, text: impl std::fmt::Display) -> Self {
        Self {
            temporary: true,
            class,
            text: text.to_string(),
        }
    }

    /// Another attempt would fail as well.
    pub fn fail(class: &'static str, text: impl std::fmt::Display) -> Self {
        Self {
            temporary: false,
            class,
            text: text.to_string(),
        }
    }
}

impl From<StoreError> for RobotError {
    /// A store that refuses for now is worth another attempt; so is everything unexpected of it.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } | StoreError::Conflict { .. } => Self::fail("store", error),
            StoreError::Unavailable(_) | StoreError::Other(_) => Self::retry("store", error),
        }
    }
}

impl From<ConnectError> for RobotError {
    fn from(error: ConnectError) -> Self {
        if error.is_temporary() {
            Self::retry("connect", error)
        } else {
            Self::fail("connect", error)
        }
    }
}

/// What a run's answer means for its task, with counters, class and text for the process row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// For `domain::task::after_run`.
    pub end: RunEnd,
    /// What was counted.
    pub counters: BTreeMap<String, i64>,
    /// Class of the error.
    pub error_class: Option<String>,
    /// The error for people.
    pub error: Option<String>,
}

impl Report {
    /// An end that is the runtime's own finding rather than the robot's answer.
    pub fn of_runtime(end: RunEnd, class: &str, text: impl Into<String>) -> Self {
        Self {
            end,
            counters: BTreeMap::new(),
            error_class: Some(class.to_owned()),
            error: Some(text.into()),
        }
    }
}

impl From<Result<Outcome, RobotError>> for Report {
    fn from(result: Result<Outcome, RobotError>) -> Self {
        match result {
            Ok(outcome) => Self {
                end: match outcome.verdict {
                    Verdict::Done => RunEnd::Succeeded,
                    Verdict::Nothing => RunEnd::Skipped,
                    Verdict::Snooze(until) => RunEnd::Snoozed(until),
                    Verdict::Expired => RunEnd::Expired,
                    Verdict::Refused => RunEnd::Cancelled,
                    Verdict::Unverified => RunEnd::Unverified,
                },
                counters: outcome.counters,
                error_class: None,
                error: None,
            },
            Err(error) => Self {
                end: if error.temporary {
                    RunEnd::FailedTemporarily
                } else {
                    RunEnd::FailedPermanently
                },
                counters: BTreeMap::new(),
                error_class: Some(error.class.to_owned()),
                error: Some(error.text),
            },
        }
    }
}
