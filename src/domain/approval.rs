//! Decisions on tasks that may not begin before somebody else has agreed (the robots' specification, robot 41).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access::Role;
use super::task::{UnknownWord, words};
use super::time::Timestamp;

/// How long a task waits for a decision, where its definition does not say.
pub const WITHIN_DEFAULT: Duration = Duration::from_hours(24);
/// The longest time for which one may wait: a month, within which finished tasks are kept too.
pub const WITHIN_MAX: Duration = Duration::from_hours(30 * 24);
/// Bound on the reason of a decision in characters.
pub const REASON_CHARS_MAX: usize = 500;

words! {
    /// Where the decision on a task stands.
    ApprovalState {
        /// Nobody has decided.
        WaitingApproval = ("waiting_approval", 0);
        /// The task may begin.
        Approved = ("approved", 1);
        /// It may not, and has ended.
        Denied = ("denied", 2);
        /// Nobody decided in time, and it has ended.
        Expired = ("expired", 3);
        /// It ended before anybody decided.
        Withdrawn = ("withdrawn", 4);
    }
}

words! {
    /// What somebody decides.
    Decision {
        /// The task may begin.
        Approve = ("approve", 1);
        /// It may not.
        Deny = ("deny", 2);
    }
}

impl Decision {
    /// Where the decision stands once it is made so.
    #[must_use]
    pub const fn state(self) -> ApprovalState {
        match self {
            Self::Approve => ApprovalState::Approved,
            Self::Deny => ApprovalState::Denied,
        }
    }
}

/// A task that waits, as far as it matters who may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// Where it stands.
    pub state: ApprovalState,
    /// Who asked for the task.
    pub requested_by: &'a str,
    /// Who may decide: this role at least.
    pub role: Role,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Why somebody may not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The role does not suffice.
    #[error("this needs the role `{}`", .0.as_str())]
    Role(Role),
    /// Who asks is not who decides.
    #[error("who asked for it does not decide on it: let somebody else do so")]
    OwnTask,
    /// It is decided.
    #[error("the decision is made: {0}")]
    Decided(ApprovalState),
    /// The time for it is over.
    #[error("the time for the decision is over")]
    Late,
}

impl Question<'_> {
    /// Whether somebody is still to decide at `now`. Until then its task begins nothing, however often it is queued.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        self.state == ApprovalState::WaitingApproval && now < self.expires_at
    }

    /// How it is over without anybody having agreed, at `now`; none: the task may still begin. Such a task begins nothing any
    /// more, however often it is queued.
    #[must_use]
    pub fn refusal(&self, now: Timestamp) -> Option<ApprovalState> {
        match self.state {
            ApprovalState::Approved => None,
            ApprovalState::WaitingApproval if self.waits(now) => None,
            ApprovalState::WaitingApproval => Some(ApprovalState::Expired),
            over => Some(over),
        }
    }

    /// What keeps `name` with `role` from deciding at `now`; none: nothing does.
    #[must_use]
    pub fn obstacle(&self, name: &str, role: Role, now: Timestamp) -> Option<Obstacle> {
        if role < self.role {
            Some(Obstacle::Role(self.role))
        } else if name == self.requested_by {
            Some(Obstacle::OwnTask)
        } else if self.state != ApprovalState::WaitingApproval {
            Some(Obstacle::Decided(self.state))
        } else if self.expires_at <= now {
            Some(Obstacle::Late)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn somebody_else_of_the_role_decides_in_time_and_once() {
        let end = DateTime::UNIX_EPOCH;
        let asked = Question {
            state: ApprovalState::WaitingApproval,
            requested_by: "ana",
            role: Role::Operator,
            expires_at: end,
        };
        let before = end - TimeDelta::seconds(1);
        let obstacle = |question: Question<'_>, name, role, now| question.obstacle(name, role, now);
        for (question, name, role, now, expected) in [
            (asked, "bob", Role::Operator, before, None),
            (asked, "bob", Role::Admin, before, None),
            (
                asked,
                "bob",
                Role::Viewer,
                before,
                Some(Obstacle::Role(Role::Operator)),
            ),
            (asked, "ana", Role::Admin, before, Some(Obstacle::OwnTask)),
            (asked, "bob", Role::Operator, end, Some(Obstacle::Late)),
        ] {
            assert_eq!(
                obstacle(question, name, role, now),
                expected,
                "{name} {role:?}"
            );
        }
        for state in ApprovalState::ALL.iter().copied().skip(1) {
            let question = Question { state, ..asked };
            let told = obstacle(question, "bob", Role::Admin, before);
            assert_eq!(told, Some(Obstacle::Decided(state)));
        }
    }

    #[test]
    fn what_nobody_agreed_to_begins_nothing_any_more() {
        let end = DateTime::UNIX_EPOCH;
        let before = end - TimeDelta::seconds(1);
        for (state, in_time, late) in [
            (
                ApprovalState::WaitingApproval,
                None,
                Some(ApprovalState::Expired),
            ),
            (ApprovalState::Approved, None, None),
            (
                ApprovalState::Denied,
                Some(ApprovalState::Denied),
                Some(ApprovalState::Denied),
            ),
            (
                ApprovalState::Withdrawn,
                Some(ApprovalState::Withdrawn),
                Some(ApprovalState::Withdrawn),
            ),
        ] {
            let question = Question {
                state,
                requested_by: "ana",
                role: Role::Operator,
                expires_at: end,
            };
            let told = [before, end].map(|now| question.refusal(now));
            assert_eq!(told, [in_time, late], "{state}");
        }
    }
}
