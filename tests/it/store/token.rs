//! Tokens and the check value of the master key.

use robotd::domain::access::{Role, token_hash};
use robotd::domain::time::{Timestamp, from_micros};
use robotd::store::StoreError;

use crate::support::database::{Database, on_both};

on_both!(
    a_token_is_found_by_its_hash_until_it_is_withdrawn,
    a_name_belongs_to_one_living_token,
    a_database_has_one_master_key
);

fn at(second: i64) -> Timestamp {
    from_micros(1_800_000_000_000_000 + second * 1_000_000)
}

async fn a_token_is_found_by_its_hash_until_it_is_withdrawn(database: &Database) {
    let store = &database.store;
    let hash = token_hash("rbt_one");
    assert_eq!(store.token_find(hash).await.unwrap(), None);
    let made = store
        .token_create("ci", Role::Operator, hash, at(0))
        .await
        .unwrap();
    assert_eq!(
        (
            made.name.as_str(),
            made.role,
            made.created_at,
            made.revoked_at
        ),
        ("ci", Role::Operator, at(0), None)
    );
    assert_eq!(store.token_find(hash).await.unwrap(), Some(made));
    assert_eq!(store.token_find(token_hash("rbt_two")).await.unwrap(), None);
    store.token_revoke("ci", at(1)).await.unwrap();
    assert_eq!(store.token_find(hash).await.unwrap(), None);
    assert_eq!(store.token_list().await.unwrap()[0].revoked_at, Some(at(1)));
    assert!(matches!(
        store.token_revoke("ci", at(2)).await,
        Err(StoreError::NotFound { .. })
    ));
}

async fn a_name_belongs_to_one_living_token(database: &Database) {
    let store = &database.store;
    store
        .token_create("ci", Role::Admin, token_hash("1"), at(0))
        .await
        .unwrap();
    let again = store
        .token_create("ci", Role::Viewer, token_hash("2"), at(0))
        .await;
    assert!(
        matches!(again, Err(StoreError::Conflict { .. })),
        "{again:?}"
    );
    assert_eq!(store.token_find(token_hash("2")).await.unwrap(), None);
    store.token_revoke("ci", at(1)).await.unwrap();
    store
        .token_create("ci", Role::Viewer, token_hash("2"), at(2))
        .await
        .unwrap();
    store
        .token_create("b", Role::Viewer, token_hash("3"), at(3))
        .await
        .unwrap();
    let list = store.token_list().await.unwrap();
    let shown: Vec<_> = list
        .iter()
        .map(|token| (token.name.as_str(), token.revoked_at.is_some()))
        .collect();
    assert_eq!(shown, [("b", false), ("ci", false), ("ci", true)]);
}

async fn a_database_has_one_master_key(database: &Database) {
    let store = &database.store;
    assert_eq!(store.key_check_get().await.unwrap(), None);
    store.key_check_set("abc").await.unwrap();
    store.key_check_set("abc").await.unwrap();
    assert!(matches!(
        store.key_check_set("xyz").await,
        Err(StoreError::Conflict { .. })
    ));
    assert_eq!(store.key_check_get().await.unwrap().as_deref(), Some("abc"));
}
