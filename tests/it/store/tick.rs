//! The ledger: an instant is decided exactly once.

use robotd::domain::id::{NodeId, RobotId};
use robotd::domain::task::{TaskStatus, Trigger};
use robotd::domain::tick::Decision;
use robotd::store::node::{NodeState, Term};
use robotd::store::page::PageRequest;
use robotd::store::task::{NewTask, TaskFilter};
use robotd::store::tick::{NewTick, TickFilter};

use super::make::{at, beat, first, ground, lead, task};
use crate::support::database::{Database, on_all};

on_all!(
    two_recorders_decide_an_instant_once,
    ticks_are_listed_by_their_instant,
    only_who_leads_decides,
    an_instant_is_decided_for_each_node_whose_task_nobody_else_runs,
);

async fn two_recorders_decide_an_instant_once(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let other = database.open_again().await;
    let term = lead(store, node).await;
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
        for_node: None,
    };
    let mut new = 0;
    for seconds in 0..20 {
        let batch = vec![fired(seconds), fired(seconds + 1), fired(seconds)];
        let (one, two) = tokio::join!(
            store.tick_record(node, term, batch.clone(), at(seconds)),
            other.tick_record(node, term, batch, at(seconds))
        );
        new += one.unwrap().unwrap() + two.unwrap().unwrap();
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
    let term = lead(store, node).await;
    let tick = |seconds, robot, decision| NewTick {
        robot,
        planned_at: at(seconds),
        through: (decision == Decision::Missed).then(|| at(seconds + 5)),
        count: 1,
        decision,
        task: None,
        for_node: None,
    };
    for (seconds, robot, decision) in [
        (30, robots[0], Decision::SkippedWindow),
        (10, robots[1], Decision::Missed),
        (20, robots[0], Decision::SkippedWindow),
        (10, robots[2], Decision::SkippedPaused),
    ] {
        store
            .tick_record(node, term, vec![tick(seconds, robot, decision)], at(40))
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

/// The decision that robot and instant fire, for all nodes or for one.
fn fired(robot: RobotId, seconds: i64, for_node: Option<NodeId>) -> NewTick {
    NewTick {
        robot,
        planned_at: at(seconds),
        through: None,
        count: 1,
        decision: Decision::Fired,
        task: Some(NewTask {
            trigger: Trigger::Tick,
            planned_at: Some(at(seconds)),
            for_node,
            ..task(robot)
        }),
        for_node,
    }
}

async fn only_who_leads_decides(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let other = store.node_start("there", "0.1.0", 2, at(0)).await.unwrap();
    let term = lead(store, node).await;
    let heard = |node, seconds, silent| store.node_beat(node, beat(seconds, silent));
    let follows = heard(other, 1, 0).await.unwrap().unwrap();
    assert_eq!((follows.term, follows.alive), (None, vec![node, other]));
    let decide = async |node, term, seconds| {
        let ticks = vec![fired(robots[0], seconds, None)];
        store
            .tick_record(node, term, ticks, at(seconds))
            .await
            .unwrap()
    };
    assert_eq!(decide(node, term, 1).await, Some(1));
    assert_eq!(decide(other, term, 2).await, None, "another node's term");
    assert_eq!(decide(node, Term(term.0 + 1), 2).await, None, "not begun");

    // Who is silent too long leads no more, and what it decides then is not written.
    let leads = heard(other, 20, 10).await.unwrap().unwrap();
    assert_eq!(
        (leads.dead, leads.term),
        (vec![node], Some(Term(term.0 + 1)))
    );
    assert_eq!(decide(node, term, 21).await, None);
    assert_eq!(decide(other, Term(term.0 + 1), 21).await, Some(1));
    assert_eq!(
        store.robot_list().await.unwrap()[0].last_tick_at,
        Some(at(21))
    );

    // Who is about to end hands over, and takes nothing more.
    let third = store.node_start("new", "0.1.0", 3, at(22)).await.unwrap();
    assert_eq!(heard(third, 22, 10).await.unwrap().unwrap().term, None);
    store.node_drain(other).await.unwrap();
    let heard_after = heard(other, 23, 10).await.unwrap().unwrap();
    assert_eq!(
        heard_after.term,
        Some(Term(term.0 + 1)),
        "until somebody takes it"
    );
    assert_eq!(
        heard(third, 24, 10).await.unwrap().unwrap().term,
        Some(Term(term.0 + 2))
    );
    assert_eq!(heard(other, 25, 10).await.unwrap().unwrap().term, None);
    store.node_stop(third, at(26)).await.unwrap();
    assert_eq!(heard(other, 27, 10).await.unwrap().unwrap().term, None);
    let states: Vec<_> = store
        .node_list()
        .await
        .unwrap()
        .iter()
        .map(|node| node.state)
        .collect();
    assert_eq!(
        states,
        [NodeState::Stopped, NodeState::Draining, NodeState::Dead]
    );
}

async fn an_instant_is_decided_for_each_node_whose_task_nobody_else_runs(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let other = store.node_start("there", "0.1.0", 2, at(0)).await.unwrap();
    let (term, robot) = (lead(store, node).await, robots[0]);
    let for_both = || vec![fired(robot, 1, Some(node)), fired(robot, 1, Some(other))];
    for new in [2, 0] {
        let recorded = store.tick_record(node, term, for_both(), at(1)).await;
        assert_eq!(recorded.unwrap(), Some(new));
    }
    let ticks = store
        .tick_list(TickFilter::default(), first(10))
        .await
        .unwrap();
    let nodes: Vec<_> = ticks
        .items
        .iter()
        .filter_map(|tick| tick.for_node)
        .collect();
    assert_eq!(nodes, [other, node]);

    let own = store
        .task_claim(other, vec![(robot, 9)], at(2))
        .await
        .unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(Some(own[0].task), ticks.items[0].task);
    let places = vec![(robot, Some(node)), (robot, Some(other)), (robot, None)];
    let open = store.task_open_runs(places.clone()).await.unwrap();
    let found: Vec<_> = places
        .iter()
        .map(|place| (open[place].all, open[place].waiting))
        .collect();
    assert_eq!(found, [(1, 1), (1, 0), (2, 1)]);

    // With its node a task ends, whether it waits or is to be tried again.
    assert_eq!(store.task_strand(at(3), 10).await.unwrap(), 0);
    store.node_stop(node, at(3)).await.unwrap();
    assert_eq!(store.task_strand(at(3), 10).await.unwrap(), 1);
    let task = store
        .task_get(ticks.items[1].task.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(task.status, TaskStatus::Cancelled);
    assert!(task.error.unwrap().contains("node"), "it says why");
    let running = store.task_get(own[0].task).await.unwrap().unwrap();
    assert_eq!(running.status, TaskStatus::Running);
}
