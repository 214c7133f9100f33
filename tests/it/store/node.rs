//! Nodes, the lock of the only one, and the key check.

use robotd::store::StoreError;
use robotd::store::node::NodeState;

use super::make::{at, beat, ground, task};
use crate::support::database::{Database, on_all};

on_all!(
    the_only_node_declares_the_others_dead,
    the_key_check_is_kept_once,
    who_lives_no_more_claims_nothing,
);

async fn the_only_node_declares_the_others_dead(database: &Database) {
    let (store, (_, node)) = (&database.store, ground(&database.store).await);
    let other = database.open_again().await;
    store.hold_exclusively().await.unwrap();
    store.hold_exclusively().await.unwrap();
    assert!(matches!(
        other.hold_exclusively().await,
        Err(StoreError::Conflict { .. })
    ));
    let next = store.node_start("here", "0.2.0", 7, at(5)).await.unwrap();
    let states: Vec<_> = store
        .node_list()
        .await
        .unwrap()
        .iter()
        .map(|n| (n.id, n.state))
        .collect();
    assert_eq!(states, [(next, NodeState::Alive), (node, NodeState::Dead)]);
    store.node_stop(next, at(6)).await.unwrap();
    assert_eq!(
        store.node_list().await.unwrap()[0].state,
        NodeState::Stopped
    );
}

async fn who_lives_no_more_claims_nothing(database: &Database) {
    let (store, (robots, node)) = (&database.store, ground(&database.store).await);
    let other = store.node_start("there", "0.1.0", 2, at(0)).await.unwrap();
    store.task_add(vec![task(robots[0])], at(1)).await.unwrap();
    let heard = store.node_beat(other, beat(20, 10)).await.unwrap().unwrap();
    assert_eq!(heard.dead, [node]);
    let claim = |node| store.task_claim(node, vec![(robots[0], 1)], at(21));
    assert!(matches!(claim(node).await, Err(StoreError::Unavailable(_))));
    assert_eq!(claim(other).await.unwrap().len(), 1, "it still waits");
}

/// What a node claims is either there when it is declared dead, or never.
#[tokio::test]
async fn nobody_is_declared_dead_in_the_middle_of_a_claim() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (store, (_, node)) = (&database.store, ground(&database.store).await);
    let other = store.node_start("there", "0.1.0", 2, at(0)).await.unwrap();
    // As a claim holds it.
    let session = database.session().await;
    let hold = format!("BEGIN; SELECT id FROM nodes WHERE id = {node} FOR KEY SHARE");
    session.batch_execute(&hold).await.unwrap();
    let heard = store.node_beat(other, beat(20, 10)).await.unwrap().unwrap();
    assert_eq!(heard.dead, []);
    assert!(
        store.node_beat(node, beat(9, 0)).await.unwrap().is_some(),
        "its own heartbeat does not wait"
    );
    session.batch_execute("COMMIT").await.unwrap();
    let heard = store.node_beat(other, beat(20, 10)).await.unwrap().unwrap();
    assert_eq!(heard.dead, [node]);
}

async fn the_key_check_is_kept_once(database: &Database) {
    let store = &database.store;
    assert_eq!(store.key_check_get().await.unwrap(), None);
    store.key_check_set("a").await.unwrap();
    store.key_check_set("a").await.unwrap();
    assert!(matches!(
        store.key_check_set("b").await,
        Err(StoreError::Conflict { .. })
    ));
    assert_eq!(store.key_check_get().await.unwrap().as_deref(), Some("a"));
    store.ping().await.unwrap();
}
