//! Claim, lease, fence, rescue, and the shares of one robot's instances.
//!
//! A request to the database and the effect of its answer are two steps, between which the node may be declared dead.
//! One that is killed, stopped or cut off is one that takes no more steps, for a while or for ever. A lease ends for its
//! node no later than for others, because it counts from when the heartbeat was sent: a node without [`Node::lease`] may
//! be declared dead at any moment, one with it may not.

mod state;

use stateright::{Model, Property};

use state::Node;
pub(super) use state::{Row, Run, State, Task};

/// How large the model is.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// Nodes that may ever start; a node that comes back is another one.
    pub(super) nodes: usize,
    pub(super) tasks: usize,
    /// Processes that may ever be claimed.
    pub(super) processes: u32,
    /// The instances at first, and what they are changed to.
    pub(super) instances: (u32, u32),
    /// The fence of results, which one test takes away.
    pub(super) fenced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// A node starts.
    Start(usize),
    /// Its heartbeat is taken, or tells it that it was declared dead.
    Beat(usize),
    /// Its lease runs out, as far as it knows.
    Lapse(usize),
    /// It finds a silent one and declares it dead.
    Reap(usize, usize),
    /// It offers again what the dead had in hand.
    Rescue(usize),
    /// It exchanges its share.
    Exchange(usize),
    /// It hears what it was granted.
    Granted(usize),
    /// It asks for a task.
    Ask(usize),
    /// Its claim is carried out.
    Claim(usize),
    /// It begins what it claimed.
    Begin(usize, Run),
    /// It gives back what it may not begin.
    Release(usize, Run),
    /// The result of a run is recorded, where the fence lets it through.
    Record(usize, Run),
    /// Somebody changes the robot's instances.
    Change,
}

impl Work {
    pub(super) fn start(&self) -> State {
        State {
            tasks: vec![Task::Queued; self.tasks],
            rows: vec![Row::Absent; self.nodes],
            slots: vec![0; self.nodes],
            instances: self.instances.0,
            nodes: vec![Node::default(); self.nodes],
            processes: 0,
            recorded: vec![0; self.tasks],
            stale: false,
        }
    }

    /// What one node may do.
    fn actions_of(&self, state: &State, me: usize, actions: &mut Vec<Action>) {
        let node = &state.nodes[me];
        if state.rows[me] == Row::Absent {
            // One after the other, so that their order makes no difference.
            if me == 0 || state.rows[me - 1] != Row::Absent {
                actions.push(Action::Start(me));
            }
            return;
        }
        // What was sent arrives, whatever became of the sender.
        if node.asking && state.processes < self.processes {
            actions.push(Action::Claim(me));
        }
        actions.extend(node.runs.iter().map(|run| Action::Record(me, *run)));
        if node.lease {
            actions.push(Action::Lapse(me));
        }
        if !node.up {
            return;
        }
        actions.push(Action::Beat(me));
        let silent = |other: &usize| {
            *other != me && state.rows[*other] == Row::Alive && !state.nodes[*other].lease
        };
        let silent = (0..self.nodes).filter(silent);
        actions.extend(silent.map(|other| Action::Reap(me, other)));
        if state.orphans().next().is_some() {
            actions.push(Action::Rescue(me));
        }
        match node.granted {
            Some(_) => actions.push(Action::Granted(me)),
            None => actions.push(Action::Exchange(me)),
        }
        if node.lease && !node.asking && node.held() < node.limit {
            actions.push(Action::Ask(me));
        }
        for run in &node.claimed {
            actions.push(match node.lease {
                true => Action::Begin(me, *run),
                false => Action::Release(me, *run),
            });
        }
    }
}

impl Model for Work {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for me in 0..self.nodes {
            self.actions_of(state, me, actions);
        }
        if state.instances != self.instances.1 {
            actions.push(Action::Change);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        next.apply(self, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "nothing is lost, nothing is recorded twice",
                |_, state: &State| state.nothing_is_lost_or_done_twice(),
            ),
            Property::always("no stale result is accepted", |_, state: &State| {
                !state.stale
            }),
            Property::always("instances are exact", |work: &Self, state: &State| {
                state.instances_are_exact(work)
            }),
            Property::always(
                "no more execute than there are instances",
                |work: &Self, state: &State| {
                    state.executing() <= work.instances.0.max(work.instances.1)
                },
            ),
            Property::sometimes("all ends", |_, state: &State| {
                state.tasks.iter().all(|task| *task == Task::Ended)
            }),
            Property::sometimes("a result comes too late", |_, state: &State| {
                let late = |node: &Node| node.runs.iter().any(|run| !state.is_current(*run));
                state.nodes.iter().any(late)
            }),
        ]
    }
}

const SMALL: Work = Work {
    nodes: 2,
    tasks: 2,
    processes: 3,
    instances: (1, 1),
    fenced: true,
};

#[test]
fn two_nodes_that_share_one_instance_lose_nothing_and_do_nothing_twice() {
    super::search(SMALL);
}

#[test]
fn instances_are_exact_while_they_are_changed() {
    for instances in [(2, 1), (1, 2)] {
        super::search(Work {
            instances,
            processes: 2,
            ..SMALL
        });
    }
}

#[test]
fn a_third_node_takes_over_what_two_dead_ones_left() {
    super::search(Work {
        nodes: 3,
        tasks: 1,
        ..SMALL
    });
}

#[test]
#[should_panic(expected = "nothing is recorded twice")]
fn without_the_fence_a_result_of_a_dead_node_would_be_taken() {
    super::search(Work {
        fenced: false,
        ..SMALL
    });
}
