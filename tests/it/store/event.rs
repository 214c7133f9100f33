//! Events: one (source, id) is one event, and what it wakes is written with it.

use robotd::domain::id::RobotId;
use robotd::store::event::{EventFilter, NewEvent, Wake};

use super::make::{at, event, first, ground};
use crate::support::database::{Database, on_all};

on_all!(
    the_same_event_twice_is_one,
    a_robot_that_only_looks_has_one_waiting_task
);

fn wake(robot: RobotId, coalesce: bool) -> Wake {
    Wake {
        robot,
        max_attempts: 3,
        coalesce,
    }
}

async fn the_same_event_twice_is_one(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let new = |id| NewEvent {
        event: event(id),
        wakes: vec![wake(robots[0], false), wake(robots[1], false)],
    };
    let done = store
        .event_append(vec![new("1"), new("2"), new("1")], at(1))
        .await
        .unwrap();
    assert_eq!(
        (done.accepted, done.duplicates, done.tasks.len()),
        (2, 1, 4)
    );
    let done = store
        .event_append(vec![new("2"), new("3")], at(2))
        .await
        .unwrap();
    assert_eq!(
        (done.accepted, done.duplicates, done.tasks.len()),
        (1, 1, 2)
    );
    let listed = store
        .event_list(EventFilter::default(), first(10))
        .await
        .unwrap()
        .items;
    assert_eq!(
        listed
            .iter()
            .map(|e| e.event.id.as_str())
            .collect::<Vec<_>>(),
        ["3", "2", "1"]
    );
    assert_eq!(listed[0].event, event("3"));
    let none = EventFilter {
        kind: Some("other".to_owned()),
        ..EventFilter::default()
    };
    assert_eq!(store.event_list(none, first(10)).await.unwrap().items, []);
    let claimed = store
        .task_claim(node, vec![(robots[0], 1)], at(3))
        .await
        .unwrap();
    assert_eq!(
        claimed[0].payload,
        serde_json::to_value(event("1")).unwrap()
    );
    assert_eq!(claimed[0].max_attempts, 3);
}

async fn a_robot_that_only_looks_has_one_waiting_task(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let new = |id| NewEvent {
        event: event(id),
        wakes: vec![wake(robots[0], true)],
    };
    let done = store
        .event_append(vec![new("1"), new("2")], at(1))
        .await
        .unwrap();
    assert_eq!((done.accepted, done.tasks.len()), (2, 1));
    assert_eq!(
        store
            .event_append(vec![new("3")], at(2))
            .await
            .unwrap()
            .tasks,
        []
    );
    store
        .task_claim(node, vec![(robots[0], 1)], at(3))
        .await
        .unwrap();
    let done = store.event_append(vec![new("4")], at(4)).await.unwrap();
    assert_eq!(
        done.tasks.len(),
        1,
        "the running one may have looked already"
    );
}
