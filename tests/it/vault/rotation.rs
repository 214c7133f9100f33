//! The data keys in their database: made once, changed while others write, and a change that is broken off goes on.

use std::sync::Arc;

use robotd::clock::SystemClock;
use robotd::domain::id::InventoryId;
use robotd::domain::import::ImportMode;
use robotd::domain::inventory::Noun;
use robotd::domain::sealed::KeyId;
use robotd::domain::secret::Secret;
use robotd::domain::time::from_micros;
use robotd::robot::import::{Upload, keep};
use robotd::robot::inventory::{By, Inventory, NewItem};
use robotd::robot::registry::Registry;
use robotd::robot::safe::{Safe, SafeError};
use robotd::store::StoreError;
use robotd::vault::{MasterKey, SealError};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both};

on_both!(
    the_first_data_key_is_made_once,
    another_master_key_opens_nothing,
    all_secrets_lie_under_the_new_key_and_open,
    a_rotation_that_was_broken_off_goes_on,
    others_write_while_the_key_changes,
    what_was_tampered_with_stays_and_is_named,
    a_key_goes_when_nothing_lies_under_it,
);

const BY: By<'static> = By {
    actor: "ana",
    now: chrono::DateTime::UNIX_EPOCH,
};

fn master() -> (tempfile::TempDir, MasterKey) {
    let folder = tempfile::tempdir().unwrap();
    let key = MasterKey::create(folder.path()).unwrap();
    (folder, key)
}

async fn open(database: &Database, master: &MasterKey) -> Safe {
    Safe::open(database.store.clone(), master, from_micros(1))
        .await
        .unwrap()
}

fn inventory(database: &Database, safe: &Safe) -> Inventory {
    Inventory::new(
        database.store.clone(),
        safe.clone(),
        Arc::new(Registry::default()),
    )
}

fn item(body: Value, secret: Option<String>) -> NewItem {
    let Value::Object(fields) = body else {
        panic!("no object")
    };
    NewItem {
        fields,
        secret: secret.map(Into::into),
    }
}

/// Credentials whose secrets are `secret 0` and so on.
async fn credentials(inventory: &Inventory, count: usize) -> Vec<InventoryId> {
    let device = item(json!({"hostname": "h", "address": "a"}), None);
    let device = inventory
        .create(Noun::Device, vec![device], BY)
        .await
        .unwrap()[0]
        .id;
    let one = |number| {
        let body =
            json!({"device": device, "username": format!("u{number}"), "automatic_change": true});
        item(body, Some(format!("secret {number}")))
    };
    let made = inventory
        .create(Noun::Credential, (0..count).map(one).collect(), BY)
        .await
        .unwrap();
    made.into_iter().map(|item| item.id).collect()
}

async fn all_open(inventory: &Inventory, ids: &[InventoryId]) {
    for (number, id) in ids.iter().enumerate() {
        let current = inventory.secrets(*id).await.unwrap().current.unwrap();
        assert_eq!(current.secret.expose_secret(), format!("secret {number}"));
    }
}

async fn under(database: &Database, key: i64) -> i64 {
    database
        .number(&format!(
            "SELECT count(*) FROM secret_versions WHERE key_id = {key}"
        ))
        .await
}

async fn the_first_data_key_is_made_once(database: &Database) {
    let (_folder, master) = master();
    let mut opening = tokio::task::JoinSet::new();
    let master = Arc::new(master);
    for _ in 0..4 {
        let (store, master) = (database.store.clone(), Arc::clone(&master));
        opening.spawn(async move { Safe::open(store, &master, from_micros(1)).await.unwrap() });
    }
    opening.join_all().await;
    let keys = database.store.vault_key_list().await.unwrap();
    assert_eq!(
        keys.iter().map(|key| key.id).collect::<Vec<_>>(),
        [KeyId(1)]
    );
    assert_eq!(keys[0].finished_at, Some(from_micros(1)));
}

async fn another_master_key_opens_nothing(database: &Database) {
    let (_folder, master_key) = master();
    open(database, &master_key).await;
    let (_other_folder, other) = master();
    let error = Safe::open(database.store.clone(), &other, from_micros(1))
        .await
        .unwrap_err();
    assert!(
        matches!(error, SafeError::Seal(SealError::Broken)),
        "{error}"
    );
}

async fn all_secrets_lie_under_the_new_key_and_open(database: &Database) {
    let (_folder, master) = master();
    let safe = open(database, &master).await;
    let inventory = inventory(database, &safe);
    let ids = credentials(&inventory, 450).await;
    let mut told = Vec::new();
    let rotation = safe
        .rotate(&SystemClock, |done| told.push(done))
        .await
        .unwrap();
    assert_eq!(
        (rotation.key, rotation.resumed, rotation.resealed),
        (KeyId(2), false, 450)
    );
    assert_eq!(told, [200, 400, 450], "in batches");
    assert_eq!(
        (under(database, 1).await, under(database, 2).await),
        (0, 450)
    );
    all_open(&inventory, &ids).await;
    // A node that knows the old key only reads the new one when it meets it.
    let again = safe.rotate(&SystemClock, |_| ()).await.unwrap();
    assert_eq!((again.key, again.resumed), (KeyId(3), false));
    let finished = database
        .number("SELECT count(*) FROM vault_keys WHERE finished_at IS NULL")
        .await;
    assert_eq!(finished, 0);
}

async fn a_rotation_that_was_broken_off_goes_on(database: &Database) {
    let (_folder, master) = master();
    let safe = open(database, &master).await;
    let inventory = inventory(database, &safe);
    let ids = credentials(&inventory, 450).await;
    // The work ends where a killed program's would: between two batches, with the first on disk.
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let other = open(database, &master).await;
    let work = async {
        other
            .rotate(&SystemClock, |_| {
                if let Some(begun) = begun.take() {
                    begun.send(()).unwrap();
                }
            })
            .await
    };
    tokio::select! {
        biased;
        _ = beginning => {}
        done = work => panic!("it was not broken off: {done:?}"),
    }
    let moved = under(database, 2).await;
    assert!((200..450).contains(&moved), "{moved}");
    all_open(&inventory, &ids).await;
    let rotation = open(database, &master)
        .await
        .rotate(&SystemClock, |_| ())
        .await
        .unwrap();
    assert_eq!((rotation.key, rotation.resumed), (KeyId(2), true));
    assert_eq!(
        (under(database, 1).await, under(database, 2).await),
        (0, 450)
    );
    all_open(&inventory, &ids).await;
}

async fn others_write_while_the_key_changes(database: &Database) {
    let (_folder, master) = master();
    let writer = inventory(database, &open(database, &master).await);
    let ids = credentials(&writer, 5).await;
    let rotating = open(database, &master).await;
    rotating.rotate(&SystemClock, |_| ()).await.unwrap();
    // The writer has not heard of key 2: it must not seal under key 1 any more.
    let patch = item(json!({}), Some("secret 0".to_owned()));
    writer
        .change(Noun::Credential, ids[0], None, &patch, BY)
        .await
        .unwrap();
    let candidate = Secret::from("next");
    rotating.rotate(&SystemClock, |_| ()).await.unwrap();
    writer.candidate_set(ids[1], &candidate, BY).await.unwrap();
    assert_eq!(
        (
            under(database, 1).await,
            under(database, 2).await,
            under(database, 3).await
        ),
        (0, 0, 7)
    );
    all_open(&writer, &ids).await;
}

async fn what_was_tampered_with_stays_and_is_named(database: &Database) {
    let (_folder, master) = master();
    let safe = open(database, &master).await;
    let inventory = inventory(database, &safe);
    let ids = credentials(&inventory, 3).await;
    let swapped = format!(
        "UPDATE secret_versions SET sealed = (SELECT s.sealed FROM secret_versions s WHERE s.credential_id = {}) WHERE credential_id = {}",
        ids[0], ids[1]
    );
    database.sql(&swapped).await;
    let rotation = safe.rotate(&SystemClock, |_| ()).await.unwrap();
    assert_eq!(
        (rotation.resealed, rotation.damaged),
        (2, vec![(ids[1], 1)])
    );
    assert_eq!((under(database, 1).await, under(database, 2).await), (1, 2));
    let again = safe.rotate(&SystemClock, |_| ()).await.unwrap();
    assert_eq!(
        (again.key, again.resumed),
        (KeyId(3), false),
        "one bad row does not hold up the next"
    );
}

async fn a_key_goes_when_nothing_lies_under_it(database: &Database) {
    let (_folder, master) = master();
    let safe = open(database, &master).await;
    let inventory = inventory(database, &safe);
    let ids = credentials(&inventory, 3).await;
    let store = &database.store;
    let refused = async |key: i64| match store.vault_key_remove(KeyId(key)).await {
        Err(StoreError::Conflict { what }) => what,
        other => panic!("{other:?}"),
    };
    assert!(refused(1).await.contains("the newest"));
    let upload = Upload {
        name: "a.csv",
        file: b"hostname",
        mode: ImportMode::Validate,
        actor: "ana",
    };
    let import = keep(store, &safe, &Registry::default(), upload, BY.now).await;
    let import = import.unwrap().id;
    let mut resealing = safe.begin_rotation(BY.now).await.unwrap();
    assert_eq!(safe.seals_left(), 3);
    assert!(refused(1).await.contains("goes on"));
    while resealing.step().await.unwrap() {}
    assert_eq!(safe.seals_left(), 0);
    assert!(safe.unfinished().await.unwrap().is_some());
    resealing.finish(BY.now).await.unwrap();
    assert!(safe.unfinished().await.unwrap().is_none());
    let uses = async || -> Vec<(i64, u64)> {
        let uses = store.vault_key_uses().await.unwrap();
        uses.into_iter().map(|key| (key.id.0, key.seals)).collect()
    };
    assert_eq!(uses().await, [(1, 1), (2, 3)], "the file stays as it is");
    assert!(refused(1).await.contains("1 seals"));
    database
        .sql(&format!(
            "DELETE FROM batch_import_files WHERE import_id = {import}"
        ))
        .await;
    store.vault_key_remove(KeyId(1)).await.unwrap();
    assert_eq!(uses().await, [(2, 3)]);
    let gone = store.vault_key_remove(KeyId(1)).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { .. }), "{gone}");
    all_open(
        &self::inventory(database, &open(database, &master).await),
        &ids,
    )
    .await;
}
