//! Behind a snapshot that stays open, rows that have ended stay in the queue's index.

use std::sync::mpsc;
use std::time::Instant;

use robotd::store::task::NewTask;
use tokio::task::JoinSet;

use super::make::{at, ground, success, task};
use crate::support::counterpart::PATIENCE;
use crate::support::database::{Database, on_all};

on_all!(figures_and_looks_begin_where_a_queue_begins);

/// Rows that have ended.
const GONE: i64 = 4_000;
/// Tasks that come one by one afterwards.
const ROUNDS: i64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_does_not_walk_over_what_is_gone_for_each_task() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let (hold, until) = mpsc::channel();
    // Of its own: it takes the only session that reads.
    let (mut snapshot, holder) = (JoinSet::new(), database.open_again().await);
    snapshot.spawn(async move { holder.bench_hold_snapshot(until).await });
    let open = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()";
    let deadline = Instant::now() + PATIENCE;
    while database.number(open).await == 0 {
        assert!(Instant::now() < deadline, "no snapshot is open");
    }

    let claim = async |count: u32| {
        let claimed = store.task_claim(node, vec![(robots[0], count)], at(2));
        let ends: Vec<_> = claimed
            .await
            .unwrap()
            .iter()
            .map(|run| success(run, 3))
            .collect();
        assert_eq!(ends.len(), usize::try_from(count).unwrap());
        store.task_complete(ends).await.unwrap();
    };
    for _ in 0..GONE / 1_000 {
        store
            .task_add(vec![task(robots[0]); 1_000], at(1))
            .await
            .unwrap();
        claim(1_000).await;
    }
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'tasks_queued'";
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'tasks_queued'";
    let before = (database.number(read).await, database.number(scans).await);
    // The server's counts are up to a second late.
    let mut rounds = 0;
    while rounds < ROUNDS || database.number(scans).await < before.1 + ROUNDS {
        store.task_add(vec![task(robots[0])], at(1)).await.unwrap();
        claim(1).await;
        // Asked for more than there is: the queue is exhausted.
        let more = store.task_claim(node, vec![(robots[0], 8)], at(2));
        assert_eq!(more.await.unwrap(), []);
        store
            .task_add(vec![task(robots[0]); 2], at(1))
            .await
            .unwrap();
        let waiting = store.task_sweep(at(2), 10).await.unwrap();
        assert_eq!(waiting.robots, [robots[0]]);
        assert_eq!(store.task_depths().await.unwrap(), [(robots[0], 2)]);
        claim(2).await;
        rounds += 1;
    }
    let read = database.number(read).await - before.0;
    assert!(read < GONE * rounds / 4, "{read} rows in {rounds} rounds");
    drop(hold);
    snapshot.join_next().await.unwrap().unwrap().unwrap();
}

async fn figures_and_looks_begin_where_a_queue_begins(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let register = async |count: usize, priority: i16, second: i64| {
        let one = NewTask {
            priority,
            ..task(robots[0])
        };
        store.task_add(vec![one; count], at(second)).await.unwrap();
    };
    let claim = async |count| {
        let claimed = store.task_claim(node, vec![(robots[0], count)], at(5));
        claimed.await.unwrap().len()
    };
    let seen = async || {
        let swept = store.task_sweep(at(5), 10).await.unwrap();
        let loads = store.robot_loads(at(0)).await.unwrap();
        assert_eq!(loads.len(), 1);
        let depths = store.task_depths().await.unwrap();
        let depth = depths.first().map_or(0, |(_, depth)| *depth);
        assert_eq!((depths.len() < 2, depth), (true, loads[0].queued));
        (swept.robots.len(), loads[0].queued, loads[0].oldest_due_at)
    };
    register(6, 4, 1).await;
    assert_eq!(seen().await, (1, 6, Some(at(1))));
    assert_eq!(claim(2).await, 2);
    assert_eq!(seen().await, (1, 4, Some(at(1))));
    register(1, 9, 2).await;
    register(1, 0, 3).await;
    assert_eq!(seen().await, (1, 6, Some(at(1))));
    assert_eq!(claim(5).await, 5);
    assert_eq!(seen().await, (1, 1, Some(at(3))));
    // As many as were asked for, and the queue is empty all the same: only what runs is seen.
    assert_eq!(claim(1).await, 1);
    assert_eq!(seen().await, (0, 0, None));
    assert_eq!(claim(8).await, 0);
    assert_eq!(seen().await, (0, 0, None));
    register(1, 4, 4).await;
    assert_eq!(seen().await, (1, 1, Some(at(4))));
}
