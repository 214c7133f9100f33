//! What the task queries hand to the methods of `Store`: the answer, and what is to be told after the commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::id::{RobotId, TaskId};
use crate::domain::task::TaskStatus;
use crate::domain::time::Timestamp;

use super::{Added, Claimed, Floor, Start};

/// What registering came to, and what is to be told after the commit.
#[derive(Debug, Default)]
pub(in crate::store) struct Registered {
    /// Per task, in the order given.
    pub(in crate::store) added: Vec<Added>,
    /// The new ones that were not started, with the status they have.
    pub(in crate::store) waiting: Vec<(TaskId, RobotId, TaskStatus)>,
    /// Robots that have newly queued tasks, and the place before the first of them.
    pub(in crate::store) queued: BTreeMap<RobotId, Floor>,
    /// When the first of those for later is due.
    pub(in crate::store) scheduled: Option<Timestamp>,
    /// What it was to be started with, and is to be told of that.
    pub(in crate::store) start: Option<Arc<Start>>,
    /// What was started at once.
    pub(in crate::store) started: Vec<Claimed>,
}

/// What claiming came to.
#[derive(Debug)]
pub(in crate::store) struct Claims {
    /// The tasks claimed.
    pub(in crate::store) claimed: Vec<Claimed>,
    /// The last of each queue that was not exhausted, where that is of use.
    pub(in crate::store) reached: HashMap<RobotId, Floor>,
    /// Tasks that were too late.
    pub(in crate::store) expired: Vec<(TaskId, RobotId)>,
    /// First process id that was not used.
    pub(in crate::store) next: i64,
}

/// What recording ends came to.
#[derive(Debug, Default)]
pub(in crate::store) struct Completed {
    /// Per completion, in the order given: the robot and the task's status now, where it was accepted.
    pub(in crate::store) accepted: Vec<Option<(RobotId, TaskStatus)>>,
}

/// What promoting came to.
#[derive(Debug)]
pub(in crate::store) struct Promotion {
    /// Tasks that are queued now.
    pub(in crate::store) queued: Vec<(TaskId, RobotId)>,
    /// Robots that have queued tasks, where that was looked for.
    pub(in crate::store) waiting: Vec<RobotId>,
    /// Tasks that were too late.
    pub(in crate::store) expired: Vec<(TaskId, RobotId)>,
    /// When the next one is due.
    pub(in crate::store) next_run_at: Option<Timestamp>,
}
