//! The outbox of changes: written with what changed, taken by one node at a time, bounded.

use robotd::domain::id::NodeId;
use robotd::domain::task::{AfterRun, ProcessOutcome, TaskStatus};
use robotd::store::Store;
use robotd::store::event::NewEvent;
use robotd::store::outbox::Change;

use super::make::{at, end, event, ground, success, task};
use crate::support::database::{Database, on_all};

on_all!(
    nothing_is_kept_without_a_broker,
    changes_are_kept_in_their_order,
    one_node_at_a_time_has_the_lease,
    what_is_too_much_is_given_up_from_its_head,
);

/// What waits, in short.
async fn waiting(store: &Store) -> Vec<String> {
    let all = store.outbox_next(1_000).await.unwrap();
    assert!(all.is_sorted_by_key(|waiting| waiting.id));
    let told = all.into_iter().map(|waiting| match waiting.change {
        Change::Task { status, .. } => format!("task {status}"),
        Change::Process { outcome, .. } => format!("process {outcome}"),
        Change::Robot(_) => "robot".to_owned(),
        Change::Event { event, .. } => format!("event {}", event.unwrap().kind),
        Change::Lagged(missed) => format!("lagged {missed}"),
    });
    told.collect()
}

async fn nothing_is_kept_without_a_broker(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store.task_add(vec![task(robots[0])], at(1)).await.unwrap();
    let claimed = store.task_claim(node, vec![(robots[0], 1)], at(2)).await;
    store
        .task_complete(vec![success(&claimed.unwrap()[0], 3)])
        .await
        .unwrap();
    assert!(waiting(store).await.is_empty());
}

async fn changes_are_kept_in_their_order(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    store.keep_changes(true);
    let mut wanted = Vec::new();
    let id = store.task_add(vec![task(robots[0])], at(1)).await.unwrap()[0].id;
    wanted.push("task queued");
    let first = store.task_claim(node, vec![(robots[0], 1)], at(2)).await;
    wanted.extend(["task running", "process running"]);
    let again = AfterRun::Again {
        run_at: at(9),
        attempt_used: true,
        death: false,
    };
    let failed = end(&first.unwrap()[0], ProcessOutcome::Failed, again, 3);
    assert_eq!(
        store.task_complete(vec![failed.clone()]).await.unwrap(),
        [true]
    );
    wanted.extend(["process failed", "task scheduled"]);
    assert_eq!(store.task_complete(vec![failed]).await.unwrap(), [false]);
    store.task_promote(at(10), 10).await.unwrap();
    wanted.push("task queued");
    let second = store
        .task_claim(node, vec![(robots[0], 1)], at(11))
        .await
        .unwrap();
    wanted.extend(["task running", "process running"]);
    let claims = second.iter().map(|claim| (claim.task, claim.process));
    store.task_release(claims.collect()).await.unwrap();
    wanted.push("task queued");
    store.task_cancel(id, at(12)).await.unwrap();
    wanted.push("task cancelled");
    store.task_retry(id, "ana", at(13)).await.unwrap();
    wanted.push("task queued");
    let mut foreign = event("1");
    foreign.source = "/elsewhere".to_owned();
    let events = [event("2"), foreign].map(|event| NewEvent {
        event,
        wakes: Vec::new(),
    });
    store.event_append(events.to_vec(), at(14)).await.unwrap();
    wanted.push("event test.happened");
    assert_eq!(waiting(store).await, wanted);

    let all = store.outbox_next(2).await.unwrap();
    assert_eq!(all[1].at, at(2));
    store.outbox_done(vec![all[1].id]).await.unwrap();
    wanted.remove(1);
    assert_eq!(waiting(store).await, wanted, "only what is named is gone");
}

async fn one_node_at_a_time_has_the_lease(database: &Database) {
    let (store, (_, node)) = (&database.store, ground(&database.store).await);
    let other = NodeId(node.0 + 1);
    let lease = store
        .outbox_lease(node, at(1), at(16))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store.outbox_lease(other, at(16), at(31)).await.unwrap(),
        None
    );
    let held_on = store.outbox_lease(node, at(16), at(31)).await.unwrap();
    assert_eq!(held_on, Some(lease), "the outbox stays the same one");
    let taken = store.outbox_lease(other, at(32), at(47)).await.unwrap();
    assert_eq!(taken, Some(lease));
    assert_eq!(
        store.outbox_lease(node, at(33), at(48)).await.unwrap(),
        None
    );
}

async fn what_is_too_much_is_given_up_from_its_head(database: &Database) {
    let (store, (robots, _)) = (&database.store, ground(&database.store).await);
    assert_eq!(store.outbox_trim(1, at(1)).await.unwrap().waiting, 0);
    store.keep_changes(true);
    let add = async |count| {
        let tasks = vec![task(robots[0]); count];
        store.task_add(tasks, at(1)).await.unwrap();
    };
    add(10).await;
    let backlog = store.outbox_trim(10, at(2)).await.unwrap();
    assert_eq!((backlog.waiting, backlog.given_up), (10, 0));
    add(5).await;
    let backlog = store.outbox_trim(10, at(2)).await.unwrap();
    assert_eq!((backlog.waiting, backlog.given_up), (10, 6));
    let told = waiting(store).await;
    assert_eq!(told[0], "lagged 6");
    assert_eq!(told[1..], vec!["task queued"; 9]);
    add(1).await;
    let backlog = store.outbox_trim(10, at(3)).await.unwrap();
    assert_eq!((backlog.waiting, backlog.given_up), (10, 1));
    assert_eq!(waiting(store).await[0], "lagged 7", "marks add up");
    let all = store.outbox_next(100).await.unwrap();
    store
        .outbox_done(all.iter().map(|waiting| waiting.id).collect())
        .await
        .unwrap();
    add(1).await;
    let next = store.outbox_next(1).await.unwrap();
    assert!(next[0].id > all[9].id, "no number is given twice");
    assert!(matches!(
        next[0].change,
        Change::Task {
            status: TaskStatus::Queued,
            ..
        }
    ));
}
