//! Words for values, and the tone in which each is shown. A tone is a class of the style sheet; it never says something
//! that the word does not.

use crate::domain::alert::Level;
use crate::domain::approval::ApprovalState;
use crate::domain::import::{ImportMode, ImportState, RowAnswer};
use crate::domain::inventory::RevocationReason;
use crate::domain::operation::{OperationKind, OperationState, WaitReason};
use crate::domain::retry::RetryPolicy;
use crate::domain::robot::{RobotStatus, Sharding};
use crate::domain::task::{ProcessOutcome, TaskStatus, Trigger};
use crate::domain::tick::{CatchUp, ClockNote, Decision, Overlap};
use crate::domain::window::AtClose;
use crate::runtime::handle::HealthStatus;
use crate::store::node::NodeState;

use super::moment::length;
use super::text;

/// A word and how loud it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// The word.
    pub(super) text: &'static str,
    /// The class: `good`, `busy`, `calm`, `warn` or `bad`.
    pub(super) tone: &'static str,
}

impl askama::filters::HtmlSafe for Word {}

/// As markup; word and tone are texts of this file.
impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { text, tone } = self;
        write!(f, "<span class=\"word {tone}\">{text}</span>")
    }
}

const fn word(text: &'static str, tone: &'static str) -> Word {
    Word { text, tone }
}

/// How a robot stands.
pub(super) const fn robot(status: RobotStatus) -> Word {
    match status {
        RobotStatus::Idle => word("Idle", "calm"),
        RobotStatus::Running => word("Running", "busy"),
        RobotStatus::Paused => word("Paused", "warn"),
        RobotStatus::OutsideWindow => word("Outside window", "calm"),
        RobotStatus::BackingOff => word("Backing off", "warn"),
        RobotStatus::Quarantined => word("Quarantined", "bad"),
        RobotStatus::Disabled => word("Off", "warn"),
    }
}

/// The states of robots with what they are called in addresses, for filters.
pub(super) const ROBOT_STATUSES: [(&str, RobotStatus); 7] = [
    ("idle", RobotStatus::Idle),
    ("running", RobotStatus::Running),
    ("paused", RobotStatus::Paused),
    ("outside_window", RobotStatus::OutsideWindow),
    ("backing_off", RobotStatus::BackingOff),
    ("quarantined", RobotStatus::Quarantined),
    ("disabled", RobotStatus::Disabled),
];

/// How a node does.
pub(super) const fn health(status: HealthStatus) -> Word {
    match status {
        HealthStatus::Ok => word("Node ok", "good"),
        HealthStatus::Degraded => word("Node degraded", "warn"),
        HealthStatus::Failing => word("Node failing", "bad"),
    }
}

/// How bad a finding is.
pub(super) const fn alert(level: Level) -> Word {
    match level {
        Level::Ok => word("Over", "good"),
        Level::Warning => word("Warning", "warn"),
        Level::Critical => word("Critical", "bad"),
    }
}

/// How a node stands.
pub(super) const fn node(state: NodeState) -> Word {
    match state {
        NodeState::Alive => word("Alive", "good"),
        NodeState::Draining => word("About to end", "calm"),
        NodeState::Stopped => word("Stopped", "calm"),
        NodeState::Dead => word("Dead", "bad"),
    }
}

/// Where a task stands.
pub(super) const fn task(status: TaskStatus) -> Word {
    match status {
        TaskStatus::Scheduled => word("Scheduled", "calm"),
        TaskStatus::Queued => word("Queued", "calm"),
        TaskStatus::Running => word("Running", "busy"),
        TaskStatus::Succeeded => word("Succeeded", "good"),
        TaskStatus::Failed => word("Failed", "bad"),
        TaskStatus::Cancelled => word("Cancelled", "warn"),
        TaskStatus::Expired => word("Expired", "warn"),
        TaskStatus::Quarantined => word("Quarantined", "bad"),
    }
}

/// What became of a process.
pub(super) const fn outcome(outcome: ProcessOutcome) -> Word {
    match outcome {
        ProcessOutcome::Running => word("Running", "busy"),
        ProcessOutcome::Succeeded => word("Succeeded", "good"),
        ProcessOutcome::Failed => word("Failed", "bad"),
        ProcessOutcome::Unverified => word("Unverified", "warn"),
        ProcessOutcome::Panicked => word("Panicked", "bad"),
        ProcessOutcome::TimedOut => word("Timed out", "bad"),
        ProcessOutcome::Cancelled => word("Cancelled", "warn"),
        ProcessOutcome::Lost => word("Lost", "bad"),
        ProcessOutcome::Skipped => word("Skipped", "calm"),
    }
}

/// What became of a tick.
pub(super) const fn tick(decision: Decision) -> Word {
    match decision {
        Decision::Fired => word("Ran", "good"),
        Decision::SkippedWindow => word("Skipped: window", "warn"),
        Decision::SkippedOverlap => word("Skipped: run open", "warn"),
        Decision::SkippedPaused => word("Skipped: paused", "warn"),
        Decision::SkippedDisabled => word("Skipped: off", "warn"),
        Decision::Missed => word("Missed", "bad"),
        Decision::CaughtUp => word("Caught up", "calm"),
        Decision::Coalesced => word("Joined", "calm"),
    }
}

/// Where the decision on a task stands.
pub(super) const fn approval(state: ApprovalState) -> Word {
    match state {
        ApprovalState::WaitingApproval => word("Waits for approval", "warn"),
        ApprovalState::Approved => word("Approved", "good"),
        ApprovalState::Denied => word("Denied", "bad"),
        ApprovalState::Expired => word("Not decided in time", "warn"),
        ApprovalState::Withdrawn => word("Withdrawn", "calm"),
    }
}

/// Why a certificate is revoked.
pub(super) const fn revocation(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Unspecified => "Not said",
        RevocationReason::KeyCompromise => "Somebody else may have its private key",
        RevocationReason::AffiliationChanged => "Its names belong to somebody else",
        RevocationReason::Superseded => "Another one took its place",
        RevocationReason::CessationOfOperation => "What it was for is no more",
    }
}

/// What is done to an account.
pub(super) const fn operation_kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::ChangePassword => "New password",
        OperationKind::Reconcile => "Find out which secret holds",
        OperationKind::Test => "Test of the secret",
        OperationKind::RunTemplate => "Command of a template",
        OperationKind::RotateSshKey => "New SSH key",
        OperationKind::Activate => "Open the account",
        OperationKind::Deactivate => "Close the account",
    }
}

/// Where an operation stands.
pub(super) const fn operation(state: OperationState) -> Word {
    match state {
        OperationState::Queued => word("Queued", "calm"),
        OperationState::Running => word("Running", "busy"),
        OperationState::Retrying => word("Waits to be repeated", "warn"),
        OperationState::Unverified => word("Unverified", "warn"),
        OperationState::Succeeded => word("Succeeded", "good"),
        OperationState::Failed => word("Failed", "bad"),
        OperationState::Expired => word("Expired", "warn"),
        OperationState::Cancelled => word("Cancelled", "warn"),
    }
}

/// Why an operation waits.
pub(super) const fn wait(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Scheduled => "its time",
        WaitReason::Lockout => {
            "refused sign-ins to be forgotten, or another operation that may be refused to end, so that no account locks:"
        }
        WaitReason::UnverifiedChange => "a change that is not proven yet:",
        WaitReason::Outage => "its device, which does not answer",
        WaitReason::NextAttempt => "its next attempt",
        WaitReason::OtherOperation => "another one of the same account:",
        WaitReason::Parent => "the change of the secret that it follows:",
        WaitReason::DeviceLimit => "others that run on its device",
        WaitReason::RobotPaused => "the Operation executor, which is paused",
        WaitReason::Window => "the window of the Operation executor",
        WaitReason::Executor => "a free instance of the Operation executor",
    }
}

/// What becomes of an imported file.
pub(super) const fn import_mode(mode: ImportMode) -> &'static str {
    match mode {
        ImportMode::Apply => "Carry its rows out",
        ImportMode::Validate => "Only say what they would do",
    }
}

/// Where an import stands.
pub(super) const fn import(state: ImportState) -> Word {
    match state {
        ImportState::Waiting => word("Waiting", "calm"),
        ImportState::Running => word("Running", "busy"),
        ImportState::Finished => word("Finished", "good"),
        ImportState::Failed => word("Failed", "bad"),
        ImportState::Cancelled => word("Cancelled", "warn"),
    }
}

/// What became of a row of an import.
pub(super) const fn row_answer(answer: RowAnswer) -> Word {
    match answer {
        RowAnswer::Created => word("Created", "good"),
        RowAnswer::Updated => word("Updated", "good"),
        RowAnswer::Unchanged => word("Unchanged", "calm"),
        RowAnswer::Refused => word("Refused", "bad"),
        RowAnswer::Skipped => word("Left out", "warn"),
    }
}

/// Why it became that.
pub(super) const fn why(decision: Decision) -> &'static str {
    match decision {
        Decision::Fired => "It was due, and a run was started.",
        Decision::SkippedWindow => "It lay outside the window in which the robot may run.",
        Decision::SkippedOverlap => {
            "A run was still queued or open, and the robot is not set to start another."
        }
        Decision::SkippedPaused => "The robot was quarantined or paused.",
        Decision::SkippedDisabled => "The robot was switched off.",
        Decision::Missed => {
            "Nobody was there to decide it in time, and the robot is not set to make up for it."
        }
        Decision::CaughtUp => "It was noticed late, and a run was started for it.",
        Decision::Coalesced => "It was noticed late; the run of a later tick stands for it.",
    }
}

/// What registered a task.
pub(super) const fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Tick => "schedule",
        Trigger::Event => "event",
        Trigger::Manual => "hand",
        Trigger::Api => "API",
    }
}

/// What becomes of a planned tick.
pub(super) const fn decision(decision: Decision) -> Word {
    match decision {
        Decision::Fired => word("runs", "good"),
        Decision::SkippedWindow => word("outside window", "warn"),
        Decision::SkippedOverlap => word("a run is open", "warn"),
        Decision::SkippedPaused => word("paused", "warn"),
        Decision::SkippedDisabled => word("off", "warn"),
        Decision::Missed => word("missed", "bad"),
        Decision::CaughtUp => word("caught up", "calm"),
        Decision::Coalesced => word("joined", "calm"),
    }
}

/// What the change of the clock does.
pub(super) const fn clock_note(note: ClockNote) -> &'static str {
    match note {
        ClockNote::Gap => text::NOTE_GAP,
        ClockNote::Fold => text::NOTE_FOLD,
    }
}

/// How instances are spread.
pub(super) const fn sharding(sharding: Sharding) -> &'static str {
    match sharding {
        Sharding::Sharded => "instances share the work",
        Sharding::PerNode => "one instance on every node",
        Sharding::Single => "one instance in the cluster",
    }
}

/// The ways of closing with what they are called in forms.
pub(super) const AT_CLOSES: [(&str, AtClose); 3] = [
    ("finish", AtClose::Finish),
    ("drain", AtClose::Drain),
    ("cancel", AtClose::Cancel),
];

/// What becomes of open runs at the closing edge of a window.
pub(super) const fn at_close(at_close: AtClose) -> &'static str {
    match at_close {
        AtClose::Finish => "what is open and queued finishes",
        AtClose::Drain => "open runs finish, queued ones wait",
        AtClose::Cancel => "open runs are cancelled",
    }
}

/// What a tick does while a run is open.
pub(super) const fn overlap(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Skip => "is skipped",
        Overlap::Allow => "starts another",
        Overlap::Queue => "waits, one of them",
    }
}

/// What becomes of missed ticks.
pub(super) const fn catch_up(catch_up: CatchUp) -> &'static str {
    match catch_up {
        CatchUp::None => "are missed",
        CatchUp::Last => "get one run together",
        CatchUp::All => "get a run each",
    }
}

/// What follows a failed run.
pub(super) fn retry(retry: &RetryPolicy) -> String {
    if retry.max_attempts <= 1 {
        return "no further attempt".to_owned();
    }
    format!(
        "up to {} attempts, the second after {}, each time {} × longer, at most {}",
        retry.max_attempts,
        length(retry.initial),
        retry.factor,
        length(retry.max)
    )
}

/// A count with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 3 == head {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}
