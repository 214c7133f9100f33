//! A worker that dies thousands of times in a row leaves nothing behind.

use std::sync::Arc;

use robotd::clock::SystemClock;
use robotd::connect::command::GuardProgram;
use robotd::domain::id::NodeId;
use robotd::domain::time::from_micros;
use robotd::robot::context::Tools;
use robotd::robot::registry::Registry;
use robotd::robot::{Outcome, Robot, RobotSpec};
use robotd::runtime::bench::{PoolSizes, run_loop};
use robotd::store::{Store, StoreConfig};

use super::rig::{Made, Work};
use crate::support::{is_full, safe};

/// Runs `work` so often, by one worker.
fn looped(work: Work, runs: u32) -> (u64, PoolSizes, usize) {
    actix::System::new().block_on(async move {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("robotd.db");
        let store = Store::open(StoreConfig::Sqlite { path }).await.unwrap();
        let safe = safe(&store, folder.path()).await;
        let tools = Tools {
            store,
            safe,
            clock: Arc::new(SystemClock),
            registry: Arc::new(Registry::default()),
            node: NodeId(1),
            node_name: "test".to_owned(),
            node_started_at: from_micros(0),
            data_dir: folder.path().to_owned(),
            mail: None,
            guard: GuardProgram::this_program(),
        };
        let spec = RobotSpec {
            name: "custom.loops",
            title: "Test",
            summary: "Made for a test",
            ..RobotSpec::DEFAULT
        };
        let robot: Arc<dyn Robot> = Arc::new(Made(spec, work));
        let ended = run_loop(tools, robot, runs).await.unwrap();
        (ended.restarts, ended.sizes, ended.journals)
    })
}

/// One place for one worker, and perhaps the last run, whose worker is just being replaced.
fn nothing_has_grown(sizes: PoolSizes, journals: usize) {
    assert_eq!((sizes.places, sizes.workers), (1, 1), "{sizes:?}");
    assert_eq!((sizes.runs, journals), (0, 0), "{sizes:?}");
}

#[test]
fn a_worker_that_dies_ten_thousand_times_leaves_nothing_behind() {
    let runs = if is_full() { 100_000 } else { 10_000 };
    let dies: Work = |ctx| {
        ctx.info("about to fall");
        // A panic that the hook does not print each time.
        Box::pin(async { std::panic::resume_unwind(Box::new("on purpose")) })
    };
    let (restarts, sizes, journals) = looped(dies, runs);
    assert!(restarts >= u64::from(runs) - 1, "{restarts}");
    nothing_has_grown(sizes, journals);
}

#[test]
fn a_worker_that_runs_ten_thousand_times_stays_the_same() {
    let works: Work = |_| Box::pin(async { Ok(Outcome::done()) });
    let (restarts, sizes, journals) = looped(works, 10_000);
    assert_eq!(restarts, 0);
    nothing_has_grown(sizes, journals);
}
