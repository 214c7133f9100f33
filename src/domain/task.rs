//! Task states, process outcomes, and the only function that decides what follows a run.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::retry::RetryPolicy;
use super::time::Timestamp;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = ($word:literal, $code:literal);)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[derive(utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The number in the database (SMALLINT); never reused.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The value whose number is `code`.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    UnknownWord { word: text.chars().take(40).collect(), known: known.join(", ") }
                })
            }
        }
    };
}

pub(super) use words;

/// A word outside a fixed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of {known}")]
pub struct UnknownWord {
    /// What was given, at most 40 characters.
    pub word: String,
    /// What may be given.
    pub known: String,
}

words! {
    /// Where a task stands.
    TaskStatus {
        /// Its `run_at` lies ahead: ordered for later, or waiting for the next attempt.
        Scheduled = ("scheduled", 0);
        /// Waits for a free instance.
        Queued = ("queued", 1);
        /// A process of it is in execution.
        Running = ("running", 2);
        /// Ended well.
        Succeeded = ("succeeded", 3);
        /// Ended badly, with no attempt left or by a permanent error.
        Failed = ("failed", 4);
        /// Ended by a person.
        Cancelled = ("cancelled", 5);
        /// Its deadline passed before it could start.
        Expired = ("expired", 6);
        /// Killed its workers too often; an operator must look at it.
        Quarantined = ("quarantined", 7);
    }
}

impl TaskStatus {
    /// Whether nothing more will happen to the task by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Queued | Self::Running)
    }
}

words! {
    /// What became of one process.
    ProcessOutcome {
        /// In execution.
        Running = ("running", 0);
        /// Did its work.
        Succeeded = ("succeeded", 1);
        /// Reported an error.
        Failed = ("failed", 2);
        /// Its effect on a remote system may or may not have happened.
        Unverified = ("unverified", 3);
        /// Its code panicked.
        Panicked = ("panicked", 4);
        /// Ran longer than the robot's time limit.
        TimedOut = ("timed_out", 5);
        /// Ended by a person, by the window's closing edge or by the node's shutdown.
        Cancelled = ("cancelled", 6);
        /// Its worker or node died.
        Lost = ("lost", 7);
        /// Found that there was nothing it may do now.
        Skipped = ("skipped", 8);
    }
}

words! {
    /// What registered a task.
    Trigger {
        /// A planned instant of the robot's schedule.
        Tick = ("tick", 0);
        /// An event message.
        Event = ("event", 1);
        /// A person pressed "run now".
        Manual = ("manual", 2);
        /// `POST /tasks`.
        Api = ("api", 3);
    }
}

/// Lowest and highest priority; higher runs first.
pub const PRIORITY_MIN: i16 = 0;
/// See [`PRIORITY_MIN`].
pub const PRIORITY_MAX: i16 = 9;
/// The priority of a task that names none.
pub const PRIORITY_DEFAULT: i16 = 4;
/// Bound on a task's payload as JSON text.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Bound on a `unique_key`.
pub const UNIQUE_KEY_CHARS_MAX: usize = 200;
/// Bound on tasks in one request, all or none of which are accepted.
pub const BATCH_TASKS_MAX: usize = 10_000;
/// Worker deaths after which a task is quarantined (design.md promise 6).
pub const DEATHS_MAX: i32 = 3;
/// The same where the last death was its node's: that is blamed on every run the node had, most of which
/// are innocent, so it takes twice as many.
pub const DEATHS_WITH_NODE_MAX: i32 = 2 * DEATHS_MAX;

/// How one run ended, as its worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// The robot returned.
    Succeeded,
    /// The robot found nothing it may do now.
    Skipped,
    /// The robot asks to be run again at this instant; no attempt is used up.
    Snoozed(Timestamp),
    /// A temporary error: worth another attempt.
    FailedTemporarily,
    /// A permanent error: another attempt would fail as well.
    FailedPermanently,
    /// The effect is unknown; the robot reconciles on its next run.
    Unverified,
    /// The robot's code panicked.
    Panicked,
    /// The time limit passed.
    TimedOut,
    /// A person cancelled it.
    Cancelled,
    /// The robot found that the task's time was over before its work could begin.
    Expired,
    /// The node ends or the window closed: offered again, no attempt used up.
    Interrupted,
    /// The worker or the node died.
    Lost,
}

impl RunEnd {
    /// What the process row says.
    #[must_use]
    pub const fn outcome(&self) -> ProcessOutcome {
        match self {
            Self::Succeeded => ProcessOutcome::Succeeded,
            Self::Skipped | Self::Snoozed(_) | Self::Expired => ProcessOutcome::Skipped,
            Self::FailedTemporarily | Self::FailedPermanently => ProcessOutcome::Failed,
            Self::Unverified => ProcessOutcome::Unverified,
            Self::Panicked => ProcessOutcome::Panicked,
            Self::TimedOut => ProcessOutcome::TimedOut,
            Self::Cancelled | Self::Interrupted => ProcessOutcome::Cancelled,
            Self::Lost => ProcessOutcome::Lost,
        }
    }
}

/// What is known of a task while one of its processes runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// This attempt's number, from 1.
    pub attempt: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Workers that died of this task before this run.
    pub deaths: i32,
    /// No attempt may start after this.
    pub deadline: Option<Timestamp>,
}

/// What becomes of a task after one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRun {
    /// It leaves the hot table with this status.
    Finished(TaskStatus),
    /// It runs again at `run_at`.
    Again {
        /// When.
        run_at: Timestamp,
        /// Whether this run counts against `max_attempts`.
        attempt_used: bool,
        /// Whether this run counts as a death of its worker.
        death: bool,
    },
}

/// A task whose worker died is offered again at once the first time, then with this much more
/// delay a death, so that a task that kills nodes cannot do so in a tight loop.
const DEATH_DELAY: Duration = Duration::from_secs(10);

/// Decides what becomes of a task after one run; the only place that does.
///
/// Pure: the caller supplies the time and the jitter (0..1). Deaths (a panic, a lost worker or node)
/// are counted apart from failures and lead to quarantine, never to `failed`, so that an operator sees
/// which task kills its workers (design.md promise 6).
#[must_use]
pub fn after_run(
    task: Attempted,
    end: &RunEnd,
    retry: &RetryPolicy,
    now: Timestamp,
    jitter: f64,
) -> AfterRun {
    let again = |delay: Duration, attempt_used: bool, death: bool| {
        let run_at = now + delay;
        if task.deadline.is_some_and(|deadline| run_at > deadline) {
            AfterRun::Finished(TaskStatus::Expired)
        } else {
            AfterRun::Again {
                run_at,
                attempt_used,
                death,
            }
        }
    };
    match end {
        RunEnd::Succeeded | RunEnd::Skipped => AfterRun::Finished(TaskStatus::Succeeded),
        RunEnd::Snoozed(until) => again(
            (*until - now).to_std().unwrap_or(Duration::ZERO),
            false,
            false,
        ),
        RunEnd::Cancelled => AfterRun::Finished(TaskStatus::Cancelled),
        RunEnd::Expired => AfterRun::Finished(TaskStatus::Expired),
        RunEnd::FailedPermanently => AfterRun::Finished(TaskStatus::Failed),
        RunEnd::Interrupted => again(Duration::ZERO, false, false),
        RunEnd::FailedTemporarily | RunEnd::Unverified | RunEnd::TimedOut => {
            if task.attempt >= task.max_attempts {
                AfterRun::Finished(TaskStatus::Failed)
            } else {
                again(
                    retry.delay(task.attempt.unsigned_abs(), jitter),
                    true,
                    false,
                )
            }
        }
        RunEnd::Panicked | RunEnd::Lost => {
            let deaths = task.deaths.saturating_add(1);
            let allowed = if *end == RunEnd::Lost {
                DEATHS_WITH_NODE_MAX
            } else {
                DEATHS_MAX
            };
            if deaths >= allowed {
                AfterRun::Finished(TaskStatus::Quarantined)
            } else {
                again(DEATH_DELAY * task.deaths.unsigned_abs(), false, true)
            }
        }
    }
}

#[cfg(test)]
mod tests;
