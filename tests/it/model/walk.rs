//! A set of nodes on virtual time: minutes of faults in a moment, by the steps of [`super::work`], every one of which is
//! judged. What happens is decided by the seed, which a failure names.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::work::{Action, Row, Run, State, Task, Work};

/// A step of virtual time, in milliseconds.
const STEP_MS: u64 = 100;
/// Silence after which a node may be declared dead, and a third of it between heartbeats.
const TIMEOUT_MS: u64 = 3_000;
const BEAT_MS: u64 = TIMEOUT_MS / 3;
/// Starts in all; at most [`TOGETHER`] nodes live at one time.
const NODES: usize = 120;
const TOGETHER: usize = 3;
const INSTANCES: u32 = 8;
const FAULTS_MS: u64 = 3 * 60 * 1_000;
/// What is left undone after the last fault must be done by then.
const CALM_MS: u64 = 60 * 1_000;
const TASKS: usize = 40;

/// What a node does that is no state of the protocol: when it beats, and until when it stands still.
#[derive(Debug, Clone, Copy, Default)]
struct Machine {
    next_beat: u64,
    renewed: u64,
    still_until: u64,
    killed: bool,
}

struct Walk {
    work: Work,
    state: State,
    machines: Vec<Machine>,
    random: StdRng,
    now: u64,
    refused: usize,
    dead: usize,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let work = Work {
            nodes: NODES,
            tasks: TASKS,
            processes: u32::MAX,
            instances: (INSTANCES, INSTANCES),
            fenced: true,
        };
        Self {
            state: work.start(),
            machines: vec![Machine::default(); NODES],
            work,
            random: StdRng::seed_from_u64(seed),
            now: 0,
            refused: 0,
            dead: 0,
        }
    }

    fn apply(&mut self, action: Action) {
        if let Action::Record(_, run) = &action {
            self.refused += usize::from(!self.state.is_current(*run));
        }
        self.dead += usize::from(matches!(action, Action::Reap(..)));
        self.state.apply(&self.work, action);
    }

    /// Once in about so many milliseconds.
    fn once_in(&mut self, millis: u64) -> bool {
        self.random.random_range(0..millis) < STEP_MS
    }

    fn live(&self) -> Vec<usize> {
        (0..NODES)
            .filter(|node| self.state.nodes[*node].up && !self.machines[*node].killed)
            .collect()
    }

    fn step(&mut self, faults: bool) {
        self.now += STEP_MS;
        if self.live().len() < TOGETHER {
            self.start_one();
        }
        for me in 0..NODES {
            if self.state.rows[me] != Row::Absent {
                self.network(me);
                self.time(me);
            }
        }
        for me in self.live() {
            if faults && self.once_in(20_000) {
                self.machines[me].killed = true;
            }
            if faults && self.once_in(10_000) {
                self.machines[me].still_until = self.now + self.random.random_range(100..10_000);
            }
            if !self.machines[me].killed && self.machines[me].still_until < self.now {
                self.act(me);
            }
        }
        if faults && self.once_in(5_000) {
            self.add_tasks();
        }
    }

    fn start_one(&mut self) {
        if let Some(free) = self.state.rows.iter().position(|row| *row == Row::Absent) {
            self.apply(Action::Start(free));
            self.machines[free] = Machine {
                next_beat: self.now,
                renewed: self.now,
                ..Machine::default()
            };
        }
    }

    /// Ended tasks make room for new ones, so that there is always work.
    fn add_tasks(&mut self) {
        for task in 0..TASKS {
            if self.state.tasks[task] == Task::Ended && self.state.nobody_has(task) {
                self.state.tasks[task] = Task::Queued;
                self.state.recorded[task] = 0;
            }
        }
    }

    /// What is on its way arrives within a second or so, also that of the dead.
    fn network(&mut self, me: usize) {
        if self.state.nodes[me].asking && self.once_in(300) {
            self.apply(Action::Claim(me));
        }
        let still = self.machines[me].killed || self.machines[me].still_until >= self.now;
        let runs: Vec<Run> = self.state.nodes[me].runs.iter().copied().collect();
        for run in runs {
            // One that was sent before its node stood still.
            if self.once_in(if still { 8_000 } else { 700 }) {
                self.apply(Action::Record(me, run));
            }
        }
    }

    fn time(&mut self, me: usize) {
        if self.state.nodes[me].lease && self.now - self.machines[me].renewed >= TIMEOUT_MS {
            self.apply(Action::Lapse(me));
        }
    }

    fn act(&mut self, me: usize) {
        if self.machines[me].next_beat <= self.now {
            self.machines[me] = Machine {
                next_beat: self.now + BEAT_MS,
                renewed: self.now,
                ..self.machines[me]
            };
            self.apply(Action::Beat(me));
            self.reap(me);
        }
        if !self.state.nodes[me].up {
            return;
        }
        if self.state.nodes[me].granted.is_some() {
            self.apply(Action::Granted(me));
        } else if self.once_in(500) {
            self.apply(Action::Exchange(me));
        }
        let node = &self.state.nodes[me];
        let (lease, claimed) = (node.lease, node.claimed.clone());
        for run in claimed {
            self.apply(match lease {
                true => Action::Begin(me, run),
                false => Action::Release(me, run),
            });
        }
        let node = &self.state.nodes[me];
        if lease && !node.asking && node.held() < node.limit {
            self.apply(Action::Ask(me));
        }
    }

    fn reap(&mut self, me: usize) {
        if !self.state.nodes[me].up {
            return;
        }
        for other in 0..NODES {
            if other != me && self.state.rows[other] == Row::Alive && !self.state.nodes[other].lease
            {
                self.apply(Action::Reap(me, other));
            }
        }
        self.apply(Action::Rescue(me));
    }

    fn judge(&self, seed: u64) {
        let (state, now) = (&self.state, self.now);
        assert!(
            state.nothing_is_lost_or_done_twice() && !state.stale,
            "seed {seed}, {now} ms: {state:?}"
        );
        assert!(
            state.instances_are_exact(&self.work),
            "seed {seed}, {now} ms: {state:?}"
        );
        assert!(
            state.executing() <= INSTANCES,
            "seed {seed}, {now} ms: {state:?}"
        );
    }
}

#[test]
fn minutes_of_faults_costs_nothing_accepted() {
    let (mut refused, mut dead) = (0, 0);
    for seed in 1..=10 {
        let mut walk = Walk::new(seed);
        while walk.now < FAULTS_MS {
            walk.step(true);
            walk.judge(seed);
        }
        while walk.now < FAULTS_MS + CALM_MS {
            walk.step(false);
            walk.judge(seed);
        }
        assert!(
            walk.state.tasks.iter().all(|task| *task == Task::Ended),
            "seed {seed}: not all ended"
        );
        (refused, dead) = (refused + walk.refused, dead + walk.dead);
    }
    assert!(
        refused > 0 && dead > 0,
        "nothing happened: {refused} refused, {dead} dead"
    );
}
