//! Credentials that need an operation.

use std::time::Duration;

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{ChangeCause, OperationState};
use robotd::robot::inventory::NewItem;
use robotd::store::Store;
use robotd::store::due::Expiry;
use serde_json::json;

use super::inventory::{by, fields, inventory, make};
use super::make::at;
use super::operation::{HOLDER, change_of, credentials, end, order};
use super::registrations::credential;
use crate::support::database::{Database, on_both};

on_both!(
    a_credential_is_found_when_its_time_is_over,
    a_credential_is_found_after_its_use,
    an_account_is_found_once_and_the_highest_priority_first,
    a_viewer_has_some_time_and_no_more,
);

/// Those whose time is over, but for what failed within a minute.
async fn expired(store: &Store, seconds: i64, head_start: u64) -> Vec<(InventoryId, ChangeCause)> {
    let expiry = Expiry {
        at: at(seconds),
        failed_before: at(seconds - 60),
        head_start: Duration::from_secs(head_start),
        sites: Vec::new(),
    };
    let due = store.credential_due(expiry, 9).await.unwrap();
    due.into_iter()
        .map(|one| (one.credential, one.cause))
        .collect()
}

async fn a_credential_is_found_when_its_time_is_over(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let ids = credentials(&inventory, 6).await;
    let policy = json!({"name": "p", "max_age": "PT100S", "expires_after_view": "PT10S"});
    let policy = make(&inventory, Noun::CredentialPolicy, policy).await.id;
    let patch = async |index: usize, body: serde_json::Value| {
        let patch = NewItem {
            fields: fields(body),
            secret: None,
        };
        inventory
            .change(Noun::Credential, ids[index], None, &patch, by(1).into())
            .await
            .unwrap();
    };
    patch(0, json!({"expires_at": at(30)})).await;
    patch(1, json!({"expires_at": at(30), "automatic_change": false})).await;
    patch(2, json!({"expires_at": at(30), "enabled": false})).await;
    patch(3, json!({"policy": policy})).await;
    patch(4, json!({"policy": policy})).await;
    inventory
        .view_secret(ids[4], None, by(5).into())
        .await
        .unwrap();
    let found = async |seconds| {
        let found = expired(store, seconds, 0).await;
        found.into_iter().unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let viewed = || (vec![ids[4]], vec![ChangeCause::Viewed]);
    assert_eq!(found(14).await.0, []);
    assert_eq!(found(15).await, viewed(), "ten seconds after the view");
    let (mut both, causes) = found(30).await;
    both.sort_unstable();
    assert_eq!(both, [ids[0], ids[4]]);
    assert!(causes.contains(&ChangeCause::Expired) && causes.contains(&ChangeCause::Viewed));
    assert_eq!(found(101).await.0.len(), 3, "and a hundred seconds old");
    // With a head start, of which half of the age is the bound.
    for (seconds, head_start, old) in [(70, 30, 0), (71, 30, 1), (50, 90, 0), (51, 90, 1)] {
        let found = expired(store, seconds, head_start).await;
        let aged = found.iter().filter(|(id, _)| *id == ids[3]).count();
        assert_eq!(aged, old, "{seconds} {head_start}");
    }
    // An open change, and one that failed a moment ago, are enough.
    order(store, vec![change_of(ids[0])], 31).await;
    assert_eq!(found(32).await, viewed());
    let claimed = store
        .operation_claim(HOLDER, at(99), u32::MAX, at(33))
        .await
        .unwrap()
        .unwrap();
    store
        .operation_end(end(&claimed, OperationState::Failed, None), at(34))
        .await
        .unwrap();
    assert_eq!(found(93).await, viewed());
    assert!(found(95).await.0.contains(&ids[0]));
    // Changed after its time, it is a new one.
    let patch = NewItem {
        secret: Some("two".into()),
        ..NewItem::default()
    };
    inventory
        .change(Noun::Credential, ids[0], None, &patch, by(40).into())
        .await
        .unwrap();
    assert!(!found(95).await.0.contains(&ids[0]));
}

async fn a_credential_is_found_after_its_use(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let ids = credentials(&inventory, 2).await;
    let policy = json!({"name": "p", "expires_after_use": "PT10S"});
    let policy = make(&inventory, Noun::CredentialPolicy, policy).await.id;
    let patch = |policy: Option<InventoryId>, secret: Option<&str>| NewItem {
        fields: fields(policy.map_or(json!({}), |policy| json!({"policy": policy}))),
        secret: secret.map(Into::into),
    };
    let change = async |patch: NewItem, seconds| {
        let changed = inventory.change(Noun::Credential, ids[0], None, &patch, by(seconds).into());
        changed.await.unwrap();
    };
    change(patch(Some(policy), None), 1).await;
    let used = async |index: usize, seconds| store.credential_used(ids[index], at(seconds)).await;
    assert!(used(0, 20).await.unwrap() && used(1, 20).await.unwrap());
    assert!(!used(0, 15).await.unwrap(), "an older session");
    assert!(
        !store
            .credential_used(InventoryId(99), at(20))
            .await
            .unwrap()
    );
    let found = async |seconds| expired(store, seconds, 60).await;
    assert_eq!(found(29).await, []);
    assert_eq!(
        found(30).await,
        [(ids[0], ChangeCause::Used)],
        "the other one has no policy"
    );
    change(patch(None, Some("two")), 31).await;
    assert_eq!(found(99).await, [], "it is another secret");
}

async fn an_account_is_found_once_and_the_highest_priority_first(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let mut policies = Vec::new();
    for (name, priority) in [("low", 1), ("high", 9)] {
        let policy = json!({"name": name, "priority": priority, "max_age": "PT10S"});
        policies.push(make(&inventory, Noun::CredentialPolicy, policy).await.id);
    }
    let mut ids = Vec::new();
    for (host, name, domain, policy) in [
        ("a", "first", None, policies[0]),
        ("b", "news", Some("TEST"), policies[1]),
        ("c", "NEWS", Some("test"), policies[1]),
        ("d", "news", None, policies[1]),
    ] {
        let body = json!({"username": name, "domain": domain, "policy": policy});
        ids.push(credential(&inventory, host, body).await);
    }
    let found = async |seconds| {
        let found = expired(store, seconds, 0).await;
        found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(found(11).await, [ids[1], ids[3], ids[0]]);
    // The change of one registration is that of the account.
    order(store, vec![change_of(ids[2])], 12).await;
    assert_eq!(found(13).await, [ids[3], ids[0]]);
    let claimed = store
        .operation_claim(HOLDER, at(99), u32::MAX, at(14))
        .await
        .unwrap()
        .unwrap();
    let failed = end(&claimed, OperationState::Failed, None);
    store.operation_end(failed, at(15)).await.unwrap();
    assert_eq!(found(16).await, [ids[3], ids[0]], "and so is its failure");
    assert_eq!(found(76).await, [ids[1], ids[3], ids[0]]);
}

async fn a_viewer_has_some_time_and_no_more(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let mut ids = Vec::new();
    for (name, wait, age) in [
        ("waits", Some("PT30S"), Some("PT10S")),
        ("view", None, None),
    ] {
        let policy = json!({"name": name, "max_age": age, "expires_after_view": "PT40S", "wait_after_view": wait});
        let policy = make(&inventory, Noun::CredentialPolicy, policy).await.id;
        let body = json!({"username": "u", "policy": policy});
        ids.push(credential(&inventory, name, body).await);
    }
    let viewed = async |seconds| {
        for id in &ids {
            let view = inventory.view_secret(*id, None, by(seconds).into());
            view.await.unwrap();
        }
    };
    let found = async |seconds| expired(store, seconds, 0).await;
    viewed(5).await;
    let waits = (ids[0], ChangeCause::Expired);
    assert_eq!(found(34).await, [], "it is too old, and was seen 29 s ago");
    assert_eq!(found(35).await, [waits]);
    viewed(30).await;
    assert_eq!(found(40).await, []);
    let view = (ids[1], ChangeCause::Viewed);
    // It was due at 11; and the first view counts, or looking often enough would keep a secret for ever.
    assert_eq!(found(41).await, [waits]);
    assert_eq!(found(44).await, [waits]);
    assert_eq!(found(45).await, [waits, view]);
}
