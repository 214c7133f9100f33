//! The ledger: an instant is decided exactly once.

use robotd::domain::task::Trigger;
use robotd::domain::tick::Decision;
use robotd::store::page::PageRequest;
use robotd::store::task::{NewTask, TaskFilter};
use robotd::store::tick::{NewTick, TickFilter};

use super::make::{at, first, ground, task};
use crate::support::database::{Database, on_both};

on_both!(
    two_recorders_decide_an_instant_once,
    ticks_are_listed_by_their_instant
);

async fn two_recorders_decide_an_instant_once(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let other = database.open_again().await;
    let fired = |seconds| NewTick {
        robot: robots[0],
        planned_at: at(seconds),
        through: None,
        count: 1,
        decision: Decision::Fired,
        task: Some(NewTask {
            trigger: Trigger::Tick,
            planned_at: Some(at(seconds)),
            ..task(robots[0])
        }),
    };
    let mut new = 0;
    for seconds in 0..20 {
        let batch = vec![fired(seconds), fired(seconds + 1), fired(seconds)];
        let (one, two) = tokio::join!(
            store.tick_record(node, batch.clone(), at(seconds)),
            other.tick_record(node, batch, at(seconds))
        );
        new += one.unwrap() + two.unwrap();
    }
    assert_eq!(new, 21);
    let tasks = store
        .task_list(TaskFilter::default(), first(500))
        .await
        .unwrap()
        .items;
    assert_eq!(tasks.len(), 21);
    let ticks = store
        .tick_list(TickFilter::default(), first(500))
        .await
        .unwrap()
        .items;
    for tick in &ticks {
        let run = tasks
            .iter()
            .find(|task| Some(task.id) == tick.task)
            .unwrap();
        assert_eq!(
            run.planned_at,
            Some(tick.planned_at),
            "the run is the instant's own"
        );
    }
    assert_eq!(
        store.robot_list().await.unwrap()[0].last_tick_at,
        Some(at(20))
    );
}

async fn ticks_are_listed_by_their_instant(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let tick = |seconds, robot, decision| NewTick {
        robot,
        planned_at: at(seconds),
        through: (decision == Decision::Missed).then(|| at(seconds + 5)),
        count: 1,
        decision,
        task: None,
    };
    for (seconds, robot, decision) in [
        (30, robots[0], Decision::SkippedWindow),
        (10, robots[1], Decision::Missed),
        (20, robots[0], Decision::SkippedWindow),
        (10, robots[2], Decision::SkippedPaused),
    ] {
        store
            .tick_record(node, vec![tick(seconds, robot, decision)], at(40))
            .await
            .unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .tick_list(TickFilter::default(), PageRequest { limit: 1, after })
            .await
            .unwrap();
        seen.extend(page.items.iter().map(|tick| (tick.planned_at, tick.robot)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected = [
        (30, robots[0]),
        (20, robots[0]),
        (10, robots[2]),
        (10, robots[1]),
    ];
    assert_eq!(seen, expected.map(|(seconds, robot)| (at(seconds), robot)));
    let skipped = TickFilter {
        decision: Some(Decision::SkippedWindow),
        ..TickFilter::default()
    };
    assert_eq!(
        store
            .tick_list(skipped, first(10))
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    let rows = store.robot_list().await.unwrap();
    assert_eq!(rows[0].last_tick_at, Some(at(30)), "never back");
    assert_eq!(rows[1].last_tick_at, Some(at(15)), "the end of the range");
}
