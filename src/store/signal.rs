//! What was committed, told to whoever waits. Lossy on purpose: every listener also looks by itself
//! from time to time, so a lost signal costs time and never work.

use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::task::{ProcessOutcome, TaskStatus};
use crate::domain::time::Timestamp;

/// Signals kept for a slow listener; one that falls behind is told so and looks by itself.
pub const SIGNALS_MAX: usize = 4_096;

/// A committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// These robots have newly queued tasks.
    TasksReady(Vec<RobotId>),
    /// A task is due at this instant.
    Scheduled(Timestamp),
    /// A task changed.
    Task {
        /// Which.
        id: TaskId,
        /// Whose.
        robot: RobotId,
        /// Its status now.
        status: TaskStatus,
    },
    /// A process started, made progress or ended.
    Process {
        /// Which.
        id: ProcessId,
        /// Whose.
        robot: RobotId,
        /// Its outcome now.
        outcome: ProcessOutcome,
    },
    /// A robot's configuration changed.
    Robot(RobotId),
    /// Things of the inventory changed, operations on them or imports of them.
    Inventory,
    /// Messages wait for the syslog collector.
    Syslog,
    /// Another node changed these robots' configuration.
    Configured(Vec<RobotId>),
    /// A person wants this process, which runs on another node than the one that was asked, to end.
    Cancel {
        /// Which.
        process: ProcessId,
        /// Whose.
        robot: RobotId,
        /// Where it runs.
        node: NodeId,
    },
    /// A node came, is about to end, ended or was declared dead.
    Nodes,
    /// A node gave instances back, or takes part in sharing them from now on.
    Shares,
    /// Tasks and processes of other nodes changed, which is told now and then and not of each.
    Elsewhere,
    /// Signals of other nodes may have been lost: it is time to look.
    Anything,
}

impl Signal {
    /// Whether it says what became of something, rather than that there is something to do.
    pub(super) const fn is_change(&self) -> bool {
        match self {
            Self::Task { .. }
            | Self::Process { .. }
            | Self::Robot(_)
            | Self::Inventory
            | Self::Elsewhere => true,
            Self::TasksReady(_)
            | Self::Scheduled(_)
            | Self::Syslog
            | Self::Configured(_)
            | Self::Cancel { .. }
            | Self::Nodes
            | Self::Shares
            | Self::Anything => false,
        }
    }
}
