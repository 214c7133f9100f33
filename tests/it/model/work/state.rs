//! The database's rows, what each node has in memory, and what a step does to both.

use std::collections::BTreeSet;

use robotd::domain::id::{NodeId, RobotId};
use robotd::domain::share::{Holding, granted, target};

use super::{Action, Work};

const ROBOT: RobotId = RobotId(1);

/// A run of a task under the number of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::model) struct Run {
    pub(in crate::model) task: usize,
    pub(in crate::model) process: u32,
}

/// A task's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::model) enum Task {
    Queued,
    Running { process: u32, node: usize },
    Ended,
}

/// A node's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::model) enum Row {
    Absent,
    Alive,
    Dead,
}

/// What a node's own memory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(in crate::model) struct Node {
    /// It has not heard that it was declared dead.
    pub(in crate::model) up: bool,
    /// By its own clock nobody can have declared it dead.
    pub(in crate::model) lease: bool,
    /// How many runs it may have in hand.
    pub(in crate::model) limit: u32,
    /// A claim that is under way.
    pub(in crate::model) asking: bool,
    /// An exchange that was committed: the limit in its answer.
    pub(in crate::model) granted: Option<u32>,
    /// Claimed, and not begun.
    pub(in crate::model) claimed: BTreeSet<Run>,
    /// In execution, or ended with a result that is not recorded.
    pub(in crate::model) runs: BTreeSet<Run>,
}

impl Node {
    pub(in crate::model) fn held(&self) -> u32 {
        let held = self.claimed.len() + self.runs.len() + usize::from(self.asking);
        u32::try_from(held).unwrap()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::model) struct State {
    pub(in crate::model) tasks: Vec<Task>,
    pub(in crate::model) rows: Vec<Row>,
    pub(in crate::model) slots: Vec<u32>,
    pub(in crate::model) instances: u32,
    pub(in crate::model) nodes: Vec<Node>,
    pub(in crate::model) processes: u32,
    /// Results that were recorded, by task.
    pub(in crate::model) recorded: Vec<u32>,
    /// A result of a process that was not the task's current one was recorded.
    pub(in crate::model) stale: bool,
}

impl State {
    /// Tasks that run on a node that is declared dead.
    pub(super) fn orphans(&self) -> impl Iterator<Item = usize> + '_ {
        let orphan = |task: &usize| matches!(self.tasks[*task], Task::Running { node, .. } if self.rows[node] == Row::Dead);
        (0..self.tasks.len()).filter(orphan)
    }

    /// How many tasks run on a node, by the database.
    pub(in crate::model) fn running_on(&self, node: usize) -> u32 {
        let on = |task: &&Task| matches!(task, Task::Running { node: on, .. } if *on == node);
        u32::try_from(self.tasks.iter().filter(on).count()).unwrap()
    }

    /// No node, dead or alive, has a run of the task in hand.
    pub(in crate::model) fn nobody_has(&self, task: usize) -> bool {
        let has = |run: &Run| run.task == task;
        !self
            .nodes
            .iter()
            .any(|node| node.runs.iter().chain(&node.claimed).any(has))
    }

    /// What a node knows and has in hand ends with it.
    fn end(&mut self, me: usize) {
        let asking = self.nodes[me].asking;
        let lease = self.nodes[me].lease;
        self.nodes[me] = Node {
            asking,
            lease,
            ..Node::default()
        };
    }

    /// One transaction under the lock of all shares.
    fn exchange(&mut self, me: usize) {
        if self.rows[me] != Row::Alive {
            return;
        }
        for other in 0..self.rows.len() {
            if self.rows[other] == Row::Dead && self.running_on(other) == 0 {
                self.slots[other] = 0;
            }
        }
        let id = |node: usize| NodeId(i64::try_from(node).unwrap() + 1);
        let living: Vec<_> = (0..self.rows.len())
            .filter(|node| self.rows[*node] == Row::Alive)
            .map(id)
            .collect();
        let target = target(ROBOT, self.instances, &living, id(me));
        let node = &mut self.nodes[me];
        let holding = Holding {
            slots: self.slots[me],
            busy: node.limit.max(node.held()),
            target,
            others: self.slots.iter().sum::<u32>() - self.slots[me],
        };
        self.slots[me] = granted(self.instances, holding);
        node.granted = Some(self.slots[me].min(target));
    }

    fn claim(&mut self, me: usize) {
        self.nodes[me].asking = false;
        // The claim holds the node's row: nobody is declared dead in the middle of one.
        if self.rows[me] != Row::Alive {
            return;
        }
        let Some(task) = self.tasks.iter().position(|task| *task == Task::Queued) else {
            return;
        };
        self.processes += 1;
        self.tasks[task] = Task::Running {
            process: self.processes,
            node: me,
        };
        if self.nodes[me].up {
            self.nodes[me].claimed.insert(Run {
                task,
                process: self.processes,
            });
        }
    }

    pub(in crate::model) fn is_current(&self, run: Run) -> bool {
        matches!(self.tasks[run.task], Task::Running { process, .. } if process == run.process)
    }

    fn record(&mut self, me: usize, run: Run, fenced: bool) {
        self.nodes[me].runs.remove(&run);
        let current = self.is_current(run);
        if current || !fenced {
            self.tasks[run.task] = Task::Ended;
            self.recorded[run.task] += 1;
            self.stale |= !current;
        }
    }

    pub(in crate::model) fn apply(&mut self, work: &Work, action: Action) {
        match action {
            Action::Start(me) => {
                self.rows[me] = Row::Alive;
                self.nodes[me] = Node {
                    up: true,
                    lease: true,
                    ..Node::default()
                };
            }
            Action::Beat(me) if self.rows[me] == Row::Alive => self.nodes[me].lease = true,
            Action::Beat(me) => self.end(me),
            Action::Lapse(me) => self.nodes[me].lease = false,
            Action::Reap(_, other) => self.rows[other] = Row::Dead,
            Action::Rescue(_) => {
                let orphans: Vec<_> = self.orphans().collect();
                for task in orphans {
                    self.tasks[task] = Task::Queued;
                }
            }
            Action::Exchange(me) => self.exchange(me),
            Action::Granted(me) => {
                let node = &mut self.nodes[me];
                node.limit = node.granted.take().unwrap_or(node.limit);
            }
            Action::Ask(me) => self.nodes[me].asking = true,
            Action::Claim(me) => self.claim(me),
            Action::Begin(me, run) => {
                self.nodes[me].claimed.remove(&run);
                self.nodes[me].runs.insert(run);
            }
            Action::Release(me, run) => {
                self.nodes[me].claimed.remove(&run);
                if self.is_current(run) {
                    self.tasks[run.task] = Task::Queued;
                }
            }
            Action::Record(me, run) => self.record(me, run, work.fenced),
            Action::Change => self.instances = work.instances.1,
        }
    }

    /// Everything that was accepted is queued, running or ended, and ended once.
    pub(in crate::model) fn nothing_is_lost_or_done_twice(&self) -> bool {
        let once = |(task, recorded): (&Task, &u32)| *recorded == u32::from(*task == Task::Ended);
        self.tasks.iter().zip(&self.recorded).all(once)
    }

    /// No slot is given out twice: all together never more than the larger of the old and new instances; nobody has
    /// more recorded as running than its slots, and nobody who is heard more in hand.
    pub(in crate::model) fn instances_are_exact(&self, work: &Work) -> bool {
        let most = self.instances.max(work.instances.0);
        let within = |node: usize| {
            let in_hand = match self.rows[node] {
                Row::Alive => self.nodes[node].held(),
                Row::Absent | Row::Dead => 0,
            };
            self.running_on(node).max(in_hand) <= self.slots[node]
        };
        self.slots.iter().sum::<u32>() <= most && (0..self.rows.len()).all(within)
    }

    /// What executes on nodes that cannot have been declared dead is within the instances.
    pub(in crate::model) fn executing(&self) -> u32 {
        let heard = self.nodes.iter().filter(|node| node.lease);
        u32::try_from(heard.map(|node| node.runs.len()).sum::<usize>()).unwrap()
    }
}
