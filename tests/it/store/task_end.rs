//! The ends of processes: fenced, exactly once, and what follows them.

use robotd::domain::id::ProcessId;
use robotd::domain::task::{AfterRun, ProcessOutcome, TaskStatus};
use robotd::domain::time::Timestamp;
use robotd::store::signal::Signal;
use robotd::store::task::{CancelEffect, Completion, NewTask};

use super::make::{at, beat, end, first, ground, open_runs, success, task};
use crate::support::database::{Database, on_all};

on_all!(
    a_stale_end_is_refused,
    an_end_counts_once_in_a_batch_too,
    a_failed_run_comes_again_in_its_time,
    a_run_that_used_no_attempt_gives_it_back,
    a_cancelled_task_does_not_come_again,
    a_dead_nodes_tasks_are_offered_again,
    the_last_run_is_kept,
);

fn again(run_at: Timestamp, attempt_used: bool, death: bool) -> AfterRun {
    AfterRun::Again {
        run_at,
        attempt_used,
        death,
    }
}

async fn a_stale_end_is_refused(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let id = store.task_add(vec![task(robots[0])], at(1)).await.unwrap()[0].id;
    let old = store
        .task_claim(node, vec![(robots[0], 1)], at(2))
        .await
        .unwrap();
    let lost = end(&old[0], ProcessOutcome::Lost, again(at(3), false, true), 3);
    assert_eq!(store.task_complete(vec![lost]).await.unwrap(), [true]);
    let new = store
        .task_claim(node, vec![(robots[0], 1)], at(4))
        .await
        .unwrap();
    assert!(new[0].process > old[0].process);
    assert_eq!((new[0].attempt, new[0].deaths), (1, 1));
    assert_eq!(
        store
            .task_complete(vec![success(&old[0], 5)])
            .await
            .unwrap(),
        [false]
    );
    assert_eq!(
        store.task_get(id).await.unwrap().unwrap().status,
        TaskStatus::Running
    );
    assert_eq!(
        store
            .process_get(old[0].process)
            .await
            .unwrap()
            .unwrap()
            .outcome,
        ProcessOutcome::Lost
    );
    let results = store
        .task_complete(vec![success(&old[0], 5), success(&new[0], 5)])
        .await
        .unwrap();
    assert_eq!(results, [false, true]);
    let done = store.task_get(id).await.unwrap().unwrap();
    assert_eq!(
        (done.status, done.finished_at, done.process),
        (TaskStatus::Succeeded, Some(at(5)), Some(new[0].process))
    );
}

async fn an_end_counts_once_in_a_batch_too(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store
        .task_add(vec![task(robots[0]); 2], at(1))
        .await
        .unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 2)], at(2))
        .await
        .unwrap();
    let wrong = Completion {
        process: ProcessId(4_711),
        ..success(&claimed[1], 3)
    };
    let batch = vec![
        success(&claimed[0], 3),
        success(&claimed[0], 4),
        wrong,
        success(&claimed[1], 3),
    ];
    assert_eq!(
        store.task_complete(batch).await.unwrap(),
        [true, false, false, true]
    );
    let all = store
        .process_list(Default::default(), first(10))
        .await
        .unwrap()
        .items;
    assert_eq!(all.len(), 2);
    assert!(
        all.iter()
            .all(|p| p.outcome == ProcessOutcome::Succeeded && p.finished_at == Some(at(3)))
    );
}

async fn a_failed_run_comes_again_in_its_time(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let id = store.task_add(vec![task(robots[0])], at(1)).await.unwrap()[0].id;
    let claimed = store
        .task_claim(node, vec![(robots[0], 1)], at(2))
        .await
        .unwrap();
    let mut signals = store.signals();
    let failed = Completion {
        error: Some("x".repeat(9_000)),
        error_class: Some("exit_status".to_owned()),
        ..end(
            &claimed[0],
            ProcessOutcome::Failed,
            again(at(30), true, false),
            3,
        )
    };
    store.task_complete(vec![failed]).await.unwrap();
    let told: Vec<_> = std::iter::from_fn(|| signals.try_recv().ok()).collect();
    assert!(told.contains(&Signal::Scheduled(at(30))), "{told:?}");
    let waiting = store.task_get(id).await.unwrap().unwrap();
    assert_eq!(
        (waiting.status, waiting.run_at, waiting.attempts),
        (TaskStatus::Scheduled, at(30), 1)
    );
    assert_eq!(waiting.error.unwrap().len(), 4_000);
    assert_eq!(open_runs(store, robots[0]).await, (1, 1));
    store.task_promote(at(30), 10).await.unwrap();
    let second = store
        .task_claim(node, vec![(robots[0], 1)], at(31))
        .await
        .unwrap();
    assert_eq!(second[0].attempt, 2);
    let last = end(
        &second[0],
        ProcessOutcome::Failed,
        AfterRun::Finished(TaskStatus::Failed),
        32,
    );
    store.task_complete(vec![last]).await.unwrap();
    assert_eq!(
        store.task_get(id).await.unwrap().unwrap().status,
        TaskStatus::Failed
    );
    let revived = store.task_retry(id, "ana", at(40)).await.unwrap();
    assert_eq!(
        (revived.status, revived.attempts, revived.run_at),
        (TaskStatus::Queued, 0, at(40))
    );
}

async fn a_run_that_used_no_attempt_gives_it_back(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let id = store.task_add(vec![task(robots[0])], at(1)).await.unwrap()[0].id;
    let claimed = store
        .task_claim(node, vec![(robots[0], 1)], at(2))
        .await
        .unwrap();
    let snoozed = end(
        &claimed[0],
        ProcessOutcome::Cancelled,
        again(at(3), false, false),
        3,
    );
    store.task_complete(vec![snoozed]).await.unwrap();
    let queued = store.task_get(id).await.unwrap().unwrap();
    assert_eq!(
        (queued.status, queued.attempts, queued.deaths),
        (TaskStatus::Queued, 0, 0)
    );
    assert_eq!(
        store
            .process_get(claimed[0].process)
            .await
            .unwrap()
            .unwrap()
            .attempt,
        1
    );
}

async fn a_cancelled_task_does_not_come_again(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let id = store.task_add(vec![task(robots[0])], at(1)).await.unwrap()[0].id;
    let claimed = store
        .task_claim(node, vec![(robots[0], 1)], at(2))
        .await
        .unwrap();
    let effect = store
        .execution_cancel(claimed[0].process, at(3))
        .await
        .unwrap();
    assert_eq!(
        effect,
        CancelEffect::Requested {
            process: claimed[0].process,
            robot: robots[0],
            node
        }
    );
    assert!(
        store
            .process_get(claimed[0].process)
            .await
            .unwrap()
            .unwrap()
            .cancel_requested
    );
    let failed = end(
        &claimed[0],
        ProcessOutcome::Failed,
        again(at(30), true, false),
        4,
    );
    assert_eq!(store.task_complete(vec![failed]).await.unwrap(), [true]);
    assert_eq!(
        store.task_get(id).await.unwrap().unwrap().status,
        TaskStatus::Cancelled
    );
    assert!(
        store
            .execution_cancel(claimed[0].process, at(5))
            .await
            .is_err()
    );
}

async fn a_dead_nodes_tasks_are_offered_again(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let new = NewTask {
        planned_at: Some(at(1)),
        ..task(robots[0])
    };
    store.task_add(vec![new], at(1)).await.unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 1)], at(2))
        .await
        .unwrap();
    let other = store.node_start("there", "0.1.0", 2, at(3)).await.unwrap();
    assert_eq!(store.task_orphans(10).await.unwrap(), []);
    let dead = async |node, seconds, silent| {
        let heard = store.node_beat(node, beat(seconds, silent)).await.unwrap();
        heard.map(|heard| heard.dead)
    };
    assert_eq!(dead(node, 10, 5).await, Some(vec![other]));
    let third = store.node_start("third", "0.1.0", 3, at(11)).await.unwrap();
    assert_eq!(dead(third, 11, 11).await, Some(vec![node]));
    assert_eq!(dead(node, 12, 11).await, None, "a dead node stays dead");
    assert_eq!(store.task_orphans(10).await.unwrap(), claimed);
    let lost = end(
        &claimed[0],
        ProcessOutcome::Lost,
        again(at(12), false, true),
        12,
    );
    assert_eq!(store.task_complete(vec![lost]).await.unwrap(), [true]);
    assert_eq!(store.task_orphans(10).await.unwrap(), []);
    assert_eq!(store.task_depths().await.unwrap(), [(robots[0], 1)]);
}

async fn the_last_run_is_kept(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store
        .task_add(vec![task(robots[0]); 3], at(1))
        .await
        .unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 3)], at(2))
        .await
        .unwrap();
    store
        .task_complete(vec![success(&claimed[0], 9), success(&claimed[1], 5)])
        .await
        .unwrap();
    store
        .task_complete(vec![success(&claimed[2], 7)])
        .await
        .unwrap();
    let last = store.process_last().await.unwrap();
    assert_eq!(last.len(), 1);
    assert_eq!(
        (last[0].0, last[0].1.id, last[0].1.finished_at),
        (robots[0], claimed[0].process, at(9))
    );
}
