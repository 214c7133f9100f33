//! Registering, claiming, promoting.

use std::collections::BTreeSet;
use std::time::Duration;

use robotd::domain::id::{ProcessId, TaskId};
use robotd::domain::task::TaskStatus;
use robotd::store::signal::Signal;
use robotd::store::task::{CancelEffect, NewTask, TaskFilter};
use robotd::store::upkeep::Retention;
use robotd::store::{Store, StoreError};

use super::make::{at, first, ground, success, task};
use crate::support::database::{Database, on_all};

on_all!(
    a_task_is_what_was_registered,
    a_key_is_one_task_until_it_is_pruned,
    a_batch_is_all_or_none,
    the_highest_priority_runs_first,
    a_task_for_later_is_promoted_when_it_is_due,
    a_late_task_expires,
    a_released_task_is_as_before,
    a_waiting_task_is_cancelled_and_repeated,
    two_claimers_never_share_a_task,
);

async fn a_task_is_what_was_registered(database: &Database) {
    let (store, (robots, _)) = (&database.store, ground(&database.store).await);
    let mut signals = store.signals();
    let new = NewTask {
        unique_key: Some("k".to_owned()),
        priority: 9,
        deadline: Some(at(99)),
        ..task(robots[0])
    };
    let added = store.task_add(vec![new.clone()], at(1)).await.unwrap();
    assert!(!added[0].existing);
    assert_eq!(
        signals.try_recv().unwrap(),
        Signal::TasksReady(vec![robots[0]])
    );
    let found = store.task_get(added[0].id).await.unwrap().unwrap();
    assert_eq!(
        (found.payload, found.priority, found.deadline),
        (new.payload, 9, Some(at(99)))
    );
    assert_eq!(
        (found.status, found.run_at, found.created_at),
        (TaskStatus::Queued, at(1), at(1))
    );
    assert_eq!(
        (found.unique_key, found.attempts, found.max_attempts),
        (new.unique_key, 0, 5)
    );
    assert_eq!(store.task_get(TaskId(i64::MAX)).await.unwrap(), None);
}

async fn a_key_is_one_task_until_it_is_pruned(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let keyed = |robot, key: &str| NewTask {
        unique_key: Some(key.to_owned()),
        ..task(robot)
    };
    let batch = vec![
        keyed(robots[0], "k"),
        keyed(robots[0], "k"),
        keyed(robots[1], "k"),
        task(robots[0]),
    ];
    let added = store.task_add(batch, at(1)).await.unwrap();
    assert_eq!(
        added.iter().map(|a| a.existing).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    assert_eq!(added[0].id, added[1].id);
    let claimed = store
        .task_claim(node, vec![(robots[0], 9)], at(2))
        .await
        .unwrap();
    let ends = claimed.iter().map(|c| success(c, 3)).collect();
    store.task_complete(ends).await.unwrap();
    let again = store
        .task_add(vec![keyed(robots[0], "k")], at(4))
        .await
        .unwrap();
    assert!(
        again[0].existing && again[0].id == added[0].id,
        "finished ones count"
    );
    let day = Duration::from_secs(86_400);
    let retention = Retention {
        tasks: day,
        events: day,
        ticks: day,
        views: day,
    };
    assert_eq!(store.prune(retention, 1_000, at(5)).await.unwrap(), 0);
    assert_eq!(store.prune(retention, 1_000, at(90_000)).await.unwrap(), 2);
    assert_eq!(store.task_get(added[0].id).await.unwrap(), None);
    assert_eq!(store.process_get(claimed[0].process).await.unwrap(), None);
    let new = store
        .task_add(vec![keyed(robots[0], "k")], at(90_001))
        .await
        .unwrap();
    assert!(!new[0].existing && new[0].id != added[0].id);
}

async fn a_batch_is_all_or_none(database: &Database) {
    let (store, (robots, _)) = (&database.store, ground(&database.store).await);
    database
        .sql("CREATE UNIQUE INDEX trap ON tasks (priority) WHERE priority = 7")
        .await;
    let trapped = NewTask {
        priority: 7,
        ..task(robots[0])
    };
    let keyed = NewTask {
        unique_key: Some("k".to_owned()),
        ..task(robots[0])
    };
    let batch = vec![keyed.clone(), trapped.clone(), trapped];
    assert!(matches!(
        store.task_add(batch, at(1)).await,
        Err(StoreError::Other(_))
    ));
    assert_eq!(
        store
            .task_list(TaskFilter::default(), first(10))
            .await
            .unwrap()
            .items,
        []
    );
    assert!(
        !store.task_add(vec![keyed], at(1)).await.unwrap()[0].existing,
        "the key is free"
    );
    let many = vec![task(robots[0]); 10_001];
    assert!(
        store.task_add(many, at(1)).await.is_err(),
        "a batch has a bound"
    );
    let many = vec![task(robots[0]); 10_000];
    let ids: BTreeSet<_> = store
        .task_add(many, at(1))
        .await
        .unwrap()
        .iter()
        .map(|a| a.id)
        .collect();
    assert_eq!(ids.len(), 10_000);
}

async fn the_highest_priority_runs_first(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let of = |priority| NewTask {
        priority,
        ..task(robots[0])
    };
    let added = store
        .task_add(vec![of(1), of(9), of(5), of(9), task(robots[1])], at(1))
        .await
        .unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 3), (robots[1], 5)], at(2))
        .await
        .unwrap();
    let order: Vec<_> = claimed
        .iter()
        .filter(|c| c.robot == robots[0])
        .map(|c| c.task)
        .collect();
    assert_eq!(order, [added[1].id, added[3].id, added[2].id]);
    assert_eq!(claimed.len(), 4);
    assert!(
        claimed
            .iter()
            .all(|c| c.node == node && c.attempt == 1 && c.started_at == at(2) && c.deaths == 0)
    );
    let processes: BTreeSet<_> = claimed.iter().map(|c| c.process).collect();
    assert_eq!(processes.len(), 4);
    assert_eq!(
        store.task_sweep(at(2), 1).await.unwrap().robots,
        [robots[0]]
    );
    let rest = store
        .task_claim(node, vec![(robots[0], 3)], at(2))
        .await
        .unwrap();
    assert_eq!(rest.len(), 1);
    assert!(
        rest[0].process > *processes.last().unwrap(),
        "process ids ascend"
    );
    assert_eq!(
        store
            .task_claim(node, vec![(robots[0], 3)], at(2))
            .await
            .unwrap(),
        []
    );
}

async fn a_task_for_later_is_promoted_when_it_is_due(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let mut signals = store.signals();
    let later = |seconds| NewTask {
        run_at: Some(at(seconds)),
        ..task(robots[0])
    };
    let added = store
        .task_add(vec![later(20), later(10)], at(1))
        .await
        .unwrap();
    assert_eq!(signals.try_recv().unwrap(), Signal::Scheduled(at(10)));
    assert_eq!(
        store
            .task_claim(node, vec![(robots[0], 9)], at(5))
            .await
            .unwrap(),
        []
    );
    let nothing = store.task_promote(at(9), 100).await.unwrap();
    assert_eq!(
        (nothing.robots, nothing.next_run_at),
        (vec![], Some(at(10)))
    );
    let one = store.task_promote(at(10), 100).await.unwrap();
    assert_eq!(
        (one.robots, one.next_run_at),
        (vec![robots[0]], Some(at(20)))
    );
    let claimed = store
        .task_claim(node, vec![(robots[0], 9)], at(10))
        .await
        .unwrap();
    assert_eq!(
        claimed.iter().map(|c| c.task).collect::<Vec<_>>(),
        [added[1].id]
    );
    assert_eq!(
        store.task_promote(at(30), 1).await.unwrap().next_run_at,
        None
    );
}

async fn a_late_task_expires(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let until = |seconds| NewTask {
        deadline: Some(at(seconds)),
        ..task(robots[0])
    };
    let later = NewTask {
        run_at: Some(at(50)),
        ..until(60)
    };
    let added = store
        .task_add(vec![until(5), until(9), later], at(1))
        .await
        .unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 9)], at(9))
        .await
        .unwrap();
    assert_eq!(
        claimed.iter().map(|c| c.task).collect::<Vec<_>>(),
        [added[1].id],
        "the deadline itself is in time"
    );
    let expired = store.task_get(added[0].id).await.unwrap().unwrap();
    assert_eq!(
        (expired.status, expired.finished_at, expired.attempts),
        (TaskStatus::Expired, Some(at(9)), 0)
    );
    store.task_promote(at(61), 100).await.unwrap();
    assert_eq!(
        store.task_get(added[2].id).await.unwrap().unwrap().status,
        TaskStatus::Expired
    );
    let revived = store.task_retry(added[2].id, "ana", at(70)).await.unwrap();
    assert_eq!(
        (revived.status, revived.deadline),
        (TaskStatus::Queued, None)
    );
}

async fn a_released_task_is_as_before(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store
        .task_add(vec![task(robots[0]), task(robots[0])], at(1))
        .await
        .unwrap();
    let claimed = store
        .task_claim(node, vec![(robots[0], 2)], at(2))
        .await
        .unwrap();
    store.task_cancel(claimed[1].task, at(3)).await.unwrap();
    let mut claims: Vec<_> = claimed.iter().map(|c| (c.task, c.process)).collect();
    claims.push((claimed[0].task, ProcessId(77)));
    store.task_release(claims).await.unwrap();
    let back = store.task_get(claimed[0].task).await.unwrap().unwrap();
    assert_eq!((back.status, back.attempts), (TaskStatus::Queued, 0));
    assert_eq!(
        store
            .task_get(claimed[1].task)
            .await
            .unwrap()
            .unwrap()
            .status,
        TaskStatus::Cancelled
    );
    assert_eq!(store.process_get(claimed[0].process).await.unwrap(), None);
    let again = store
        .task_claim(node, vec![(robots[0], 2)], at(4))
        .await
        .unwrap();
    assert_eq!((again[0].attempt, again.len()), (1, 1));
    assert_eq!(
        store
            .task_complete(vec![success(&claimed[0], 5)])
            .await
            .unwrap(),
        [false]
    );
}

async fn a_waiting_task_is_cancelled_and_repeated(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let id = store.task_add(vec![task(robots[0])], at(1)).await.unwrap()[0].id;
    assert_eq!(
        store.task_cancel(id, at(2)).await.unwrap(),
        CancelEffect::Cancelled
    );
    assert!(matches!(
        store.task_cancel(id, at(2)).await,
        Err(StoreError::Conflict { .. })
    ));
    assert!(matches!(
        store.task_cancel(TaskId(i64::MAX), at(2)).await,
        Err(StoreError::NotFound { .. })
    ));
    let again = store.task_retry(id, "ana", at(3)).await.unwrap();
    assert_eq!(
        (again.id, again.status, again.created_at),
        (id, TaskStatus::Queued, at(1))
    );
    assert!(matches!(
        store.task_retry(id, "ana", at(3)).await,
        Err(StoreError::Conflict { .. })
    ));
    let claimed = store
        .task_claim(node, vec![(robots[0], 1)], at(4))
        .await
        .unwrap();
    assert!(matches!(
        store.task_retry(id, "ana", at(5)).await,
        Err(StoreError::Conflict { .. })
    ));
    store
        .task_complete(vec![success(&claimed[0], 6)])
        .await
        .unwrap();
    assert!(matches!(
        store.task_retry(id, "ana", at(7)).await,
        Err(StoreError::Conflict { .. })
    ));
}

async fn two_claimers_never_share_a_task(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let other = database.open_again().await;
    store
        .task_add(vec![task(robots[0]); 200], at(1))
        .await
        .unwrap();
    let drain = async |store: &Store| {
        let mut all = Vec::new();
        loop {
            let claimed = store
                .task_claim(node, vec![(robots[0], 7)], at(2))
                .await
                .unwrap();
            if claimed.is_empty() {
                return all;
            }
            all.extend(claimed);
        }
    };
    let (one, two) = tokio::join!(drain(store), drain(&other));
    let tasks: BTreeSet<_> = one.iter().chain(&two).map(|c| c.task).collect();
    let processes: BTreeSet<_> = one.iter().chain(&two).map(|c| c.process).collect();
    assert_eq!(
        (one.len() + two.len(), tasks.len(), processes.len()),
        (200, 200, 200)
    );
}
