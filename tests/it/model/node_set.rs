//! A set of nodes on virtual time, by the product's own code: its statements (on SQLite), and its decisions about leases,
//! shares, ticks and what follows from a run. Only the loop that calls them is the test's, and the seed decides in which
//! order, who is killed or stands still, and which answers are lost. The same seed is the same run.

mod member;

use std::collections::HashMap;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use robotd::domain::id::{RobotId, TaskId};
use robotd::domain::task::TaskStatus;
use robotd::domain::time::{Timestamp, from_micros, to_micros};
use robotd::store::tick::TickFilter;

use super::super::store::make::{first, task};
use crate::support::database::Database;
use crate::support::is_full;
use member::Member;

/// A step of virtual time, in milliseconds.
const STEP: u64 = 100;
/// Nodes that work at one time.
const TOGETHER: usize = 3;
const INSTANCES: u32 = 6;
/// Tasks that are registered in one go, once a second or so.
const BATCH: usize = 3;

/// The world outside of the nodes.
struct World {
    database: Database,
    /// The robot whose tasks are worked off, and the one that has a tick each second.
    work: RobotId,
    beat: RobotId,
    began: Timestamp,
    /// Milliseconds since it began.
    now: u64,
    random: StdRng,
    /// Whether anything goes wrong.
    faults: bool,
    accepted: Vec<TaskId>,
    /// Results that were taken, by task.
    recorded: HashMap<TaskId, u32>,
    told: Told,
}

/// What happened, so that a run in which nothing did is seen.
#[derive(Debug, Default)]
struct Told {
    killed: u32,
    fenced: u32,
    refused: u32,
    rescued: u32,
    terms: u32,
}

impl World {
    async fn new(seed: u64) -> Self {
        let database = Database::sqlite().await;
        let began = from_micros(1_800_000_000_000_000);
        let names = ["test.work", "test.beat"].map(|name| (name.to_owned(), began));
        let robots = database.store.robot_register(names.to_vec()).await.unwrap();
        Self {
            work: robots[0].id,
            beat: robots[1].id,
            database,
            began,
            now: 0,
            random: StdRng::seed_from_u64(seed),
            faults: true,
            accepted: Vec::new(),
            recorded: HashMap::new(),
            told: Told::default(),
        }
    }

    /// What the database's clock says.
    fn clock(&self) -> Timestamp {
        self.began + TimeDelta::milliseconds(i64::try_from(self.now).unwrap())
    }

    /// Once in about so many milliseconds, as long as anything goes wrong.
    fn strikes(&mut self, millis: u64) -> bool {
        self.random.random_range(0..millis) < STEP && self.faults
    }

    /// Whether the answer to what was just done never arrives.
    fn is_unheard(&mut self) -> bool {
        self.random.random_bool(0.02) && self.faults
    }

    async fn register(&mut self) {
        if self.strikes(1_000) {
            let tasks = vec![task(self.work); BATCH];
            let added = self.database.store.task_add(tasks, self.clock()).await;
            self.accepted
                .extend(added.unwrap().iter().map(|task| task.id));
        }
    }

    /// What must hold at every moment.
    async fn judge(&self, seed: u64) {
        let of = async |select: &str| self.database.number(select).await;
        let work = self.work;
        let running = of(&format!(
            "SELECT count(*) FROM tasks WHERE status = 2 AND robot_id = {work}"
        ))
        .await;
        let slots = of(&format!(
            "SELECT COALESCE(sum(slots), 0) FROM shares WHERE robot_id = {work}"
        ))
        .await;
        let most = i64::from(INSTANCES);
        assert!(
            running <= most && slots <= most,
            "seed {seed}, {} ms: {running} run, {slots} slots",
            self.now
        );
    }

    /// What must hold in the end: everything accepted has ended, once, and every second was decided, once.
    async fn judge_end(&self, seed: u64) {
        let store = &self.database.store;
        for id in &self.accepted {
            let task = store.task_get(*id).await.unwrap().expect("it is lost");
            let times = self.recorded.get(id).copied().unwrap_or_default();
            match task.status {
                TaskStatus::Succeeded => assert_eq!(times, 1, "seed {seed}: task {id}"),
                TaskStatus::Quarantined | TaskStatus::Failed => {
                    assert_eq!(times, 0, "seed {seed}: task {id}");
                }
                other => panic!("seed {seed}: task {id} is {other:?}"),
            }
        }
        let filter = TickFilter {
            robots: vec![self.beat],
            ..TickFilter::default()
        };
        let mut ticks = store.tick_list(filter, first(500)).await.unwrap().items;
        assert!(ticks.len() < 500, "seed {seed}: more than one page");
        ticks.sort_unstable_by_key(|tick| tick.planned_at);
        let second = |at: Timestamp| to_micros(at) / 1_000_000;
        let mut next = second(ticks[0].planned_at);
        for tick in ticks {
            assert_eq!(second(tick.planned_at), next, "seed {seed}: {tick:?}");
            next = second(tick.through.unwrap_or(tick.planned_at)) + 1;
        }
    }

    async fn is_over(&self) -> bool {
        // What has ended is kept elsewhere.
        let open = format!("SELECT count(*) FROM tasks WHERE robot_id = {}", self.work);
        self.database.number(&open).await == 0
    }
}

/// One run: faults for a while, then calm until all has ended.
async fn run(seed: u64, faults_ms: u64) -> Told {
    let mut world = World::new(seed).await;
    let mut members: Vec<Member> = Vec::new();
    loop {
        world.now += STEP;
        world.faults = world.now < faults_ms;
        world.register().await;
        while members.len() < TOGETHER {
            members.push(Member::start(&world).await);
        }
        members.shuffle(&mut world.random);
        let mut living = Vec::new();
        for mut member in members {
            if world.strikes(15_000) {
                world.told.killed += 1;
            } else if member.step(&mut world).await {
                living.push(member);
            }
        }
        members = living;
        world.judge(seed).await;
        if !world.faults && world.now.is_multiple_of(1_000) && world.is_over().await {
            break;
        }
        assert!(
            world.now < faults_ms + 120_000,
            "seed {seed}: the work does not end"
        );
    }
    world.judge_end(seed).await;
    world.told
}

#[tokio::test]
async fn a_node_set_that_is_broken_loses_nothing_and_does_nothing_twice() {
    let (seeds, faults_ms) = if is_full() {
        (1..=50, 180_000)
    } else {
        (1..=3, 25_000)
    };
    let mut all = Told::default();
    for seed in seeds {
        let told = run(seed, faults_ms).await;
        println!("seed {seed}: {told:?}");
        all.killed += told.killed;
        all.fenced += told.fenced;
        all.refused += told.refused;
        all.rescued += told.rescued;
        all.terms += told.terms;
    }
    let happened = [all.killed, all.fenced, all.refused, all.rescued, all.terms];
    assert!(happened.iter().all(|count| *count > 0), "{all:?}");
}
