//! The end of an attempt at an account.

use crate::connect::target::Failure;
use crate::domain::failure::FailureClass;
use crate::domain::operation::AttemptEnd;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// For `domain::operation`.
    pub end: AttemptEnd,
    /// The version that was put in force, or that the target may know.
    pub candidate: Option<i64>,
    /// What went wrong, for people; holds no secret.
    pub detail: Option<String>,
}

impl Ended {
    pub(super) fn done(version: Option<i64>) -> Self {
        Self {
            end: AttemptEnd::Done,
            candidate: version,
            detail: None,
        }
    }

    /// The target was certainly not changed.
    pub(super) fn failed(class: FailureClass, detail: impl ToString) -> Self {
        Self {
            end: AttemptEnd::Failed(class),
            candidate: None,
            detail: Some(detail.to_string()),
        }
    }

    /// What was to be done without another secret failed, and may have been done all the same.
    pub(super) fn of(failure: &Failure) -> Self {
        let end = match failure.is_unverified() {
            true => AttemptEnd::Unverified(failure.class),
            false => AttemptEnd::Failed(failure.class),
        };
        Self {
            end,
            candidate: None,
            detail: Some(failure.to_string()),
        }
    }

    pub(super) fn unverified(candidate: i64, class: FailureClass, detail: impl ToString) -> Self {
        Self {
            end: AttemptEnd::Unverified(class),
            candidate: Some(candidate),
            detail: Some(detail.to_string()),
        }
    }
}

/// The end of an attempt that has nothing to sign in with.
pub(super) fn no_secret() -> Ended {
    let reason = "no secret is in force; set the one that opens the account";
    Ended::failed(FailureClass::Invalid, reason)
}
