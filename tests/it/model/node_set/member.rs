//! One node of the set: what it has in memory, and what it does in a moment of virtual time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use robotd::domain::id::NodeId;
use robotd::domain::lease::{Witness, lease, period};
use robotd::domain::retry::RetryPolicy;
use robotd::domain::schedule::Schedule;
use robotd::domain::task::{Attempted, RunEnd, Trigger, after_run};
use robotd::domain::tick::{
    CatchUp, Decision, Overlap, Standing, TickDecision, TickPlan, decide, next_wake,
};
use robotd::domain::time::Timestamp;
use robotd::store::StoreError;
use robotd::store::node::{Beat, Term};
use robotd::store::share::ShareClaim;
use robotd::store::task::{Claimed, Completion, NewTask};
use robotd::store::tick::NewTick;
use serde_json::json;

use super::{INSTANCES, World};
use crate::store::make::task;

/// Within how long a dead node is missed: the shortest there is.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Orphans and due tasks taken at one time.
const MANY: u32 = 100;

/// Soon, so that all attempts are made within the run.
const RETRY: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(2),
    ..RetryPolicy::DEFAULT
};

/// A node that has not been killed.
pub(super) struct Member {
    id: NodeId,
    /// It stands still until then: nothing of it happens, and its memory grows old.
    still_until: u64,
    next_beat: u64,
    /// When the last heartbeat was sent that was answered.
    sent: u64,
    witness: Witness,
    term: Option<Term>,
    /// How many tasks it may have in hand.
    limit: u32,
    /// What it has in hand, and when each ends.
    runs: Vec<(Claimed, u64)>,
    /// The last instant that it knows to be decided.
    decided: Option<Timestamp>,
    /// Whether there may be runs of dead nodes.
    rescues: bool,
}

impl Member {
    pub(super) async fn start(world: &World) -> Self {
        let store = &world.database.store;
        let id = store.node_start("one", "0.1.0", 1, world.clock()).await;
        Self {
            id: id.unwrap(),
            still_until: 0,
            next_beat: world.now,
            sent: world.now,
            witness: Witness::new(TIMEOUT),
            term: None,
            limit: 0,
            runs: Vec::new(),
            decided: None,
            rescues: true,
        }
    }

    /// Does what there is to do, in any order, until it stands still; answers whether it goes on.
    pub(super) async fn step(&mut self, world: &mut World) -> bool {
        if world.now < self.still_until {
            return true;
        }
        let mut parts = [0, 1, 2, 3, 4, 5];
        parts.shuffle(&mut world.random);
        for part in parts {
            // In the midst of it: the rest is done by who it was, later.
            if world.strikes(30_000) {
                self.still_until = world.now + world.random.random_range(100..8_000);
                return true;
            }
            match part {
                0 if self.next_beat <= world.now && !self.beat(world).await => {
                    world.told.fenced += 1;
                    return false;
                }
                1 if self.rescues => self.rescue(world).await,
                2 if world.random.random_bool(0.2) => self.share(world).await,
                3 => self.claim(world).await,
                4 => self.finish(world).await,
                5 => self.tick(world).await,
                _ => {}
            }
        }
        true
    }

    async fn beat(&mut self, world: &mut World) -> bool {
        let since_start = Duration::from_millis(world.now);
        let lease = TimeDelta::from_std(lease(TIMEOUT)).unwrap();
        let accuses = self.witness.may_accuse(since_start);
        let beat = Beat {
            at: world.clock(),
            silent_since: if accuses {
                world.clock() - lease
            } else {
                DateTime::UNIX_EPOCH
            },
            clock_offset: 0,
        };
        let heard = world.database.store.node_beat(self.id, beat).await;
        if world.is_unheard() {
            return true;
        }
        let Some(heard) = heard.unwrap() else {
            return false;
        };
        self.witness.heard(since_start);
        self.sent = world.now;
        self.next_beat = world.now + u64::try_from(period(TIMEOUT).as_millis()).unwrap();
        self.rescues |= !heard.dead.is_empty();
        if heard.term != self.term {
            world.told.terms += u32::from(heard.term.is_some());
            self.term = heard.term;
            self.decided = self.last_tick(world).await;
        }
        true
    }

    /// Whether others cannot have declared it dead.
    fn has_lease(&self, world: &World) -> bool {
        Duration::from_millis(world.now - self.sent) < lease(TIMEOUT)
    }

    async fn last_tick(&self, world: &World) -> Option<Timestamp> {
        let robots = world.database.store.robot_list().await.unwrap();
        let beat = robots.into_iter().find(|robot| robot.id == world.beat);
        beat.and_then(|robot| robot.last_tick_at)
    }

    async fn rescue(&mut self, world: &mut World) {
        let orphans = world.database.store.task_orphans(MANY).await.unwrap();
        world.told.rescued += u32::try_from(orphans.len()).unwrap();
        let mut lost = Vec::new();
        for run in &orphans {
            lost.push(completion(run, RunEnd::Lost, world));
        }
        world.database.store.task_complete(lost).await.unwrap();
        self.rescues = false;
    }

    async fn share(&mut self, world: &mut World) {
        let held = u32::try_from(self.runs.len()).unwrap();
        let claim = ShareClaim {
            robot: world.work,
            revision: 1,
            instances: INSTANCES,
            busy: self.limit.max(held),
        };
        let exchanged = world.database.store.share_exchange(self.id, vec![claim]);
        let exchanged = exchanged.await.unwrap();
        if world.is_unheard() {
            return;
        }
        if let Some(shares) = exchanged {
            self.limit = shares[0].slots.min(shares[0].target);
        }
    }

    async fn claim(&mut self, world: &mut World) {
        let store = world.database.store.clone();
        if world.random.random_bool(0.2) {
            store.task_promote(world.clock(), MANY).await.unwrap();
        }
        let held = u32::try_from(self.runs.len()).unwrap();
        if !self.has_lease(world) || held >= self.limit {
            return;
        }
        let demands = vec![(world.work, self.limit - held), (world.beat, 1)];
        match store.task_claim(self.id, demands, world.clock()).await {
            Ok(claimed) => {
                for run in claimed {
                    let ends = world.now + world.random.random_range(50..2_000);
                    self.runs.push((run, ends));
                }
            }
            // Declared dead: the next heartbeat says so.
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn finish(&mut self, world: &mut World) {
        let ended = |(_, ends): &mut (Claimed, u64)| *ends <= world.now;
        let ended: Vec<_> = self.runs.extract_if(.., ended).collect();
        for (run, _) in ended {
            let end = if world.random.random_bool(0.85) {
                RunEnd::Succeeded
            } else {
                RunEnd::FailedTemporarily
            };
            let completion = completion(&run, end.clone(), world);
            let store = world.database.store.clone();
            let mut taken = store.task_complete(vec![completion.clone()]).await.unwrap();
            if world.is_unheard() {
                // It is said again, and was done before.
                let again = store.task_complete(vec![completion]).await.unwrap();
                assert_eq!(again, [false]);
                taken = vec![taken[0] || again[0]];
            }
            world.told.refused += u32::from(!taken[0]);
            if taken[0] && end == RunEnd::Succeeded && run.robot == world.work {
                *world.recorded.entry(run.task).or_default() += 1;
            }
        }
    }

    async fn tick(&mut self, world: &mut World) {
        let Some(term) = self.term else { return };
        let schedule = Schedule::Every {
            interval: Duration::from_secs(1),
        };
        let plan = TickPlan {
            schedule: &schedule,
            anchor: world.began,
            window: None,
            overlap: Overlap::Allow,
            catch_up: CatchUp::Last,
        };
        let now = world.clock();
        if next_wake(&plan, self.decided, now).is_none_or(|at| at > now) {
            return;
        }
        let standing = Standing {
            enabled: true,
            paused: false,
            open_runs: 0,
            waiting_runs: 0,
        };
        let decisions = decide(&plan, self.decided, now, &standing);
        let latest = decisions.iter().map(TickDecision::last).max();
        let ticks = decisions.into_iter().map(|tick| new_tick(tick, world));
        let ticks: Vec<_> = ticks.collect();
        if ticks.is_empty() {
            return;
        }
        let recorded = world.database.store.tick_record(self.id, term, ticks, now);
        let recorded = recorded.await.unwrap();
        if recorded.is_none() {
            self.term = None;
        } else if world.is_unheard() {
            self.decided = self.last_tick(world).await;
        } else {
            self.decided = latest;
        }
    }
}

fn completion(run: &Claimed, end: RunEnd, world: &mut World) -> Completion {
    let attempted = Attempted {
        attempt: run.attempt,
        max_attempts: run.max_attempts,
        deaths: run.deaths,
        deadline: run.deadline,
    };
    let jitter = world.random.random();
    Completion {
        task: run.task,
        process: run.process,
        outcome: end.outcome(),
        error_class: None,
        error: None,
        counters: json!({}),
        finished_at: world.clock(),
        after: after_run(attempted, &end, &RETRY, world.clock(), jitter),
    }
}

fn new_tick(tick: TickDecision, world: &World) -> NewTick {
    let starts = matches!(tick.decision, Decision::Fired | Decision::CaughtUp);
    NewTick {
        robot: world.beat,
        planned_at: tick.planned_at,
        through: tick.through,
        count: i64::try_from(tick.count).unwrap(),
        decision: tick.decision,
        task: starts.then(|| NewTask {
            trigger: Trigger::Tick,
            planned_at: Some(tick.planned_at),
            ..task(world.beat)
        }),
        for_node: None,
    }
}
