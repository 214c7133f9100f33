//! The store: claim + complete, and enqueueing by 1, 8 and 32 callers, on each back end.
//!
//! PostgreSQL is measured where `ROBOTD_BENCH_POSTGRES_URL` names an empty database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a benchmark says what went wrong by panicking"
)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::id::{NodeId, RobotId};
use robotd::domain::task::{AfterRun, PRIORITY_DEFAULT, ProcessOutcome, TaskStatus, Trigger};
use robotd::store::task::{Claimed, Completion, NewTask};
use robotd::store::{Store, StoreConfig};

/// Tasks claimed and completed in one transaction each.
const BATCH: u32 = 500;

struct Bench {
    name: &'static str,
    store: Store,
    robot: RobotId,
    node: NodeId,
    _folder: tempfile::TempDir,
}

fn task(robot: RobotId) -> NewTask {
    NewTask {
        robot,
        trigger: Trigger::Api,
        payload: serde_json::json!({"n": 1}),
        priority: PRIORITY_DEFAULT,
        run_at: None,
        deadline: None,
        unique_key: None,
        max_attempts: 1,
        planned_at: None,
        event: None,
        requested_by: "bench".to_owned(),
        for_node: None,
    }
}

async fn open(name: &'static str, config: StoreConfig, folder: tempfile::TempDir) -> Bench {
    let store = Store::open(config).await.unwrap();
    let now = SystemClock.now();
    let robot = store
        .robot_register(vec![("custom.bench".to_owned(), now)])
        .await
        .unwrap()[0]
        .id;
    let node = store.node_start("bench", "0", 1, now).await.unwrap();
    Bench {
        name,
        store,
        robot,
        node,
        _folder: folder,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark takes its database from the environment"
)]
fn postgres() -> Option<String> {
    std::env::var("ROBOTD_BENCH_POSTGRES_URL").ok()
}

async fn benches() -> Vec<Bench> {
    let folder = || tempfile::tempdir().unwrap();
    let home = folder();
    let path = home.path().join("robotd.db");
    let mut all = vec![open("sqlite", StoreConfig::Sqlite { path }, home).await];
    match postgres() {
        Some(url) => all.push(
            open(
                "postgres",
                StoreConfig::Postgres {
                    url,
                    connections: 8,
                },
                folder(),
            )
            .await,
        ),
        None => eprintln!("ROBOTD_BENCH_POSTGRES_URL is not set: PostgreSQL is not measured"),
    }
    all
}

fn done(claim: &Claimed) -> Completion {
    Completion {
        task: claim.task,
        process: claim.process,
        outcome: ProcessOutcome::Succeeded,
        error_class: None,
        error: None,
        counters: serde_json::json!({}),
        finished_at: claim.started_at,
        after: AfterRun::Finished(TaskStatus::Succeeded),
    }
}

/// Claims and completes `rounds` batches; only that is timed.
async fn claim_and_complete(bench: &Bench, rounds: u64) -> Duration {
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        let tasks = vec![task(bench.robot); BATCH as usize];
        bench
            .store
            .task_add(tasks, SystemClock.now())
            .await
            .unwrap();
        let started = Instant::now();
        let demand = vec![(bench.robot, BATCH)];
        let claims = bench
            .store
            .task_claim(bench.node, demand, SystemClock.now())
            .await
            .unwrap();
        assert_eq!(claims.len(), BATCH as usize);
        let accepted = bench
            .store
            .task_complete(claims.iter().map(done).collect())
            .await
            .unwrap();
        assert!(accepted.into_iter().all(|accepted| accepted));
        spent += started.elapsed();
    }
    spent
}

fn hot_path(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let all = runtime.block_on(benches());
    let mut group = criterion.benchmark_group("claim and complete 500");
    group
        .throughput(Throughput::Elements(u64::from(BATCH)))
        .sample_size(20);
    for bench in &all {
        group.bench_function(bench.name, |bencher| {
            bencher.iter_custom(|rounds| runtime.block_on(claim_and_complete(bench, rounds)));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("enqueue one task");
    for bench in &all {
        for callers in [1_u64, 8, 32] {
            group
                .throughput(Throughput::Elements(callers))
                .sample_size(20);
            group.bench_function(BenchmarkId::new(bench.name, callers), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async {
                        let calls = (0..callers).map(|_| {
                            bench
                                .store
                                .task_add(vec![task(bench.robot)], SystemClock.now())
                        });
                        for added in join_all(calls).await {
                            added.unwrap();
                        }
                    });
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches_of_the_store, hot_path);
criterion_main!(benches_of_the_store);
