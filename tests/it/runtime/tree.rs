//! The tree as a whole: crash loops, resizing under load, draining.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use robotd::domain::robot::{Overrides, RobotStatus, Sharding};
use robotd::domain::task::TaskStatus;
use robotd::robot::{Outcome, RobotSpec};
use robotd::runtime::handle::HealthStatus;
use serde_json::json;

use super::rig::{Made, start, with_robots};

const fn spec(name: &'static str) -> RobotSpec {
    RobotSpec {
        name,
        title: "Test",
        summary: "Made for a test",
        sharding: Sharding::Sharded,
        ..RobotSpec::DEFAULT
    }
}

#[test]
fn a_robot_that_crashes_again_and_again_is_quarantined_and_its_queue_is_kept() {
    let crashes = Made(spec("custom.crashes"), |_| {
        Box::pin(async { panic!("always") })
    });
    with_robots(vec![crashes], |rig| async move {
        let mut tasks = Vec::new();
        for _ in 0..12 {
            tasks.push(rig.add("custom.crashes", 3).await);
        }
        let state = |rig: &super::rig::Rig| {
            let entry = rig
                .runtime
                .handle()
                .registry()
                .get("custom.crashes")
                .unwrap();
            rig.runtime.handle().robot_state(&entry).status
        };
        rig.until("quarantine", |rig| state(rig) == RobotStatus::Quarantined)
            .await;
        let health = rig.runtime.handle().health();
        assert_eq!(health.status, HealthStatus::Degraded);
        assert!(health.reasons[0].contains("custom.crashes"), "{health:#?}");
        let last = rig
            .store
            .task_get(*tasks.last().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert!(
            !last.status.is_final(),
            "what was not tried waits: {last:#?}"
        );
    });
}

#[test]
fn no_more_than_the_set_instances_run_while_it_is_changed() {
    static RUNNING: AtomicU32 = AtomicU32::new(0);
    static MOST: AtomicU32 = AtomicU32::new(0);
    let counts = Made(
        RobotSpec {
            instances: 2,
            ..spec("custom.counts")
        },
        |_| {
            Box::pin(async {
                let now = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
                MOST.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                RUNNING.fetch_sub(1, Ordering::SeqCst);
                Ok(Outcome::done())
            })
        },
    );
    with_robots(vec![counts], |rig| async move {
        let mut tasks = Vec::new();
        for _ in 0..300 {
            tasks.push(rig.add("custom.counts", 1).await);
        }
        for instances in [6_u32, 1, 4, 0, 3] {
            let patch: Overrides = serde_json::from_value(json!({"instances": instances})).unwrap();
            rig.runtime
                .handle()
                .robot_change("custom.counts", None, &patch, "test")
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        for task in tasks {
            rig.until_status(task, TaskStatus::Succeeded).await;
            assert_eq!(rig.processes(task).await.len(), 1, "each task ran once");
        }
        let most = MOST.load(Ordering::SeqCst);
        assert!(most <= 6, "{most} ran at once");
        assert!(most >= 4, "{most} ran at once at most");
    });
}

#[test]
fn a_drain_interrupts_what_does_not_end_and_offers_it_again() {
    let hangs = Made(
        RobotSpec {
            timeout: Duration::from_secs(600),
            ..spec("custom.hangs")
        },
        |_| Box::pin(std::future::pending()),
    );
    let waits = Made(
        RobotSpec {
            name: "custom.waits",
            yields_on_drain: true,
            cancel_grace: Duration::from_secs(600),
            ..hangs.0
        },
        |ctx| {
            Box::pin(async {
                ctx.cancelled().cancelled().await;
                Ok(Outcome::done())
            })
        },
    );
    with_robots(vec![hangs, waits], |rig| async move {
        let tasks = [
            rig.add("custom.hangs", 1).await,
            rig.add("custom.waits", 1).await,
        ];
        for task in tasks {
            rig.until_status(task, TaskStatus::Running).await;
        }
        let drained = rig.runtime.drain(Duration::from_millis(2_200)).await;
        assert_eq!(
            drained.interrupted, 1,
            "the other one was given back before"
        );
        for task in tasks {
            let after = rig.store.task_get(task).await.unwrap().unwrap();
            assert_eq!(after.status, TaskStatus::Queued, "{after:#?}");
            assert_eq!(
                (after.attempts, after.deaths),
                (0, 0),
                "an interrupted run uses up nothing"
            );
        }
    });
}

#[test]
fn a_start_that_fails_says_why() {
    let work: super::rig::Work = |_| Box::pin(async { Ok(Outcome::done()) });
    let without_time = RobotSpec {
        timeout: Duration::ZERO,
        ..spec("custom.idles")
    };
    actix::System::new().block_on(async move {
        let folder = tempfile::tempdir().unwrap();
        let (_store, started) = start(vec![Made(without_time, work)], &folder).await;
        let said = started.err().unwrap().to_string();
        assert!(said.contains("custom.idles"), "{said}");
        assert!(said.contains("timeout"), "{said}");
    });
}
