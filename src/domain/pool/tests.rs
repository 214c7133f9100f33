//! Random walks over a pool, and the paths that matter by name.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::breaker::backoff;
use super::*;

/// A world around the pool that behaves as workers do, at random.
struct World {
    pool: PoolState,
    now: Duration,
    /// Living workers and what they run.
    workers: HashMap<(SlotId, Generation), Option<ProcessId>>,
    submitted: i64,
    outcomes: HashMap<ProcessId, &'static str>,
    instances: u32,
    running_max: u32,
}

#[derive(Debug, Clone)]
enum Step {
    Submit,
    Finish(usize),
    Panic(usize),
    WorkerFails(usize),
    Stuck(usize),
    ZombieGone,
    Resize(u32),
    Cancel(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Submit),
        6 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Panic),
        1 => any::<usize>().prop_map(Step::WorkerFails),
        1 => any::<usize>().prop_map(Step::Stuck),
        1 => Just(Step::ZombieGone),
        1 => (0u32..9).prop_map(Step::Resize),
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => (1u64..200_000).prop_map(Step::Pass),
    ]
}

impl World {
    fn new(instances: u32) -> Self {
        let mut world = Self {
            pool: PoolState::new(),
            now: Duration::ZERO,
            workers: HashMap::new(),
            submitted: 0,
            outcomes: HashMap::new(),
            instances,
            running_max: instances,
        };
        world.send(PoolEvent::Resize(instances));
        world
    }

    fn send(&mut self, event: PoolEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.pool.on(event, self.now) {
                self.carry_out(effect, &mut events);
            }
            let running = self.pool.figures().running;
            assert!(
                running <= self.running_max,
                "{running} run, {} may",
                self.running_max
            );
        }
    }

    fn carry_out(&mut self, effect: PoolEffect, events: &mut VecDeque<PoolEvent>) {
        match effect {
            PoolEffect::Start(slot, generation) => {
                assert!(
                    self.workers.keys().all(|(s, _)| *s != slot),
                    "slot {slot} is taken"
                );
                self.workers.insert((slot, generation), None);
                events.push_back(PoolEvent::Ready(slot, generation));
            }
            PoolEffect::Run(slot, generation, process) => {
                let worker = self
                    .workers
                    .get_mut(&(slot, generation))
                    .expect("a living worker");
                assert_eq!(*worker, None, "only an idle worker is given work");
                *worker = Some(process);
            }
            PoolEffect::EndRun(slot, generation, process, _) => {
                let worker = self
                    .workers
                    .get_mut(&(slot, generation))
                    .expect("a living worker");
                assert_eq!(worker.take(), Some(process));
                self.outcome(process, "ended");
                events.push_back(PoolEvent::Ended(slot, generation));
            }
            PoolEffect::Stop(slot, generation) => {
                let work = self
                    .workers
                    .remove(&(slot, generation))
                    .expect("a living worker");
                assert_eq!(work, None, "a busy worker is never stopped");
                events.push_back(PoolEvent::Down(slot, generation, Death::Stopped, 0.5));
            }
            PoolEffect::Lose(process) => self.outcome(process, "lost"),
            PoolEffect::Return(process) => self.outcome(process, "returned"),
        }
    }

    fn outcome(&mut self, process: ProcessId, word: &'static str) {
        assert_eq!(
            self.outcomes.insert(process, word),
            None,
            "{process} has two outcomes"
        );
    }

    fn busy_worker(&self, pick: usize) -> Option<(SlotId, Generation, ProcessId)> {
        let mut busy: Vec<_> = self
            .workers
            .iter()
            .filter_map(|(k, w)| w.map(|p| (k.0, k.1, p)))
            .collect();
        busy.sort_unstable();
        (!busy.is_empty()).then(|| busy[pick % busy.len()])
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Submit => {
                self.submitted += 1;
                self.send(PoolEvent::Submit(ProcessId(self.submitted)));
            }
            Step::Resize(instances) => {
                self.instances = instances;
                // Runs that started under a larger number may finish.
                self.running_max = self.pool.figures().running.max(instances);
                self.send(PoolEvent::Resize(instances));
            }
            Step::ZombieGone => self.send(PoolEvent::ZombieGone),
            Step::Pass(millis) => {
                self.now += Duration::from_millis(millis);
                self.send(PoolEvent::Wake);
            }
            Step::Finish(pick)
            | Step::Panic(pick)
            | Step::WorkerFails(pick)
            | Step::Stuck(pick)
            | Step::Cancel(pick) => {
                let Some((slot, generation, process)) = self.busy_worker(pick) else {
                    return;
                };
                self.end_worker(step, slot, generation, process);
            }
        }
        self.running_max = self.pool.figures().running.max(self.instances);
    }

    fn end_worker(
        &mut self,
        step: &Step,
        slot: SlotId,
        generation: Generation,
        process: ProcessId,
    ) {
        let key = (slot, generation);
        match step {
            Step::Panic(_) => {
                self.outcome(process, "panicked");
                self.workers.remove(&key);
                self.send(PoolEvent::Down(slot, generation, Death::RobotPanicked, 0.3));
            }
            Step::WorkerFails(_) => {
                self.workers.remove(&key);
                self.send(PoolEvent::Down(slot, generation, Death::WorkerFailed, 0.7));
            }
            Step::Stuck(_) => {
                self.outcome(process, "timed out");
                self.workers.insert(key, None);
                self.send(PoolEvent::Stuck(slot, generation));
            }
            Step::Cancel(_) => self.send(PoolEvent::End(process, EndReason::Cancelled)),
            _ => {
                self.outcome(process, "ok");
                self.workers.insert(key, None);
                self.send(PoolEvent::Ended(slot, generation));
            }
        }
    }
}

proptest! {
    /// However workers behave and however the pool is resized: every submitted process gets exactly one
    /// outcome, no more run than may, only idle workers get work, only idle ones are stopped, and after a
    /// drain nothing is left.
    #[test]
    fn every_process_has_exactly_one_outcome(
        instances in 0u32..6,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new(instances);
        for step in &steps {
            world.take(step);
        }
        world.send(PoolEvent::Drain);
        while let Some((slot, generation, process)) = world.busy_worker(0) {
            world.end_worker(&Step::Finish(0), slot, generation, process);
        }
        prop_assert_eq!(world.outcomes.len(), usize::try_from(world.submitted).unwrap());
        prop_assert!(world.workers.is_empty(), "workers left: {:?}", world.workers);
        prop_assert_eq!(world.pool.room(), 0);
    }

    /// A claim of no more than `room` starts at once when the workers are up.
    #[test]
    fn room_is_what_can_start(instances in 1u32..9, steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new(instances);
        for step in &steps {
            world.take(step);
        }
        let before = world.pool.figures().running;
        let room = world.pool.room();
        for _ in 0..room {
            world.take(&Step::Submit);
        }
        prop_assert_eq!(world.pool.figures().running, before + room);
        prop_assert_eq!(world.pool.room(), 0);
    }

    /// Whatever happened, a pool that is left in peace comes back to the number it was set to.
    #[test]
    fn a_pool_left_in_peace_recovers(instances in 1u32..6, steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new(instances);
        for step in &steps {
            world.take(step);
        }
        world.take(&Step::Resize(instances));
        for _ in 0..ZOMBIES_MAX {
            world.take(&Step::ZombieGone);
        }
        for _ in 0..100 {
            while let Some((slot, generation, process)) = world.busy_worker(0) {
                world.end_worker(&Step::Finish(0), slot, generation, process);
            }
            // A probe needs something to try.
            world.take(&Step::Submit);
            world.take(&Step::Pass(3_600_000));
            for _ in 0..ZOMBIES_MAX {
                world.take(&Step::ZombieGone);
            }
        }
        while let Some((slot, generation, process)) = world.busy_worker(0) {
            world.end_worker(&Step::Finish(0), slot, generation, process);
        }
        prop_assert_eq!(world.pool.room(), instances);
    }
}

fn crash(world: &mut World) {
    world.take(&Step::Submit);
    world.take(&Step::Panic(0));
}

#[test]
fn five_crashes_in_a_row_quarantine_the_robot_and_a_good_probe_frees_it() {
    let mut world = World::new(1);
    for _ in 0..CRASHES_IN_A_ROW_MAX {
        assert!(!world.pool.figures().quarantined);
        crash(&mut world);
        world.take(&Step::Pass(31_000));
    }
    assert!(world.pool.figures().quarantined);
    assert_eq!(world.pool.room(), 0, "nothing is claimed in quarantine");
    world.take(&Step::Pass(120_000));
    assert_eq!(world.pool.room(), 1, "one worker probes");
    world.take(&Step::Submit);
    world.take(&Step::Finish(0));
    assert!(!world.pool.figures().quarantined);
}

#[test]
fn a_failed_probe_doubles_the_quarantine() {
    let mut world = World::new(4);
    for _ in 0..CRASHES_IN_A_ROW_MAX {
        crash(&mut world);
        world.take(&Step::Pass(31_000));
    }
    world.take(&Step::Pass(120_000));
    crash(&mut world);
    let until = world
        .pool
        .figures()
        .quarantined_until
        .expect("quarantined again");
    assert_eq!(until, world.now + QUARANTINE_BASE * 2);
}

#[test]
fn a_slow_drip_of_crashes_between_successes_is_no_crash_loop() {
    let mut world = World::new(2);
    for _ in 0..50 {
        crash(&mut world);
        world.take(&Step::Submit);
        world.take(&Step::Finish(0));
        world.take(&Step::Pass(61_000));
    }
    assert!(!world.pool.figures().quarantined);
    assert_eq!(world.pool.figures().restarts, 50);
}

#[test]
fn growing_again_keeps_the_busy_workers() {
    let mut world = World::new(8);
    for _ in 0..8 {
        world.take(&Step::Submit);
    }
    world.take(&Step::Resize(1));
    assert_eq!(world.pool.figures().running, 8, "what runs finishes");
    let before: HashSet<_> = world.workers.keys().copied().collect();
    world.take(&Step::Resize(8));
    assert_eq!(
        before,
        world.workers.keys().copied().collect(),
        "no worker was replaced"
    );
    world.take(&Step::Resize(1));
    for _ in 0..8 {
        world.take(&Step::Finish(0));
    }
    assert_eq!(world.workers.len(), 1);
}

#[test]
fn too_many_zombies_stop_the_pool_until_they_end() {
    let mut world = World::new(4);
    for _ in 0..ZOMBIES_MAX {
        world.take(&Step::Submit);
        world.take(&Step::Stuck(0));
    }
    assert_eq!(world.pool.room(), 0);
    world.take(&Step::ZombieGone);
    assert_eq!(world.pool.room(), 4);
}

#[test]
fn backoff_grows_and_is_bounded() {
    assert_eq!(backoff(BACKOFF_BASE, 1, 0.5), BACKOFF_BASE);
    assert_eq!(backoff(BACKOFF_BASE, 2, 0.5), BACKOFF_BASE * 2);
    assert!(backoff(BACKOFF_BASE, u32::MAX, 1.0) <= BACKOFF_MAX.mul_f64(1.2));
}

#[test]
fn a_pool_of_thousands_starts_workers_only_for_work() {
    let mut pool = PoolState::new();
    assert_eq!(pool.on(PoolEvent::Resize(10_000), Duration::ZERO), []);
    assert_eq!(pool.room(), 10_000);
    let started = pool.on(PoolEvent::Submit(ProcessId(1)), Duration::ZERO);
    assert_eq!(started, [PoolEffect::Start(0, 1)]);
    let run = pool.on(PoolEvent::Ready(0, 1), Duration::ZERO);
    assert_eq!(run, [PoolEffect::Run(0, 1, ProcessId(1))]);
    assert_eq!(pool.room(), 9_999);
}
