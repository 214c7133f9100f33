//! Operations on the accounts of credentials: what follows from an attempt, and how often an account may be asked.
//!
//! An attempt that failed is repeated where repeating can help. What must not happen on the way is a locked account: most
//! targets lock after three or five refused sign-ins, and then refuse the right secret as well. So refused sign-ins are
//! counted, over all operations of an account, and [`Allowance`] gives out no more than [`TRIES_MAX`] in any window
//! (the robots' specification, robots 44 to 46).

mod wait;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::failure::FailureClass;
use super::id::InventoryId;
use super::inventory::CredentialKind;
use super::inventory::name::identity;
use super::iso_duration;
use super::retry::RetryPolicy;
use super::task::{UnknownWord, words};
use super::time::Timestamp;
pub use wait::WaitReason;

/// Refused sign-ins of one credential in one window. Two are what a change needs that must find out which of two secrets
/// is in force, and fewer than any sound lock allows.
pub const TRIES_MAX: u32 = 2;

/// The longest time for which a refused sign-in may be set to count; no target remembers one for longer.
pub const LOCK_WINDOW_MAX: Duration = Duration::from_hours(24);

words! {
    /// What is to be done.
    OperationKind {
        /// A new secret, made by the credential's policy.
        ChangePassword = ("change_password", 0);
        /// Find out which of the recorded secrets opens the account, and record that.
        Reconcile = ("reconcile", 1);
        /// Sign in with the recorded secret, once.
        Test = ("test", 2);
        /// Run the command of a template as the account.
        RunTemplate = ("run_template", 3);
        /// A new key in place of the one that signs in.
        RotateSshKey = ("rotate_ssh_key", 4);
        /// Open the account for signing in, by a privileged account.
        Activate = ("activate", 5);
        /// Close it.
        Deactivate = ("deactivate", 6);
    }
}

/// Whether an account lets its owner in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Its secret signs in.
    Open,
    /// Nobody signs in to it, by whatever secret.
    Closed,
}

impl OperationKind {
    /// Whether an attempt whose effect is open is followed by another one that finds out. What a command did, no second
    /// run of it tells.
    #[must_use]
    pub const fn is_settled_by_trying(self) -> bool {
        !matches!(self, Self::RunTemplate)
    }

    /// Whether accounts can have it that sign in by a key.
    #[must_use]
    pub const fn suits_keys(self) -> bool {
        !matches!(self, Self::ChangePassword)
    }

    /// Whether accounts can have it that sign in by a password.
    #[must_use]
    pub const fn suits_passwords(self) -> bool {
        !matches!(self, Self::RotateSshKey)
    }

    /// Why an account with such a secret cannot have it.
    #[must_use]
    pub const fn refusal(self, secret: CredentialKind) -> Option<&'static str> {
        match secret {
            CredentialKind::SshKey if !self.suits_keys() => {
                Some("the secret is a key: order `rotate_ssh_key`")
            }
            CredentialKind::Password if !self.suits_passwords() => {
                Some("the secret is a password: order `change_password`")
            }
            CredentialKind::SshKey | CredentialKind::Password => None,
        }
    }

    /// Whether it gives the account another secret.
    #[must_use]
    pub const fn changes_secret(self) -> bool {
        matches!(self, Self::ChangePassword | Self::RotateSshKey)
    }

    /// Whether it settles a candidate that it meets.
    #[must_use]
    pub const fn settles_candidates(self) -> bool {
        matches!(
            self,
            Self::ChangePassword | Self::Reconcile | Self::RotateSshKey
        )
    }

    /// Whether it is about how the account stands, and not about its secret.
    #[must_use]
    pub const fn admits(self) -> bool {
        matches!(self, Self::Activate | Self::Deactivate)
    }
}

/// How long operations of each kind may wait that have no `expires_at` of their own; as long as it takes where absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lives {
    #[serde(with = "iso_duration::serde_iso_option")]
    change_password: Option<Duration>,
    #[serde(with = "iso_duration::serde_iso_option")]
    reconcile: Option<Duration>,
    #[serde(with = "iso_duration::serde_iso_option")]
    test: Option<Duration>,
    #[serde(with = "iso_duration::serde_iso_option")]
    run_template: Option<Duration>,
    #[serde(with = "iso_duration::serde_iso_option")]
    rotate_ssh_key: Option<Duration>,
    #[serde(with = "iso_duration::serde_iso_option")]
    activate: Option<Duration>,
    #[serde(with = "iso_duration::serde_iso_option")]
    deactivate: Option<Duration>,
}

impl Lives {
    /// Those of the kinds, in the order of their numbers.
    #[must_use]
    pub const fn by_code(self) -> [Option<Duration>; 7] {
        [
            self.change_password,
            self.reconcile,
            self.test,
            self.run_template,
            self.rotate_ssh_key,
            self.activate,
            self.deactivate,
        ]
    }
}

words! {
    /// What an account said of the secret in force, where it said something.
    Finding {
        /// It opens the account.
        Match = ("match", 0);
        /// It does not: somebody else has changed it.
        Mismatch = ("mismatch", 1);
        /// The account is locked, and refuses every secret.
        Locked = ("locked", 2);
        /// An administrator has closed the account.
        Disabled = ("disabled", 3);
    }
}

impl Finding {
    /// What an attempt has found; none where it was not told, so that what was known before still holds.
    #[must_use]
    pub const fn of(end: AttemptEnd) -> Option<Self> {
        match end {
            AttemptEnd::Done => Some(Self::Match),
            AttemptEnd::Failed(FailureClass::AuthFailed) => Some(Self::Mismatch),
            AttemptEnd::Failed(class) | AttemptEnd::Unverified(class) => match class {
                FailureClass::AccountLocked => Some(Self::Locked),
                FailureClass::AccountDisabled => Some(Self::Disabled),
                _ => None,
            },
        }
    }
}

words! {
    /// Why a secret is, or was, changed.
    ChangeCause {
        /// A person or a program asked for it.
        Ordered = ("ordered", 0);
        /// It was past its end, or older than its policy allows.
        Expired = ("expired", 1);
        /// Somebody had seen it.
        Viewed = ("viewed", 2);
        /// A person recorded a secret that was changed elsewhere: no operation did it.
        Recorded = ("recorded", 3);
        /// A session had used it.
        Used = ("used", 4);
    }
}

words! {
    /// Where an operation stands.
    OperationState {
        /// Waits for its time, or for an executor.
        Queued = ("queued", 0);
        /// An executor has it in hand.
        Running = ("running", 1);
        /// Failed without effect, and waits for its next attempt.
        Retrying = ("retrying", 2);
        /// It may have had an effect. It waits for an attempt that finds out, unless it has ended.
        Unverified = ("unverified", 3);
        /// Done, and verified.
        Succeeded = ("succeeded", 4);
        /// Ended without effect.
        Failed = ("failed", 5);
        /// Its time was over before it was done.
        Expired = ("expired", 6);
        /// Ended by a person, or because nothing asks for it any more.
        Cancelled = ("cancelled", 7);
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Done, and verified.
    Done,
    /// The target was certainly not changed, or refuses all that we know.
    Failed(FailureClass),
    /// The target may have been changed; the candidate is kept.
    Unverified(FailureClass),
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nothing more: the operation has ended in this state.
    Finished(OperationState),
    /// Another attempt.
    Again {
        /// [`OperationState::Retrying`] or [`OperationState::Unverified`].
        state: OperationState,
        /// Not before this.
        at: Timestamp,
    },
}

/// How operations are repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttemptPolicy {
    /// Attempts and the delays between them.
    pub retry: RetryPolicy,
    /// For how long a refused sign-in counts.
    pub window: Duration,
}

impl AttemptPolicy {
    /// Decides what follows from the attempt number `attempts` (1 is the first) that ended at `now`. `jitter` is 0 to 1.
    ///
    /// Temporary failures without effect are repeated. So is whatever may have had one, because only another look says
    /// which secret is in force; after a refused sign-in that look waits until the refusal no longer counts. All else
    /// would fail again.
    #[must_use]
    pub fn after(&self, end: AttemptEnd, attempts: u32, now: Timestamp, jitter: f64) -> After {
        let left = attempts < self.retry.max_attempts;
        let delay = self.retry.delay(attempts, jitter);
        match end {
            AttemptEnd::Done => After::Finished(OperationState::Succeeded),
            AttemptEnd::Failed(class) if class.is_temporary() && left => After::Again {
                state: OperationState::Retrying,
                at: later(now, delay),
            },
            AttemptEnd::Failed(_) => After::Finished(OperationState::Failed),
            AttemptEnd::Unverified(class) if left => After::Again {
                state: OperationState::Unverified,
                at: later(
                    now,
                    if is_refusal(class) {
                        delay.max(self.window)
                    } else {
                        delay
                    },
                ),
            },
            AttemptEnd::Unverified(_) => After::Finished(OperationState::Unverified),
        }
    }
}

/// Whether the target counts this failure against the account.
#[must_use]
pub const fn is_refusal(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::AuthFailed | FailureClass::AccountLocked
    )
}

/// One name for all credentials of an account, under which its refused sign-ins are counted: a domain's account is the
/// same one whatever device it is registered for.
#[must_use]
pub fn account_key(credential: InventoryId, domain: Option<&str>, username: &str) -> String {
    match domain {
        Some(domain) => format!("domain:{}", identity(&[domain, username])),
        None => format!("credential:{credential}"),
    }
}

/// `now` and a delay; the end of time where that cannot be said.
fn later(now: Timestamp, delay: Duration) -> Timestamp {
    chrono::TimeDelta::from_std(delay)
        .ok()
        .and_then(|delay| now.checked_add_signed(delay))
        .unwrap_or(Timestamp::MAX_UTC)
}

/// Refused sign-ins of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// When the attempt ended.
    pub at: Timestamp,
    /// How many.
    pub count: u32,
}

/// How many sign-ins of an attempt may be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// So many, one at least.
    Tries(u32),
    /// None before this instant.
    Wait(Timestamp),
}

impl Allowance {
    /// What is left of [`TRIES_MAX`] at `now`, after what was refused in the window before it. What lies in the future, by
    /// a clock that was set back, counts.
    #[must_use]
    pub fn after(past: &[Refusals], window: Duration, now: Timestamp) -> Self {
        let counts = past
            .iter()
            .filter(|refusals| refusals.count > 0 && later(refusals.at, window) > now);
        let used = counts
            .clone()
            .fold(0_u32, |sum, refusals| sum.saturating_add(refusals.count));
        match (TRIES_MAX.checked_sub(used), counts.map(|one| one.at).max()) {
            (Some(left @ 1..), _) => Self::Tries(left),
            (_, Some(last)) => Self::Wait(later(last, window)),
            (_, None) => Self::Tries(TRIES_MAX),
        }
    }
}

#[cfg(test)]
mod tests;
