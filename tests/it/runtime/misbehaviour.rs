//! Promise 5, 6 and 8: a panic, a hang or an endless loop takes down one run and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::id::TaskId;
use robotd::domain::retry::RetryPolicy;
use robotd::domain::robot::Sharding;
use robotd::domain::task::{DEATHS_MAX, ProcessOutcome, TaskStatus};
use robotd::domain::tick::Decision;
use robotd::robot::spec::Wakes;
use robotd::robot::{Outcome, RobotError, RobotSpec};
use robotd::store::page::PageRequest;
use robotd::store::task::Task;
use robotd::store::tick::TickFilter;

use super::rig::{LIMIT, Made, POLL, Rig, with_robots};

const fn spec(name: &'static str) -> RobotSpec {
    RobotSpec {
        name,
        title: "Test",
        summary: "Made for a test",
        timeout: Duration::from_millis(600),
        sharding: Sharding::Sharded,
        ..RobotSpec::DEFAULT
    }
}

/// The bystander: ticks every second, whatever its neighbours do.
fn bystander() -> Made {
    let spec = RobotSpec {
        wakes: Wakes::Every(Duration::from_secs(1)),
        ..spec("custom.bystander")
    };
    Made(spec, |_| Box::pin(async { Ok(Outcome::done()) }))
}

/// The bystander's ticks go on being fired: there are some, and one that was planned after this began. How late each is depends
/// on what else the machine does; `robotd bench ticks` has the figures.
async fn bystander_goes_on(rig: &Rig, ticks_min: usize) {
    let (begun, deadline) = (SystemClock.now(), Instant::now() + LIMIT);
    let filter = TickFilter {
        robots: vec![rig.id("custom.bystander")],
        decision: Some(Decision::Fired),
        ..TickFilter::default()
    };
    let page = PageRequest {
        limit: 500,
        after: None,
    };
    loop {
        let ticks = rig.store.tick_list(filter.clone(), page).await.unwrap();
        let ticks = ticks.items;
        if ticks.len() >= ticks_min && ticks[0].planned_at > begun {
            break;
        }
        assert!(Instant::now() < deadline, "{ticks:#?}");
        tokio::time::sleep(POLL).await;
    }
}

#[test]
fn a_panic_is_one_process_with_its_text_and_its_log() {
    let panics = Made(spec("custom.panics"), |ctx| {
        ctx.info("about to fall");
        Box::pin(async { panic!("on purpose: {}", 42) })
    });
    with_robots(vec![panics, bystander()], |rig| async move {
        let task = rig.add("custom.panics", 5).await;
        let ended = rig.until_status(task, TaskStatus::Scheduled).await;
        assert!(ended.deaths >= 1 && ended.error.is_some(), "{ended:#?}");
        let processes = rig.processes(task).await;
        let first = processes.last().unwrap();
        assert_eq!(first.outcome, ProcessOutcome::Panicked);
        assert!(
            first.error.as_deref().unwrap().contains("on purpose: 42"),
            "{first:#?}"
        );
        assert_eq!(rig.log(first.id).await, ["about to fall"]);
        bystander_goes_on(&rig, 3).await;
    });
}

#[test]
fn a_task_that_kills_its_workers_is_quarantined_and_the_robot_goes_on() {
    let picky = Made(spec("custom.picky"), |ctx| {
        let poisoned = ctx.run().max_attempts == 7;
        Box::pin(async move {
            assert!(!poisoned, "poison");
            Ok(Outcome::done())
        })
    });
    with_robots(vec![picky], |rig| async move {
        let poison = rig.add("custom.picky", 7).await;
        let ended = until_quarantined(&rig, poison).await;
        assert_eq!(ended.deaths, DEATHS_MAX);
        let processes = rig.processes(poison).await;
        assert!(
            processes
                .iter()
                .all(|p| p.outcome == ProcessOutcome::Panicked),
            "{processes:#?}"
        );
        let healthy = rig.add("custom.picky", 1).await;
        rig.until_status(healthy, TaskStatus::Succeeded).await;
    });
}

/// Waits until the task is quarantined, but not for the delays between its deaths.
async fn until_quarantined(rig: &Rig, task: TaskId) -> Task {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = rig.store.task_get(task).await.unwrap().expect("the task");
        if found.status == TaskStatus::Quarantined {
            return found;
        }
        assert!(Instant::now() < deadline, "the task stayed {found:#?}");
        // As an hour would do: what waits for its delay is queued.
        let later = SystemClock.now() + Duration::from_secs(3600);
        rig.store.task_promote(later, 10).await.unwrap();
        tokio::time::sleep(POLL).await;
    }
}

#[test]
fn an_endless_loop_is_timed_out_and_its_thread_is_counted() {
    static RELEASE: AtomicBool = AtomicBool::new(false);
    let spins = Made(spec("custom.spins"), |_| {
        Box::pin(async {
            while !RELEASE.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            Ok(Outcome::done())
        })
    });
    with_robots(vec![spins, bystander()], |rig| async move {
        let task = rig.add("custom.spins", 1).await;
        let ended = rig.until_status(task, TaskStatus::Failed).await;
        let processes = rig.processes(task).await;
        assert_eq!(processes.len(), 1, "{processes:#?}");
        assert_eq!(processes[0].outcome, ProcessOutcome::TimedOut, "{ended:#?}");
        let zombies = |rig: &Rig| {
            let health = rig.runtime.handle().health();
            health
                .robots
                .iter()
                .find(|r| r.name == "custom.spins")
                .unwrap()
                .zombies
        };
        rig.until("a zombie is seen", |rig| zombies(rig) == 1).await;
        bystander_goes_on(&rig, 5).await;
        RELEASE.store(true, Ordering::Relaxed);
        rig.until("the zombie is gone", |rig| zombies(rig) == 0)
            .await;
        assert_eq!(
            rig.processes(task).await.len(),
            1,
            "its late end changes nothing"
        );
    });
}

#[test]
fn a_run_that_never_ends_is_timed_out_at_its_limit() {
    let hangs = Made(spec("custom.hangs"), |_| Box::pin(std::future::pending()));
    with_robots(vec![hangs, bystander()], |rig| async move {
        let task = rig.add("custom.hangs", 1).await;
        rig.until_status(task, TaskStatus::Failed).await;
        let process = rig.processes(task).await.remove(0);
        assert_eq!(process.outcome, ProcessOutcome::TimedOut);
        let ran = process.finished_at.unwrap() - process.started_at;
        assert!(
            ran >= TimeDelta::milliseconds(600) && ran < TimeDelta::seconds(3),
            "{ran}"
        );
        bystander_goes_on(&rig, 3).await;
    });
}

#[test]
fn a_cancelled_run_ends_at_once_with_that_outcome() {
    let spec = RobotSpec {
        timeout: Duration::from_secs(600),
        ..spec("custom.long")
    };
    let long = Made(spec, |_| Box::pin(std::future::pending()));
    with_robots(vec![long], |rig| async move {
        let task = rig.add("custom.long", 3).await;
        rig.until_status(task, TaskStatus::Running).await;
        let now = SystemClock.now();
        let effect = rig.store.task_cancel(task, now).await.unwrap();
        rig.runtime.handle().cancel(effect);
        rig.until_status(task, TaskStatus::Cancelled).await;
        let processes = rig.processes(task).await;
        assert_eq!(processes.len(), 1);
        assert_eq!(processes[0].outcome, ProcessOutcome::Cancelled);
    });
}

#[test]
fn failures_are_repeated_as_the_policy_says_and_no_more() {
    let spec = RobotSpec {
        retry: RetryPolicy {
            max_attempts: 3,
            initial: Duration::from_millis(20),
            factor: 1.0,
            max: Duration::from_millis(20),
        },
        ..spec("custom.fails")
    };
    let fails = Made(spec, |_| {
        Box::pin(async { Err(RobotError::retry("weather", "it rains")) })
    });
    with_robots(vec![fails], |rig| async move {
        let task = rig.add("custom.fails", 3).await;
        let ended = rig.until_status(task, TaskStatus::Failed).await;
        assert_eq!(ended.attempts, 3);
        assert_eq!(ended.error.as_deref(), Some("it rains"));
        let processes = rig.processes(task).await;
        assert_eq!(processes.len(), 3);
        assert!(
            processes
                .iter()
                .all(|p| p.error_class.as_deref() == Some("weather"))
        );
    });
}
