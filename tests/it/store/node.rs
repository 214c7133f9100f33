//! Nodes, the lock of the only one, and the key check.

use robotd::store::StoreError;
use robotd::store::node::NodeState;

use super::make::{at, ground};
use crate::support::database::{Database, on_both};

on_both!(
    the_only_node_declares_the_others_dead,
    the_key_check_is_kept_once
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
