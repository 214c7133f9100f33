//! Supervision: the pure decision alone, and a whole round trip through pool, worker and job runtime.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a benchmark says what went wrong by panicking"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use robotd::clock::{Clock as _, SystemClock};
use robotd::connect::command::GuardProgram;
use robotd::domain::id::{NodeId, ProcessId};
use robotd::domain::pool::{PoolEffect, PoolEvent, PoolState};
use robotd::domain::robot::{FieldError, Sharding};
use robotd::domain::task::{PRIORITY_DEFAULT, Trigger};
use robotd::robot::context::Tools;
use robotd::robot::safe::Safe;
use robotd::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use robotd::runtime::{self, RuntimeConfig};
use robotd::store::task::NewTask;
use robotd::store::upkeep::Retention;
use robotd::store::{Store, StoreConfig};
use robotd::vault::MasterKey;

static RUNS: AtomicU64 = AtomicU64::new(0);

struct CountRuns;

#[async_trait]
impl Robot for CountRuns {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "custom.count_runs",
            title: "Count runs",
            summary: "Counts its runs",
            instances: 256,
            sharding: Sharding::Sharded,
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, _: &Context) -> Result<Outcome, RobotError> {
        RUNS.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::done())
    }
}

/// Submit, run, end: what one job costs in decisions.
fn decision(criterion: &mut Criterion) {
    criterion.bench_function("pool/decision of one job", |bencher| {
        let mut pool = PoolState::new();
        pool.on(PoolEvent::Resize(4), Duration::ZERO);
        let mut process = 0;
        bencher.iter(|| {
            process += 1;
            let mut event = Some(PoolEvent::Submit(ProcessId(process)));
            while let Some(happened) = event.take() {
                for effect in black_box(pool.on(happened, Duration::ZERO)) {
                    event = match effect {
                        PoolEffect::Start(slot, generation) => {
                            Some(PoolEvent::Ready(slot, generation))
                        }
                        PoolEffect::Run(slot, generation, _) => {
                            Some(PoolEvent::Ended(slot, generation))
                        }
                        _ => None,
                    };
                }
            }
        });
    });
}

struct Panics;

#[async_trait]
impl Robot for Panics {
    fn definition(&self) -> Result<Definition, FieldError> {
        RobotSpec {
            name: "custom.panics",
            title: "Panics",
            summary: "Kills its worker",
            ..RobotSpec::DEFAULT
        }
        .definition()
    }

    async fn run(&self, _: &Context) -> Result<Outcome, RobotError> {
        panic!("on purpose")
    }
}

/// The real actors, no database: one run after the other, with and without the death of the worker. A single run
/// in flight pays for two crossings between threads; what the panic adds is the difference.
fn run_and_restart(criterion: &mut Criterion) {
    runtime::panic::install_hook();
    criterion.bench_function("pool/run of a worker", |bencher| {
        bencher.iter_custom(|iterations| looped(Arc::new(CountRuns), iterations));
    });
    criterion.bench_function("pool/run, panic and restart of a worker", |bencher| {
        bencher.iter_custom(|iterations| looped(Arc::new(Panics), iterations));
    });
}

async fn safe(store: &Store, folder: &Path) -> Safe {
    let master = MasterKey::create(folder).unwrap();
    let now = SystemClock.now();
    Safe::open(store.clone(), &master, now).await.unwrap()
}

fn looped(robot: Arc<dyn Robot>, runs: u64) -> Duration {
    actix::System::new().block_on(async move {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("robotd.db");
        let store = Store::open(StoreConfig::Sqlite { path }).await.unwrap();
        let tools = Tools {
            safe: safe(&store, folder.path()).await,
            store,
            clock: Arc::new(SystemClock),
            registry: Arc::default(),
            node: NodeId(1),
            node_name: "bench".to_owned(),
            node_started_at: SystemClock.now(),
            data_dir: folder.path().to_owned(),
            mail: None,
            guard: GuardProgram::this_program(),
        };
        let runs = u32::try_from(runs).unwrap();
        runtime::bench::run_loop(tools, robot, runs)
            .await
            .unwrap()
            .took
    })
}

/// From a queued task to its recorded end, through everything a task passes on SQLite; time per task of a
/// queue of 2,000.
fn round_trip(criterion: &mut Criterion) {
    const TASKS: u64 = 2_000;
    criterion.bench_function("pool/task through the runtime on SQLite", |bencher| {
        bencher.iter_custom(|iterations| {
            let rounds = iterations.div_ceil(TASKS).max(1);
            let spent: Duration = (0..rounds).map(|_| drain(TASKS)).sum();
            let tasks = u32::try_from(rounds * TASKS).unwrap();
            spent / tasks * u32::try_from(iterations).unwrap()
        });
    });
}

fn drain(tasks: u64) -> Duration {
    actix::System::new().block_on(async move {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::Sqlite {
            path: folder.path().join("robotd.db"),
        })
        .await
        .unwrap();
        let id = store
            .robot_register(vec![("custom.count_runs".to_owned(), SystemClock.now())])
            .await
            .unwrap()[0]
            .id;
        let task = NewTask {
            robot: id,
            trigger: Trigger::Api,
            payload: serde_json::Value::Null,
            priority: PRIORITY_DEFAULT,
            run_at: None,
            deadline: None,
            unique_key: None,
            max_attempts: 1,
            planned_at: None,
            event: None,
            requested_by: "bench".to_owned(),
            for_node: None,
        };
        store
            .task_add(
                vec![task; usize::try_from(tasks).unwrap()],
                SystemClock.now(),
            )
            .await
            .unwrap();
        let before = RUNS.load(Ordering::Relaxed);
        let started = Instant::now();
        let day = Duration::from_secs(86_400);
        let runtime = runtime::start(RuntimeConfig {
            safe: safe(&store, folder.path()).await,
            store,
            clock: Arc::new(SystemClock),
            robots: vec![Arc::new(CountRuns)],
            node_name: "bench".to_owned(),
            data_dir: folder.path().to_owned(),
            mail: None,
            broker: None,
            syslog: None,
            retention: Retention {
                tasks: day,
                events: day,
                ticks: day,
                views: day,
            },
            terms: runtime::Terms::default(),
            job_threads: 2,
        })
        .await
        .unwrap();
        while RUNS.load(Ordering::Relaxed) < before + tasks {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let spent = started.elapsed();
        runtime.drain(Duration::from_secs(5)).await;
        runtime.stop();
        spent
    })
}

criterion_group!(benches, decision, run_and_restart, round_trip);
criterion_main!(benches);
