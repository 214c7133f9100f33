//! Starting tasks in the transaction that registers them. Where the node has a free instance and nothing is known to
//! wait for it, they are claimed as they are inserted: a second transaction would be half of the way from a request to
//! the robot.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{Claimed, NewTask};
use crate::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use crate::domain::time::Timestamp;
use crate::store::backend::read;
use crate::store::{Store, StoreResult};

/// Tasks that one transaction starts. More wait for a claim, which takes them all at once.
const START_MAX: u32 = 1_000;

/// Who knows which instances of this node are free. Called from any thread; must not block.
pub trait Starter: fmt::Debug + Send + Sync {
    /// Keeps instances of a robot free for `count` tasks, or for fewer, or for none: where others wait already, it is
    /// not their turn. Answers for how many.
    fn reserve(&self, robot: RobotId, count: u32) -> u32;
    /// Takes over what was claimed for what was reserved; what nothing was claimed for is free again. Called once for
    /// each robot and reservation that was not of 0.
    fn start(&self, robot: RobotId, reserved: u32, claimed: Vec<Claimed>);
}

/// The node that starts what is registered here, where there is one.
#[derive(Debug, Default)]
pub(in crate::store) struct Dispatch {
    starter: RwLock<Option<(NodeId, Arc<dyn Starter>)>>,
    unheard: Mutex<Vec<Range<i64>>>,
}

/// What a transaction starts of what it registers. Dropped without [`Start::done`], it is not known what became of the
/// transaction: the instances are free again, and its processes are looked for later.
#[derive(Debug)]
pub(in crate::store) struct Start {
    store: Store,
    starter: Arc<dyn Starter>,
    node: NodeId,
    /// Instances of each robot, at least one.
    reserved: BTreeMap<RobotId, u32>,
    /// The ids of the processes, as many as instances.
    processes: Range<i64>,
    at: Timestamp,
    over: AtomicBool,
}

impl Dispatch {
    fn starter(&self) -> Option<(NodeId, Arc<dyn Starter>)> {
        let starter = self.starter.read().unwrap_or_else(PoisonError::into_inner);
        starter.clone()
    }

    fn unheard(&self) -> MutexGuard<'_, Vec<Range<i64>>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of processes that may have been claimed without anybody here knowing.
    pub(super) fn note_unheard(&self, processes: Range<i64>) {
        self.unheard().push(processes);
    }
}

impl Store {
    /// From now on tasks may be started on a node when they are registered; with `None` they no longer are.
    pub fn set_starter(&self, starter: Option<(NodeId, Arc<dyn Starter>)>) {
        let own = &self.dispatch().starter;
        *own.write().unwrap_or_else(PoisonError::into_inner) = starter;
    }

    /// Reserves instances for tasks of `robots`, each named once for a task, that are registered to run at once.
    pub(in crate::store) fn start_of(
        &self,
        robots: impl IntoIterator<Item = RobotId>,
        at: Timestamp,
    ) -> Option<Arc<Start>> {
        let (node, starter) = self.dispatch().starter()?;
        let mut wanted: BTreeMap<RobotId, u32> = BTreeMap::new();
        for robot in robots {
            *wanted.entry(robot).or_default() += 1;
        }
        let mut start = Start {
            store: self.clone(),
            starter,
            node,
            reserved: BTreeMap::new(),
            processes: 0..0,
            at,
            over: AtomicBool::new(false),
        };
        let mut left = START_MAX;
        for (robot, new) in wanted {
            let reserved = start.starter.reserve(robot, new.min(left));
            if reserved > 0 {
                start.reserved.insert(robot, reserved);
                left -= reserved;
            }
        }
        if left == START_MAX {
            return None;
        }
        // Without ids at hand the tasks wait for a claim, which reserves more.
        start.processes = self.process_ids_at_hand(START_MAX - left, at)?;
        Some(Arc::new(start))
    }

    /// Tasks that run on `node` since a transaction whose end was not heard of: nobody else takes care of them.
    pub async fn task_unheard(&self, node: NodeId) -> StoreResult<Vec<Claimed>> {
        let unheard = self.dispatch().unheard().clone();
        if unheard.is_empty() {
            return Ok(Vec::new());
        }
        let count = unheard.len();
        let found = read!(self, task_claim::claimed_as(node, &unheard))?;
        self.dispatch().unheard().drain(..count);
        self.tell_claimed(&found);
        Ok(found)
    }

    /// Whether there are transactions whose end was not heard of: what runs here may be more than is known.
    #[must_use]
    pub fn has_unheard(&self) -> bool {
        !self.dispatch().unheard().is_empty()
    }
}

/// The instances that one run of the transaction has not used yet.
#[derive(Debug)]
pub(in crate::store) struct Instances<'a> {
    start: &'a Start,
    left: BTreeMap<RobotId, u32>,
    processes: Range<i64>,
}

impl Instances<'_> {
    /// The process of a task that is registered to run at once, where there is an instance for it and it is not too
    /// late.
    pub(in crate::store) fn claim(&mut self, id: TaskId, task: &NewTask) -> Option<Claimed> {
        let left = self.left.get_mut(&task.robot).filter(|left| **left > 0)?;
        let at = self.start.at;
        let elsewhere = task.for_node.is_some_and(|node| node != self.start.node);
        if elsewhere || task.deadline.is_some_and(|deadline| deadline < at) {
            return None;
        }
        let process = self.processes.next()?;
        *left -= 1;
        Some(Claimed {
            task: id,
            process: ProcessId(process),
            robot: task.robot,
            node: self.start.node,
            trigger: task.trigger,
            payload: task.payload.clone(),
            attempt: 1,
            max_attempts: task.max_attempts,
            deaths: 0,
            deadline: task.deadline,
            planned_at: task.planned_at,
            started_at: at,
            cancel_requested: false,
        })
    }
}

impl Start {
    /// What there is to start with; the same for each run of the transaction.
    pub(in crate::store) fn instances(&self) -> Instances<'_> {
        Instances {
            start: self,
            left: self.reserved.clone(),
            processes: self.processes.clone(),
        }
    }

    /// The transaction was committed, and this is what it claimed. Told once.
    pub(super) fn done(&self, claimed: Vec<Claimed>) {
        self.over.store(true, Ordering::Relaxed);
        self.store.tell_claimed(&claimed);
        let mut of_robots: BTreeMap<RobotId, Vec<Claimed>> = BTreeMap::new();
        for claimed in claimed {
            of_robots.entry(claimed.robot).or_default().push(claimed);
        }
        for (robot, reserved) in &self.reserved {
            let own = of_robots.remove(robot).unwrap_or_default();
            self.starter.start(*robot, *reserved, own);
        }
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        if self.over.load(Ordering::Relaxed) {
            return;
        }
        if !self.processes.is_empty() {
            self.store.dispatch().note_unheard(self.processes.clone());
        }
        for (robot, reserved) in &self.reserved {
            self.starter.start(*robot, *reserved, Vec::new());
        }
    }
}
