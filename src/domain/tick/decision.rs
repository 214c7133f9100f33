//! The words in which a tick is decided: the rules an administrator sets, and what comes out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What happens when a robot is due while a run of it is open (queued or running).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The tick is skipped.
    #[default]
    Skip,
    /// Another run starts.
    Allow,
    /// One more run waits; while one waits, further ticks are skipped.
    Queue,
}

/// What happens to instants that passed undecided, while no node was up to decide them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are missed.
    None,
    /// One run stands for all of them.
    #[default]
    Last,
    /// Each gets its run, up to the [`CATCH_UP_MAX`](super::CATCH_UP_MAX) newest.
    All,
}

/// What became of a planned instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// A run was started on time.
    #[serde(rename = "fired")]
    Fired,
    /// The instant lies outside the window of the robot.
    #[serde(rename = "skipped:window")]
    SkippedWindow,
    /// A run of the robot was open, and its overlap rule forbids another.
    #[serde(rename = "skipped:overlap")]
    SkippedOverlap,
    /// The robot was quarantined, or all robots were paused.
    #[serde(rename = "skipped:paused")]
    SkippedPaused,
    /// The robot was disabled.
    #[serde(rename = "skipped:disabled")]
    SkippedDisabled,
    /// It was noticed too late, and nothing stands for it.
    #[serde(rename = "missed")]
    Missed,
    /// It was noticed late, and a run was started for it.
    #[serde(rename = "caught_up")]
    CaughtUp,
    /// It was noticed late, and the decision on a later instant, caught up in its place, stands for
    /// it.
    #[serde(rename = "coalesced")]
    Coalesced,
}

impl Decision {
    /// All decisions.
    pub const ALL: [Self; 8] = [
        Self::Fired,
        Self::SkippedWindow,
        Self::SkippedOverlap,
        Self::SkippedPaused,
        Self::SkippedDisabled,
        Self::Missed,
        Self::CaughtUp,
        Self::Coalesced,
    ];

    /// The text form, as in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::SkippedWindow => "skipped:window",
            Self::SkippedOverlap => "skipped:overlap",
            Self::SkippedPaused => "skipped:paused",
            Self::SkippedDisabled => "skipped:disabled",
            Self::Missed => "missed",
            Self::CaughtUp => "caught_up",
            Self::Coalesced => "coalesced",
        }
    }

    /// Whether the decision starts a run.
    #[must_use]
    pub const fn starts_run(self) -> bool {
        matches!(self, Self::Fired | Self::CaughtUp)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text names no decision.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no decision on a tick")]
pub struct UnknownDecision(pub String);

impl FromStr for Decision {
    type Err = UnknownDecision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|decision| decision.as_str() == text)
            .ok_or_else(|| UnknownDecision(text.to_owned()))
    }
}
