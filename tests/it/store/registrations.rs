//! An account of a domain that is registered for several devices has one secret.

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{Finding, OperationState};
use robotd::domain::secret::Secret;
use robotd::robot::inventory::{Inventory, NewItem, Secrets};
use robotd::store::Store;
use robotd::store::audit::NewAudit;
use robotd::store::secret::{CandidateCommit, Registration, SecretKept};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::inventory::{by, fields, inventory, make};
use super::make::at;
use super::operation::{HOLDER, change_of, end, order};
use crate::support::database::{Database, on_both};

on_both!(what_is_put_in_force_for_one_is_for_all);

/// A credential with the secret `one` on a device of its own.
pub async fn credential(inventory: &Inventory, host: &str, mut body: Value) -> InventoryId {
    let device = json!({"hostname": host, "address": "a"});
    let device = make(inventory, Noun::Device, device).await.id;
    body["device"] = json!(device);
    body["automatic_change"] = json!(true);
    let new = NewItem {
        fields: fields(body),
        secret: Some("one".into()),
    };
    let made = inventory.create(Noun::Credential, Vec::from([new]), by(1).into());
    made.await.unwrap()[0].id
}

/// Current, candidate and previous as version and text.
async fn kept(inventory: &Inventory, id: InventoryId) -> [Option<(i64, String)>; 3] {
    let Secrets {
        current,
        candidate,
        previous,
    } = inventory.secrets(id).await.unwrap();
    [current, candidate, previous]
        .map(|one| one.map(|one| (one.version, one.secret.expose_secret().to_owned())))
}

fn some(version: i64, text: &str) -> Option<(i64, String)> {
    Some((version, text.to_owned()))
}

async fn what_is_put_in_force_for_one_is_for_all(database: &Database) {
    let (store, inventory) = (&database.store, inventory(&database.store).await);
    let news = json!({"username": "news", "domain": "TEST"});
    let news = credential(&inventory, "a", news).await;
    let same = json!({"username": "News", "domain": "test", "enabled": false});
    let same = credential(&inventory, "b", same).await;
    let others = of_other_accounts(&inventory).await;
    let registered = Registration {
        credential: same,
        current: 1,
        latest: 1,
    };
    let found = store.credential_registrations(news).await.unwrap();
    assert_eq!(found, [registered]);
    for other in &others {
        let found = store.credential_registrations(*other).await.unwrap();
        assert_eq!(found, [], "{other}");
    }
    let candidate = async |id, text: &str| {
        let secret = Secret::from(text);
        let kept = inventory.candidate_set(id, &secret, by(2).into());
        kept.await.unwrap()
    };
    // A change of the other registration was cut off: its candidate stays, and is settled like any other.
    assert_eq!(candidate(same, "cut off").await, 2);
    assert_eq!(candidate(news, "two").await, 2);
    let commit = inventory.candidate_commit(news, 2, Some(1), by(3).into());
    commit.await.unwrap();
    assert_eq!(
        kept(&inventory, news).await,
        [some(2, "two"), None, some(1, "one")]
    );
    assert_eq!(
        kept(&inventory, same).await,
        [some(3, "two"), some(2, "cut off"), some(1, "one")]
    );
    for other in others {
        assert_eq!(kept(&inventory, other).await, [some(1, "one"), None, None]);
    }
    for rows in [
        "events WHERE type = 'credential.password_changed'",
        "audit_trail WHERE action = 'credential.password_change'",
    ] {
        let count = format!("SELECT count(*) FROM {rows}");
        assert_eq!(database.number(&count).await, 2, "{rows}");
    }
    a_refusal_counts_for_the_secret_that_was_asked_for(&inventory, store, same).await;
    assert_eq!(candidate(news, "three").await, 3);
    who_does_not_know_of_the_other_one_writes_nothing(store, news).await;
    assert_eq!(
        kept(&inventory, news).await,
        [some(2, "two"), some(3, "three"), some(1, "one")]
    );
}

async fn of_other_accounts(inventory: &Inventory) -> Vec<InventoryId> {
    let mut others = Vec::new();
    for (host, name, domain) in [
        ("c", "news", None),
        ("d", "news", Some("OTHER")),
        ("e", "newsroom", Some("TEST")),
        ("f", "news", Some("TESTS")),
    ] {
        let body = json!({"username": name, "domain": domain});
        others.push(credential(inventory, host, body).await);
    }
    others
}

/// An attempt that began before the account's secret was another one was refused.
async fn a_refusal_counts_for_the_secret_that_was_asked_for(
    inventory: &Inventory,
    store: &Store,
    id: InventoryId,
) {
    for (began, found) in [(2, Value::Null), (3, json!("mismatch"))] {
        order(store, Vec::from([change_of(id)]), 4).await;
        let claimed = store.operation_claim(HOLDER, at(99), u32::MAX, at(5)).await;
        let mut refused = end(&claimed.unwrap().unwrap(), OperationState::Failed, None);
        refused.attempt.started_at = at(began);
        refused.finding = Some(Finding::Mismatch);
        assert!(store.operation_end(refused, at(6)).await.unwrap());
        let item = inventory.get(Noun::Credential, id).await.unwrap();
        assert_eq!(item.state["secret_state"], found, "{began}");
    }
}

async fn who_does_not_know_of_the_other_one_writes_nothing(store: &Store, news: InventoryId) {
    let late = CandidateCommit {
        credential: news,
        candidate: 3,
        current: Some(2),
        shared: Vec::new(),
        audit: NewAudit {
            actor: "ana".to_owned(),
            action: "credential.password_change".to_owned(),
            object: format!("credential:{news}"),
            before: None,
            after: None,
        },
        events: Vec::new(),
    };
    let late = store.credential_candidate_commit(late, at(4)).await;
    assert_eq!(late.unwrap(), SecretKept::Moved);
}
