//! Shares: what nodes hold of a robot's instances, and being one of several nodes.

use robotd::domain::id::{NodeId, RobotId};
use robotd::store::share::{Share, ShareClaim};
use robotd::store::signal::Signal;
use robotd::store::{Store, StoreError};

use super::make::{at, ground, success, task};
use crate::support::database::{Database, on_all};

on_all!(slots_wander_and_are_never_more_than_the_instances);

fn claim(robot: RobotId, instances: u32, busy: u32) -> ShareClaim {
    ShareClaim {
        robot,
        revision: 1,
        instances,
        busy,
    }
}

async fn exchange(store: &Store, node: NodeId, claim: ShareClaim) -> Share {
    let shares = store.share_exchange(node, vec![claim]).await.unwrap();
    shares.expect("it lives")[0]
}

async fn slots_wander_and_are_never_more_than_the_instances(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let robot = robots[0];
    let slots = || database.number("SELECT COALESCE(sum(slots), 0) FROM shares");
    assert_eq!(exchange(store, node, claim(robot, 4, 0)).await.slots, 4);
    let other = store.node_start("there", "0.1.0", 2, at(0)).await.unwrap();
    let share = exchange(store, other, claim(robot, 4, 0)).await;
    assert_eq!((share.slots, share.target), (0, 2), "nothing is free yet");
    // Three run: one slot can go, not two.
    let share = exchange(store, node, claim(robot, 4, 3)).await;
    assert_eq!((share.slots, share.target), (3, 2));
    assert_eq!(exchange(store, other, claim(robot, 4, 0)).await.slots, 1);
    assert_eq!(slots().await, 4);
    // Whoever knows an older configuration gets nothing by it.
    let older = ShareClaim {
        revision: 0,
        ..claim(robot, 9, 1)
    };
    let share = exchange(store, other, older).await;
    assert_eq!((share.slots, share.stale), (1, true));

    // The slots of a dead node are free when nothing of what it ran is left.
    store.task_add(vec![task(robot)], at(1)).await.unwrap();
    let run = store
        .task_claim(node, vec![(robot, 1)], at(1))
        .await
        .unwrap();
    store.node_stop(node, at(2)).await.unwrap();
    assert_eq!(exchange(store, other, claim(robot, 4, 1)).await.slots, 1);
    store
        .task_complete(vec![success(&run[0], 3)])
        .await
        .unwrap();
    assert_eq!(exchange(store, other, claim(robot, 4, 1)).await.slots, 4);
    assert_eq!(slots().await, 4);
    // Less instances: as soon as the runs have ended.
    assert_eq!(exchange(store, other, claim(robot, 2, 3)).await.slots, 3);
    assert_eq!(exchange(store, other, claim(robot, 2, 0)).await.slots, 2);
    let gone = store.share_exchange(node, vec![claim(robot, 4, 0)]).await;
    assert_eq!(gone.unwrap(), None);
}

#[tokio::test]
async fn several_nodes_share_a_server_and_hear_each_other() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (one, two) = (&database.store, database.open_again().await);
    one.join().await.unwrap();
    let (robots, node) = ground(one).await;
    two.join().await.unwrap();
    let mut heard = two.signals();
    let other = two.node_start("there", "0.1.0", 2, at(0)).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), Signal::Nodes, "its own");
    // Who wants the database for itself waits a while, and is refused.
    let alone = database.open_again().await;
    let conversation = async {
        one.set_peers(true);
        one.task_add(vec![task(robots[0])], at(1)).await.unwrap();
        loop {
            // What was told before is heard first.
            match heard.recv().await.unwrap() {
                Signal::Nodes => {}
                signal => break assert_eq!(signal, Signal::TasksReady(vec![robots[0]])),
            }
        }
        // Two that claim at once share what there is.
        two.set_peers(true);
        one.task_add(vec![task(robots[1]); 40], at(1))
            .await
            .unwrap();
        let demand = || vec![(robots[1], 20)];
        let (a, b) = tokio::join!(
            one.task_claim(node, demand(), at(2)),
            two.task_claim(other, demand(), at(2))
        );
        assert_eq!((a.unwrap().len(), b.unwrap().len()), (20, 20));
    };
    let (refused, ()) = tokio::join!(alone.hold_exclusively(), conversation);
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
}
