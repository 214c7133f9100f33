//! Tasks that run from the moment they are registered, because their node has an instance free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use robotd::domain::id::{NodeId, RobotId};
use robotd::domain::task::TaskStatus;
use robotd::store::event::{NewEvent, Wake};
use robotd::store::signal::Signal;
use robotd::store::task::{Claimed, NewTask, Starter};
use robotd::store::{Store, StoreError};

use super::make::{at, beat, event, ground, open_runs, success, task};
use crate::support::database::{Database, on_all};

on_all!(
    what_has_an_instance_runs_and_the_rest_waits,
    a_started_task_is_claimed_like_any_other,
    what_is_for_later_or_too_late_or_known_is_not_started,
    an_event_starts_what_it_wakes,
    an_instance_is_free_again_when_the_task_is_refused,
    a_node_that_was_declared_dead_registers_nothing_to_run_there,
);

/// A node that has so many instances of each robot free, and keeps what it is handed.
#[derive(Debug, Default)]
struct Node {
    free: Mutex<HashMap<RobotId, u32>>,
    running: Mutex<Vec<Claimed>>,
}

impl Starter for Node {
    fn reserve(&self, robot: RobotId, count: u32) -> u32 {
        let mut free = self.free.lock().unwrap();
        let free = free.entry(robot).or_default();
        let reserved = count.min(*free);
        *free -= reserved;
        reserved
    }

    fn start(&self, robot: RobotId, reserved: u32, claimed: Vec<Claimed>) {
        let unused = reserved - u32::try_from(claimed.len()).unwrap();
        *self.free.lock().unwrap().entry(robot).or_default() += unused;
        self.running.lock().unwrap().extend(claimed);
    }
}

impl Node {
    fn free(&self, robot: RobotId) -> u32 {
        self.free.lock().unwrap()[&robot]
    }

    fn take(&self) -> Vec<Claimed> {
        std::mem::take(&mut *self.running.lock().unwrap())
    }
}

/// A node with `free` instances of each robot.
async fn node_with(store: &Store, free: u32) -> (Vec<RobotId>, NodeId, Arc<Node>) {
    let (robots, id) = ground(store).await;
    // Ids of processes are reserved by the first claim of a node.
    store.task_add(vec![task(robots[2])], at(0)).await.unwrap();
    let claimed = store.task_claim(id, vec![(robots[2], 1)], at(0)).await;
    let ends = vec![success(&claimed.unwrap()[0], 0)];
    store.task_complete(ends).await.unwrap();
    let node = Arc::new(Node::default());
    let all = robots.iter().map(|robot| (*robot, free));
    node.free.lock().unwrap().extend(all);
    store.set_starter(Some((id, Arc::clone(&node) as Arc<dyn Starter>)));
    (robots, id, node)
}

async fn what_has_an_instance_runs_and_the_rest_waits(database: &Database) {
    let store = &database.store;
    let (robots, id, node) = node_with(store, 2).await;
    let mut signals = store.signals();
    let tasks = vec![task(robots[0]); 3];
    let added = store.task_add(tasks, at(1)).await.unwrap();
    let mut running = node.take();
    running.sort_by_key(|claimed| claimed.task);
    assert_eq!(running.len(), 2);
    for (claimed, added) in running.iter().zip(&added) {
        let row = store.task_get(added.id).await.unwrap().unwrap();
        assert_eq!(
            (row.status, row.process, row.attempts),
            (TaskStatus::Running, Some(claimed.process), 1)
        );
        assert_eq!(
            (claimed.task, claimed.node, claimed.started_at),
            (added.id, id, at(1))
        );
        assert_eq!(claimed.payload, row.payload);
    }
    let last = store.task_get(added[2].id).await.unwrap().unwrap();
    assert_eq!(last.status, TaskStatus::Queued);
    let ready = Signal::TasksReady(vec![robots[0]]);
    assert_eq!(signals.try_recv().ok(), Some(ready), "it is to be claimed");
    assert_eq!(open_runs(store, robots[0]).await, (2, 1));

    let ends = running.iter().map(|claimed| success(claimed, 2)).collect();
    assert_eq!(store.task_complete(ends).await.unwrap(), [true, true]);
    let first = store.task_get(added[0].id).await.unwrap().unwrap();
    assert_eq!(first.status, TaskStatus::Succeeded);
    assert_eq!(database.number("SELECT count(*) FROM claims").await, 0);
}

async fn a_started_task_is_claimed_like_any_other(database: &Database) {
    let store = &database.store;
    let (robots, id, node) = node_with(store, 1).await;
    let mut signals = store.signals();
    let added = store.task_add(vec![task(robots[0])], at(1)).await.unwrap();
    assert!(
        signals.try_recv().is_err(),
        "there is nothing left to claim"
    );
    assert_eq!(node.free(robots[0]), 0);
    let claimed = node.take();
    let again = store.task_claim(id, vec![(robots[0], 1)], at(2)).await;
    assert_eq!(again.unwrap(), [], "it runs");
    // As after a drain: offered again without having used an attempt.
    store
        .task_release(vec![(claimed[0].task, claimed[0].process)])
        .await
        .unwrap();
    let again = store.task_claim(id, vec![(robots[0], 1)], at(3)).await;
    let again = again.unwrap();
    assert_eq!((again[0].task, again[0].attempt), (added[0].id, 1));
    assert!(again[0].process > claimed[0].process);
    let stale = store.task_complete(vec![success(&claimed[0], 4)]).await;
    assert_eq!(stale.unwrap(), [false]);
    // As after the node's death.
    store.node_stop(id, at(5)).await.unwrap();
    let orphans = store.task_orphans(10).await.unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0].process, again[0].process);
}

async fn what_is_for_later_or_too_late_or_known_is_not_started(database: &Database) {
    let store = &database.store;
    let (robots, _, node) = node_with(store, 1).await;
    let plain = task(robots[0]);
    let later = NewTask {
        run_at: Some(at(60)),
        ..plain.clone()
    };
    let late = NewTask {
        deadline: Some(at(0)),
        ..plain.clone()
    };
    let keyed = NewTask {
        unique_key: Some("once".to_owned()),
        ..plain
    };
    for (task, status) in [(later, TaskStatus::Scheduled), (late, TaskStatus::Queued)] {
        let added = store.task_add(vec![task], at(1)).await.unwrap();
        let row = store.task_get(added[0].id).await.unwrap().unwrap();
        assert_eq!(row.status, status);
        assert_eq!((node.take(), node.free(robots[0])), (vec![], 1));
    }
    let tasks = vec![keyed.clone(), keyed.clone()];
    let added = store.task_add(tasks, at(2)).await.unwrap();
    let running = node.take();
    assert_eq!((running.len(), running[0].task), (1, added[0].id));
    assert!(added[1].existing);
    node.free.lock().unwrap().insert(robots[0], 1);
    let known = store.task_add(vec![keyed], at(3)).await.unwrap();
    assert_eq!((known[0].id, known[0].existing), (added[0].id, true));
    assert_eq!((node.take(), node.free(robots[0])), (vec![], 1));
}

async fn an_event_starts_what_it_wakes(database: &Database) {
    let store = &database.store;
    let (robots, _, node) = node_with(store, 1).await;
    let wake = |robot| Wake {
        robot,
        max_attempts: 3,
        coalesce: true,
    };
    let of = |id| NewEvent {
        event: event(id),
        wakes: vec![wake(robots[0]), wake(robots[1])],
    };
    let appended = store.event_append(vec![of("1")], at(1)).await.unwrap();
    assert_eq!(appended.tasks.len(), 2);
    let running = node.take();
    assert_eq!(running.len(), 2);
    assert_eq!(running[0].payload["id"], "1");
    let appended = store.event_append(vec![of("2")], at(2)).await.unwrap();
    assert_eq!((appended.tasks.len(), node.take()), (2, vec![]));
    // What runs may have looked already; what waits will look.
    let appended = store.event_append(vec![of("3")], at(3)).await.unwrap();
    assert_eq!((appended.accepted, appended.tasks.len()), (1, 0));
    let appended = store.event_append(vec![of("1")], at(4)).await.unwrap();
    assert_eq!((appended.duplicates, node.free(robots[0])), (1, 0));
}

async fn an_instance_is_free_again_when_the_task_is_refused(database: &Database) {
    let store = &database.store;
    let (robots, id, node) = node_with(store, 1).await;
    database
        .sql("ALTER TABLE tasks RENAME COLUMN requested_by TO moved")
        .await;
    let refused = store.task_add(vec![task(robots[0])], at(1)).await;
    refused.unwrap_err();
    database
        .sql("ALTER TABLE tasks RENAME COLUMN moved TO requested_by")
        .await;
    assert_eq!((node.take(), node.free(robots[0])), (vec![], 1));
    assert_eq!(store.task_unheard(id).await.unwrap(), []);
    store.task_add(vec![task(robots[0])], at(2)).await.unwrap();
    assert_eq!(node.take().len(), 1);
}

async fn a_node_that_was_declared_dead_registers_nothing_to_run_there(database: &Database) {
    let store = &database.store;
    let (robots, _, node) = node_with(store, 1).await;
    let other = store.node_start("there", "0.1.0", 2, at(1)).await.unwrap();
    let heard = store.node_beat(other, beat(20, 10)).await.unwrap();
    assert_eq!(heard.unwrap().dead.len(), 1);
    let tasks = vec![task(robots[0]); 2];
    let refused = store.task_add(tasks, at(21)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(database.number("SELECT count(*) FROM tasks").await, 0);
    assert_eq!(node.take(), []);
}
