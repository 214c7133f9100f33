//! Who takes operations: how many run on a device at once, whether it answers, and executors beside each other.

use robotd::domain::id::ProcessId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{OperationKind, OperationState};
use robotd::robot::inventory::NewItem;
use robotd::store::operation::NewOperation;
use serde_json::json;

use super::inventory::{by, fields, inventory, make};
use super::make::at;
use super::operation::{HOLDER, change_of, credentials, end, order};
use crate::support::database::{Database, on_both};

on_both!(
    a_device_has_no_more_running_than_it_may_and_is_known_to_answer,
    claimers_beside_each_other_share_the_work,
);

async fn a_device_has_no_more_running_than_it_may_and_is_known_to_answer(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let ids = credentials(&inventory, 12).await;
    order(store, ids.iter().map(|id| change_of(*id)).collect(), 1).await;
    let claim = async |seconds| {
        store
            .operation_claim(HOLDER, at(999), 3, at(seconds))
            .await
            .unwrap()
    };
    let beside = futures_util::future::join_all([(); 8].map(|()| claim(2))).await;
    let running: Vec<_> = beside.into_iter().flatten().collect();
    assert_eq!(running.len(), 3, "not even for a moment");
    assert!(!store.operation_is_due(3, at(2)).await.unwrap());
    assert!(store.operation_is_due(4, at(2)).await.unwrap());

    let other = json!({"hostname": "other", "address": "b"});
    let other = make(&inventory, Noun::Device, other).await.id;
    let new = NewItem {
        fields: fields(json!({"device": other, "username": "u", "automatic_change": true})),
        secret: Some("one".into()),
    };
    let made = inventory.create(Noun::Credential, Vec::from([new]), by(1).into());
    let elsewhere = made.await.unwrap()[0].id;
    order(store, Vec::from([change_of(elsewhere)]), 3).await;
    let taken = claim(4).await.map(|one| one.credential);
    assert_eq!(taken, Some(elsewhere), "what waits there keeps nobody");

    let device = inventory.get(Noun::Credential, ids[0]).await.unwrap();
    let device = serde_json::from_value(device.body["device"].clone()).unwrap();
    let answering = async |since| {
        let asked = Vec::from([device, other]);
        store.operation_answering(asked, at(since)).await.unwrap()
    };
    let failed = end(&running[0], OperationState::Failed, None);
    assert!(store.operation_end(failed, at(5)).await.unwrap());
    assert!(answering(4).await.is_empty(), "a failure is no answer");
    for (one, second) in running[1..].iter().zip([6, 7]) {
        let succeeded = end(one, OperationState::Succeeded, None);
        assert!(store.operation_end(succeeded, at(second)).await.unwrap());
    }
    assert_eq!(answering(4).await, [(device, at(7))].into());
    assert!(answering(7).await.is_empty());
    let next = [
        claim(8).await,
        claim(8).await,
        claim(8).await,
        claim(8).await,
    ];
    assert_eq!(next.iter().flatten().count(), 3);
}

async fn claimers_beside_each_other_share_the_work(database: &Database) {
    let store = &database.store;
    let ids = credentials(&inventory(store).await, 20).await;
    let kinds = [OperationKind::ChangePassword, OperationKind::Test];
    for kind in kinds {
        let orders = ids.iter().map(|id| NewOperation {
            kind,
            ..change_of(*id)
        });
        order(store, orders.collect(), 1).await;
    }
    let claimers = (0..4).map(async |number| {
        let mut taken = Vec::new();
        while let Some(one) = store
            .operation_claim(ProcessId(100 + number), at(99), u32::MAX, at(2))
            .await
            .unwrap()
        {
            taken.push(one.credential);
        }
        taken
    });
    let mut taken = futures_util::future::join_all(claimers).await.concat();
    taken.sort_unstable();
    assert_eq!(
        taken, ids,
        "each credential once, though each has two operations"
    );
}
