//! Why operations wait, and until what.

use robotd::domain::id::{InventoryId, OperationId};
use robotd::domain::operation::{Lives, OperationKind, OperationState, WaitReason};
use robotd::domain::secret::Secret;
use robotd::robot::inventory::Inventory;
use robotd::store::Store;
use robotd::store::operation::NewOperation;
use robotd::store::operation_wait::{InTheWay, PutBack, Wait};
use serde_json::json;

use super::inventory::{by, inventory};
use super::make::at;
use super::operation::{HOLDER, change_of, credentials, order};
use super::registrations::credential;
use crate::support::database::{Database, on_both};

on_both!(
    what_is_in_the_way_is_told,
    an_unverified_change_is_that_of_all_registrations_until_one_is_proven,
    what_waits_for_a_change_goes_on_when_it_is_settled,
);

fn test_of(credential: InventoryId) -> NewOperation {
    NewOperation {
        kind: OperationKind::Test,
        ..change_of(credential)
    }
}

async fn claimed(store: &Store, seconds: i64) -> Option<robotd::store::operation::Operation> {
    let claim = store.operation_claim(HOLDER, at(9_999), u32::MAX, at(seconds));
    claim.await.unwrap()
}

async fn candidate(inventory: &Inventory, id: InventoryId, seconds: i64) -> i64 {
    let secret = Secret::from("new");
    let kept = inventory.candidate_set(id, &secret, by(seconds).into());
    kept.await.unwrap()
}

async fn what_is_in_the_way_is_told(database: &Database) {
    let store = &database.store;
    let ids = credentials(&inventory(store).await, 2).await;
    let first = order(store, vec![change_of(ids[0])], 1).await[0];
    let way = async |id: OperationId| store.operation_in_the_way(id, at(5)).await.unwrap();
    assert_eq!(way(first).await, InTheWay::default());
    let running = claimed(store, 2).await.unwrap();
    assert_eq!(running.id, first);
    let mine = order(store, vec![test_of(ids[0])], 3).await[0];
    let theirs = order(store, vec![change_of(ids[1])], 3).await[0];
    let crowded = InTheWay {
        on_device: 1,
        ..InTheWay::default()
    };
    let behind = InTheWay {
        running: Some(first),
        ..crowded
    };
    assert_eq!(way(mine).await, behind);
    assert_eq!(way(theirs).await, crowded);
    let link = format!(
        "INSERT INTO credential_links VALUES ({}, {}, NULL)",
        ids[1], ids[0]
    );
    database.sql(&link).await;
    let follows = InTheWay {
        parent: Some(first),
        ..crowded
    };
    assert_eq!(way(theirs).await, follows);
    let nowhere = store.operation_in_the_way(OperationId(999), at(5)).await;
    assert!(nowhere.is_err());
}

async fn an_unverified_change_is_that_of_all_registrations_until_one_is_proven(
    database: &Database,
) {
    let (store, inventory) = (&database.store, inventory(&database.store).await);
    let mut ids = Vec::new();
    for (host, name, domain, enabled) in [
        ("a", "news", Some("TEST"), true),
        ("b", "News", Some("test"), true),
        ("c", "newsroom", Some("TEST"), true),
        ("d", "news", None, true),
        ("e", "news", Some("test"), false),
    ] {
        let body = json!({"username": name, "domain": domain, "enabled": enabled});
        ids.push(credential(&inventory, host, body).await);
    }
    let open = async |index: usize| store.credential_unverified(ids[index]).await.unwrap();
    candidate(&inventory, ids[4], 2).await;
    assert_eq!(open(0).await, None, "nobody settles what is disabled");
    let version = candidate(&inventory, ids[1], 3).await;
    for (index, expected) in [
        (0, Some(ids[1])),
        (1, Some(ids[1])),
        (2, None),
        (3, None),
        (4, Some(ids[4])),
    ] {
        assert_eq!(open(index).await, expected, "{index}");
    }
    for (enabled, expected) in [("FALSE", None), ("TRUE", Some(ids[1]))] {
        let device = format!("UPDATE devices SET enabled = {enabled} WHERE hostname = 'b'");
        database.sql(&device).await;
        assert_eq!(open(0).await, expected, "its device is off");
    }
    // Another registration's is proven, and is the account's secret since then.
    let proven = candidate(&inventory, ids[0], 4).await;
    assert_eq!(open(0).await, Some(ids[0]), "its own comes first");
    let commit = inventory.candidate_commit(ids[0], proven, Some(1), by(5).into());
    commit.await.unwrap();
    assert_eq!(open(0).await, None);
    assert_eq!(open(1).await, Some(ids[1]), "it is settled like any other");
    assert!(
        store
            .credential_candidate_drop(ids[1], version)
            .await
            .unwrap()
    );
    assert_eq!(open(1).await, None);
}

async fn what_waits_for_a_change_goes_on_when_it_is_settled(database: &Database) {
    let (store, inventory) = (&database.store, inventory(&database.store).await);
    let id = credentials(&inventory, 1).await[0];
    let version = candidate(&inventory, id, 1).await;
    let expires = NewOperation {
        expires_at: Some(at(50)),
        ..test_of(id)
    };
    let test = order(store, vec![expires], 1).await[0];
    let taken = claimed(store, 2).await.unwrap();
    assert_eq!(
        (taken.id, taken.candidate),
        (test, None),
        "a test settles no candidate, and it is not its own"
    );
    let back = PutBack {
        id: test,
        process: HOLDER,
        state: OperationState::Retrying,
        run_at: at(40),
        wait: Wait {
            reason: WaitReason::UnverifiedChange,
            credential: Some(id),
        },
    };
    assert!(store.operation_put_back(back, at(3)).await.unwrap());
    let way = store.operation_in_the_way(test, at(4)).await.unwrap();
    assert_eq!(way.wait, Some(back.wait));
    let due = async |seconds| {
        let due = store.operation_waiting(at(seconds), 9).await.unwrap();
        due.iter().map(|one| one.operation.id).collect::<Vec<_>>()
    };
    assert_eq!(due(39).await, []);
    assert_eq!(due(40).await, [test]);
    // It has an end, whether or not the change has.
    let overdue = store.operation_overdue(Lives::default(), at(50), 9).await;
    assert_eq!(overdue.unwrap().len(), 1);
    assert!(store.credential_candidate_drop(id, version).await.unwrap());
    assert_eq!(due(4).await, [test]);
}
