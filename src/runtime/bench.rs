//! The actors alone, for `benches/` and for tests: a pool with its worker and the job runtime, no database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::Actor as _;
use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::core::Core;
use super::crossing::{self, Crossing};
use super::membership::Terms;
use super::pool::{Look, Pool, Resize, Submit};
use crate::domain::id::{ProcessId, RobotId, TaskId};
use crate::domain::pool::{PoolState, RestartPolicy};
use crate::domain::task::Trigger;
use crate::robot::Robot;
use crate::robot::context::Tools;
use crate::robot::registry::{Entry, PoolHealth};
use crate::store::task::Claimed;

/// The robot's row, which is in no database.
const ROBOT: RobotId = RobotId(1);

/// What a pool's memory grows with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSizes {
    /// Places for workers, used and free.
    pub places: usize,
    /// Workers.
    pub workers: usize,
    /// Runs in hand.
    pub runs: usize,
}

/// What a number of runs one after the other came to.
#[derive(Debug, Clone, Copy)]
pub struct RunLoop {
    /// From the first to the end of the last.
    pub took: Duration,
    /// Worker restarts.
    pub restarts: u64,
    /// What the pool holds after them.
    pub sizes: PoolSizes,
    /// Journals that are still open.
    pub journals: usize,
}

/// Runs `robot` `runs` times, one after the other, by one worker that is restarted at once when it dies. Must be
/// called inside an actix system.
///
/// # Errors
/// A robot whose declaration cannot be read, a thread that cannot be started, a pool that died.
pub async fn run_loop(tools: Tools, robot: Arc<dyn Robot>, runs: u32) -> anyhow::Result<RunLoop> {
    let jobs = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (health, entry_health) = watch::channel(PoolHealth::default());
    let definition = robot.definition();
    let definition = definition.map_err(|error| anyhow::anyhow!("{}", error.detail))?;
    let definition = Arc::new(definition);
    let entry = tools.registry.put(Entry {
        id: ROBOT,
        config: Arc::new(definition.defaults.clone()),
        definition,
        overrides: serde_json::Map::new(),
        revision: 1,
        anchor: tools.clock.now(),
        health: entry_health,
    });
    let (ends, mut ended) = mpsc::unbounded_channel();
    let (crossing, piers) = Crossing::new();
    let robots = HashMap::from([(ROBOT, Arc::clone(&robot))]);
    let core = Core::new(
        Arc::new(tools),
        robots,
        jobs.handle().clone(),
        crossing,
        None,
        ends,
        Terms::default(),
    );
    let core = Arc::new(core);
    crossing::keep(&core, piers);
    let name = entry.name().to_owned();
    let state = PoolState::with_restarts(RestartPolicy::AT_ONCE);
    let pool = Pool::new(Arc::clone(&core), ROBOT, name, robot, health, state).start();
    pool.do_send(Resize(1));
    // As the feeder and the recorder would, so that the pool's books are right.
    let capacity = &core.capacity[&ROBOT];
    let started = Instant::now();
    for number in 1..=i64::from(runs) {
        capacity.promise_made(1);
        pool.do_send(Submit(Vec::from([claimed(&core, number)])));
        let end = ended.recv().await.context("the pool is gone")?;
        core.journals.close(std::iter::once(end.run.process));
        capacity.recorded();
    }
    let took = started.elapsed();
    let sizes = pool.send(Look).await?;
    let restarts = entry.health.borrow().restarts;
    let journals = core.journals.all().len();
    core.stopping.cancel();
    jobs.shutdown_background();
    Ok(RunLoop {
        took,
        restarts,
        sizes,
        journals,
    })
}

fn claimed(core: &Core, number: i64) -> Claimed {
    Claimed {
        task: TaskId(number),
        process: ProcessId(number),
        robot: ROBOT,
        node: core.tools.node,
        trigger: Trigger::Api,
        payload: serde_json::Value::Null,
        attempt: 1,
        max_attempts: 1,
        deaths: 0,
        deadline: None,
        planned_at: None,
        started_at: core.now(),
        cancel_requested: false,
    }
}
