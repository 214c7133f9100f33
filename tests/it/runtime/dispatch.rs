//! Promise 7 where tasks start as they are registered: instances are exact, and every task runs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use robotd::domain::robot::Sharding;
use robotd::domain::task::TaskStatus;
use robotd::robot::{Outcome, RobotSpec};

use super::rig::{Made, with_robots};

const INSTANCES: u32 = 3;
const TASKS: usize = 300;

static RUNNING: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);

#[test]
fn tasks_that_come_one_by_one_run_on_exactly_the_instances_there_are() {
    let spec = RobotSpec {
        name: "custom.counted",
        title: "Test",
        summary: "Counts how many of it run",
        instances: INSTANCES,
        sharding: Sharding::Sharded,
        ..RobotSpec::DEFAULT
    };
    let counted = Made(spec, |_| {
        Box::pin(async {
            let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(running, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(Outcome::done())
        })
    });
    with_robots(vec![counted], |rig| async move {
        for _ in 0..TASKS / 10 {
            let tasks = join_all((0..10).map(|_| rig.add("custom.counted", 1))).await;
            for task in tasks {
                let ended = rig.until_status(task, TaskStatus::Succeeded).await;
                assert_eq!(ended.attempts, 1);
            }
        }
        assert_eq!(MOST.load(Ordering::SeqCst), INSTANCES);
        let robot = rig.id("custom.counted");
        let open = rig.store.task_open_runs(vec![(robot, None)]).await.unwrap();
        assert!(open.is_empty(), "{open:?}");
    });
}
