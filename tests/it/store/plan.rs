//! Plans that the server made while there was nothing: it keeps them until it counts again, which is up to a minute later.

use std::time::{Duration, Instant};

use robotd::domain::task::{AfterRun, ProcessOutcome, TaskStatus};
use robotd::store::process::Progress;
use robotd::store::upkeep::Retention;
use robotd::store::{Store, StoreConfig};

use super::make::{at, end, ground, success, task};
use crate::support::counterpart::PATIENCE;
use crate::support::database::Database;

/// Runs under way at once, each claimed by itself.
const RUNS: usize = 600;
/// Before: a session that reads keeps a plan once it was asked five times.
const WARM_UP: usize = 10;
/// Rows of tables and entries of indexes that one of them may cost, from its registering until it is pruned.
const READS_MAX: i64 = 100;

const READ: &str = "SELECT (SELECT CAST(sum(idx_tup_read + idx_tup_fetch) AS BIGINT) FROM pg_stat_user_indexes \
        WHERE relname IN ('tasks', 'claims', 'tasks_done', 'processes', 'process_logs')) \
    + (SELECT CAST(sum(seq_tup_read) AS BIGINT) FROM pg_stat_user_tables WHERE relname IN ('tasks', 'claims'))";

#[tokio::test]
async fn what_was_planned_for_empty_tables_does_not_read_full_ones_for_each_row() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    // One session that changes, so that each statement is planned once.
    let store = Store::open(StoreConfig::Postgres {
        url: database.url(),
        connections: 2,
    });
    let store = store.await.unwrap();
    database.sql("VACUUM ANALYZE").await;
    live_through(&store, WARM_UP).await;
    let before = database.number(READ).await;
    live_through(&store, RUNS).await;

    // The server's counts are up to a second late.
    let pruned = "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'tasks_done'";
    let deadline = Instant::now() + PATIENCE;
    while database.number(pruned).await < i64::try_from(RUNS).unwrap() {
        assert!(Instant::now() < deadline, "nothing is counted");
        store.ping().await.unwrap();
    }
    let each = (database.number(READ).await - before) / i64::try_from(RUNS).unwrap();
    assert!(each < READS_MAX, "{each} rows were read for each run");
}

/// Runs begin one by one, all say how far they are, some are given back or run again, all end together and are forgotten.
async fn live_through(store: &Store, runs: usize) {
    let (robots, node) = ground(store).await;
    store
        .task_add(vec![task(robots[0]); runs], at(1))
        .await
        .unwrap();
    let mut claimed = Vec::new();
    for _ in 0..runs {
        let one = store.task_claim(node, vec![(robots[0], 1)], at(2));
        claimed.extend(one.await.unwrap());
        let others = robots[1..].iter().map(|robot| (*robot, None)).collect();
        assert_eq!(store.task_open_runs(others).await.unwrap().len(), 0);
    }
    assert_eq!(claimed.len(), runs);
    let progress = Progress {
        percent: 50,
        message: "half".to_owned(),
    };
    let told = claimed.iter().map(|run| (run.process, progress.clone()));
    store.process_progress(told.collect()).await.unwrap();

    let again = AfterRun::Again {
        run_at: at(3),
        attempt_used: true,
        death: false,
    };
    let (back, ran) = claimed.split_at(runs / 5);
    let (repeated, over) = ran.split_at(runs / 5);
    let back = back.iter().map(|run| (run.task, run.process)).collect();
    store.task_release(back).await.unwrap();
    let repeated = repeated
        .iter()
        .map(|run| end(run, ProcessOutcome::Failed, again, 3));
    let failed = AfterRun::Finished(TaskStatus::Failed);
    let over = over.iter().enumerate().map(|(place, run)| match place % 2 {
        0 => success(run, 3),
        _ => end(run, ProcessOutcome::Failed, failed, 3),
    });
    let ends: Vec<_> = repeated.chain(over).collect();
    store.task_complete(ends).await.unwrap();

    for _ in 0..runs / 5 {
        store.task_promote(at(4), 1).await.unwrap();
    }
    let rest = vec![(robots[0], u32::try_from(runs).unwrap())];
    let rest = store.task_claim(node, rest, at(4)).await.unwrap();
    assert_eq!(rest.len(), runs / 5 * 2);
    let ends = rest.iter().map(|run| success(run, 5)).collect();
    store.task_complete(ends).await.unwrap();
    let none = Duration::ZERO;
    let retention = Retention {
        tasks: none,
        events: none,
        ticks: none,
        views: none,
    };
    store.prune(retention, 10_000, at(1_000)).await.unwrap();
}
