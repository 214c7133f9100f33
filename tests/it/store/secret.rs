//! Secrets: versions and their bound, the three steps of a change, views, and what was tampered with.

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::secret::Secret;
use robotd::robot::inventory::{Inventory, InventoryError, NewItem, Secrets};
use robotd::store::StoreError;
use robotd::store::audit::AuditFilter;
use robotd::store::event::EventFilter;
use secrecy::ExposeSecret;
use serde_json::json;

use super::inventory::{by, fields, inventory, make};
use super::make::first;
use crate::support::database::{Database, on_both};

on_both!(
    a_candidate_takes_the_current_ones_place,
    a_candidate_is_one_and_can_be_dropped,
    a_change_that_was_overtaken_is_refused,
    ten_old_versions_are_kept,
    a_view_is_recorded_before_it_is_shown,
    a_changed_byte_shuts_a_secret,
    a_secret_does_not_open_in_another_row,
    a_credential_without_a_secret_shows_none,
);

/// A credential with the secret `one`.
async fn credential(inventory: &Inventory) -> InventoryId {
    let device = make(
        inventory,
        Noun::Device,
        json!({"hostname": "h", "address": "a"}),
    )
    .await
    .id;
    let new = NewItem {
        fields: fields(json!({"device": device, "username": "u", "automatic_change": true})),
        secret: Some("one".into()),
    };
    let made = inventory
        .create(Noun::Credential, Vec::from([new]), by(1).into())
        .await;
    made.unwrap()[0].id
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

async fn set(inventory: &Inventory, id: InventoryId, text: &str) {
    let patch = NewItem {
        secret: Some(text.into()),
        ..NewItem::default()
    };
    inventory
        .change(Noun::Credential, id, None, &patch, by(2).into())
        .await
        .unwrap();
}

async fn a_candidate_takes_the_current_ones_place(database: &Database) {
    let inventory = inventory(&database.store).await;
    let id = credential(&inventory).await;
    let candidate = Secret::from("two");
    assert_eq!(
        inventory
            .candidate_set(id, &candidate, by(2).into())
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        kept(&inventory, id).await,
        [some(1, "one"), some(2, "two"), None]
    );
    inventory
        .candidate_commit(id, 2, Some(1), by(3).into())
        .await
        .unwrap();
    assert_eq!(
        kept(&inventory, id).await,
        [some(2, "two"), None, some(1, "one")]
    );
    let shown = inventory.get(Noun::Credential, id).await.unwrap();
    assert_eq!(
        (shown.revision, &shown.state["secret_version"]),
        (1, &json!(2))
    );
    let events = database
        .store
        .event_list(EventFilter::default(), first(1))
        .await
        .unwrap();
    assert_eq!(events.items[0].event.kind, "credential.password_changed");
    assert_eq!(events.items[0].event.problems(), []);
    let trail = database
        .store
        .audit_list(AuditFilter::default(), first(1))
        .await
        .unwrap();
    assert_eq!(trail.items[0].action, "credential.password_change");
}

async fn a_candidate_is_one_and_can_be_dropped(database: &Database) {
    let inventory = inventory(&database.store).await;
    let id = credential(&inventory).await;
    let candidate = Secret::from("two");
    inventory
        .candidate_set(id, &candidate, by(2).into())
        .await
        .unwrap();
    let again = inventory.candidate_set(id, &candidate, by(3).into()).await;
    assert!(
        matches!(&again, Err(InventoryError::Store(StoreError::Conflict { what })) if what.contains("version 2"))
    );
    assert!(
        !inventory.candidate_drop(id, 1).await.unwrap(),
        "the current one is no candidate"
    );
    assert!(inventory.candidate_drop(id, 2).await.unwrap());
    assert!(!inventory.candidate_drop(id, 2).await.unwrap());
    assert_eq!(kept(&inventory, id).await, [some(1, "one"), None, None]);
    // A version is given out once: what a target was told under it stays apart.
    assert_eq!(
        inventory
            .candidate_set(id, &candidate, by(4).into())
            .await
            .unwrap(),
        3
    );
}

async fn a_change_that_was_overtaken_is_refused(database: &Database) {
    let inventory = inventory(&database.store).await;
    let id = credential(&inventory).await;
    inventory
        .candidate_set(id, &Secret::from("two"), by(2).into())
        .await
        .unwrap();
    set(&inventory, id, "by hand").await;
    for (candidate, current) in [(2, Some(1)), (2, None), (9, Some(3)), (3, Some(3))] {
        let late = inventory
            .candidate_commit(id, candidate, current, by(3).into())
            .await;
        assert!(
            matches!(
                late,
                Err(InventoryError::Store(StoreError::Conflict { .. }))
            ),
            "{candidate} {current:?}"
        );
    }
    assert_eq!(
        kept(&inventory, id).await,
        [some(3, "by hand"), some(2, "two"), some(1, "one")]
    );
}

async fn ten_old_versions_are_kept(database: &Database) {
    let inventory = inventory(&database.store).await;
    let id = credential(&inventory).await;
    for number in 2..=14 {
        set(&inventory, id, &format!("secret {number}")).await;
    }
    let versions = database.store.credential_secret_list(id).await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, (4..=14).rev().collect::<Vec<_>>());
    assert_eq!(
        kept(&inventory, id).await,
        [some(14, "secret 14"), None, some(13, "secret 13")]
    );
}

async fn a_view_is_recorded_before_it_is_shown(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let id = credential(&inventory).await;
    let viewed = inventory
        .view_secret(id, Some("ticket 7".to_owned()), by(5).into())
        .await
        .unwrap();
    assert_eq!(
        (viewed.version, viewed.secret.text.expose_secret()),
        (1, "one")
    );
    let row = format!(
        "SELECT count(*) FROM credential_views WHERE credential_id = {id} AND version = 1 AND actor = 'ana' AND reason = 'ticket 7'"
    );
    assert_eq!(database.number(&row).await, 1);
    let events = store
        .event_list(EventFilter::default(), first(1))
        .await
        .unwrap();
    assert_eq!(events.items[0].event.kind, "credential.viewed");
    let trail = store
        .audit_list(AuditFilter::default(), first(1))
        .await
        .unwrap();
    assert_eq!(trail.items[0].action, "credential.view");
    assert_eq!(trail.items[0].after.as_ref().unwrap()["reason"], "ticket 7");
    let shown = inventory.get(Noun::Credential, id).await.unwrap();
    assert_ne!(shown.state["last_viewed_at"], json!(null));
}

/// One byte of a seal, flipped as an attacker would: the format, the nonce, the text and the tag.
async fn a_changed_byte_shuts_a_secret(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let id = credential(&inventory).await;
    let whole = store.credential_secret_list(id).await.unwrap()[0]
        .sealed
        .bytes
        .clone();
    for at in [0, 1, 24, 25, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let literal = match database.name {
            "sqlite" => format!("x'{hex}'"),
            _ => format!("'\\x{hex}'"),
        };
        database
            .sql(&format!("UPDATE secret_versions SET sealed = {literal}"))
            .await;
        let shown = inventory.view_secret(id, None, by(3).into()).await;
        assert!(
            matches!(shown, Err(InventoryError::Damaged)),
            "byte {at}: {shown:?}"
        );
        let used = inventory.secrets(id).await;
        assert!(
            matches!(used, Err(InventoryError::Damaged)),
            "byte {at}: {used:?}"
        );
    }
    assert_eq!(
        database
            .number("SELECT count(*) FROM credential_views")
            .await,
        0
    );
    let trail = store
        .audit_list(AuditFilter::default(), first(5))
        .await
        .unwrap();
    assert!(
        trail
            .items
            .iter()
            .all(|entry| entry.action == "credential.damaged"),
        "{trail:?}"
    );
    // A new secret heals it.
    set(&inventory, id, "two").await;
    let viewed = inventory.view_secret(id, None, by(4).into()).await.unwrap();
    assert_eq!(viewed.secret.text.expose_secret(), "two");
}

async fn a_secret_does_not_open_in_another_row(database: &Database) {
    let inventory = inventory(&database.store).await;
    let id = credential(&inventory).await;
    set(&inventory, id, "two").await;
    // The older secret under the newer version's number; and the state alone, which opens but is not in force.
    database
        .sql("UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions WHERE version = 1) WHERE version = 2")
        .await;
    let shown = inventory.view_secret(id, None, by(3).into()).await;
    assert!(matches!(shown, Err(InventoryError::Damaged)), "{shown:?}");
    database
        .sql("UPDATE secret_versions SET state = 2 WHERE version = 2")
        .await;
    database
        .sql("UPDATE secret_versions SET state = 1 WHERE version = 1")
        .await;
    let shown = inventory.view_secret(id, None, by(3).into()).await;
    assert!(
        matches!(
            shown,
            Err(InventoryError::Store(StoreError::Conflict { .. }))
        ),
        "{shown:?}"
    );
    database.sql("UPDATE secret_versions SET key_id = 77").await;
    let shown = inventory.view_secret(id, None, by(3).into()).await;
    assert!(matches!(shown, Err(InventoryError::Damaged)), "{shown:?}");
}

async fn a_credential_without_a_secret_shows_none(database: &Database) {
    let inventory = inventory(&database.store).await;
    let device = make(
        &inventory,
        Noun::Device,
        json!({"hostname": "h", "address": "a"}),
    )
    .await
    .id;
    let body = json!({"device": device, "username": "u", "automatic_change": true});
    let id = make(&inventory, Noun::Credential, body).await.id;
    let shown = inventory.view_secret(id, None, by(3).into()).await;
    assert!(matches!(shown, Err(InventoryError::NoSecret)), "{shown:?}");
    assert_eq!(
        inventory
            .candidate_set(id, &Secret::from("one"), by(3).into())
            .await
            .unwrap(),
        1
    );
    inventory
        .candidate_commit(id, 1, None, by(4).into())
        .await
        .unwrap();
    assert_eq!(kept(&inventory, id).await, [some(1, "one"), None, None]);
}
