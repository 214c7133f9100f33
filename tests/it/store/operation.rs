//! Operations: one open of a kind, one running of a credential, and results only from who holds them.

use robotd::domain::event::CloudEvent;
use robotd::domain::id::{InventoryId, OperationId, ProcessId};
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{ChangeCause, Lives, OperationKind, OperationState, WaitReason};
use robotd::domain::secret::Secret;
use robotd::domain::task::PRIORITY_DEFAULT;
use robotd::robot::inventory::{Inventory, NewItem};
use robotd::store::Store;
use robotd::store::event::{EventFilter, NewEvent};
use robotd::store::operation::{
    Move, NewOperation, Operation, OperationAttempt, OperationEnd, OperationFilter,
};
use robotd::store::operation_wait::{PutBack, Wait};
use serde_json::json;

use super::inventory::{by, fields, inventory, make};
use super::make::{at, first};
use crate::support::database::{Database, on_both};

on_both!(
    a_credential_has_one_open_operation_of_a_kind,
    a_claim_takes_what_is_longest_due,
    only_the_holder_records_an_end,
    what_was_changed_meanwhile_is_not_moved,
);

pub const HOLDER: ProcessId = ProcessId(7);

pub async fn credentials(inventory: &Inventory, count: usize) -> Vec<InventoryId> {
    let device = make(
        inventory,
        Noun::Device,
        json!({"hostname": "h", "address": "a"}),
    )
    .await
    .id;
    let new = (0..count).map(|number| NewItem {
        fields: fields(
            json!({"device": device, "username": format!("u{number}"), "automatic_change": true}),
        ),
        secret: Some("one".into()),
    });
    let made = inventory.create(Noun::Credential, new.collect(), by(1).into());
    made.await.unwrap().iter().map(|item| item.id).collect()
}

pub fn change_of(credential: InventoryId) -> NewOperation {
    NewOperation {
        kind: OperationKind::ChangePassword,
        credential,
        run_at: None,
        expires_at: None,
        template: None,
        priority: PRIORITY_DEFAULT,
        requested_by: "ana".to_owned(),
        cause: ChangeCause::Ordered,
    }
}

fn told(id: OperationId, kind: &str) -> NewEvent {
    let event = CloudEvent::own(
        "test",
        format!("{id}:{kind}"),
        kind,
        Some(id.to_string()),
        json!({}),
    );
    NewEvent {
        event,
        wakes: Vec::new(),
    }
}

pub async fn order(store: &Store, orders: Vec<NewOperation>, seconds: i64) -> Vec<OperationId> {
    let first = store
        .operation_ids(orders.len(), at(seconds))
        .await
        .unwrap();
    let ids = (first.0..).map(OperationId).take(orders.len());
    let events = ids.map(|id| told(id, "operation.requested")).collect();
    let made = store.operation_order(first, orders, events, at(seconds));
    made.await.unwrap()
}

fn attempt(operation: &Operation, state: OperationState, refused: u32) -> OperationAttempt {
    OperationAttempt {
        number: operation.attempts,
        process: HOLDER,
        started_at: at(10),
        ended_at: at(20),
        state,
        error_class: Some("timeout".to_owned()),
        detail: Some("no\u{0} end".to_owned()),
        refused,
        steps: Vec::new(),
    }
}

pub fn end(operation: &Operation, state: OperationState, run_at: Option<i64>) -> OperationEnd {
    OperationEnd {
        id: operation.id,
        attempt: attempt(operation, state, 1),
        run_at: run_at.map(at),
        candidate: Some(2),
        finding: None,
        admission: None,
        events: Vec::from([told(operation.id, "operation.unverified")]),
    }
}

async fn events(store: &Store, kind: &str) -> usize {
    let filter = EventFilter {
        kind: Some(kind.to_owned()),
        ..EventFilter::default()
    };
    store
        .event_list(filter, first(500))
        .await
        .unwrap()
        .items
        .len()
}

async fn a_credential_has_one_open_operation_of_a_kind(database: &Database) {
    let store = &database.store;
    let ids = credentials(&inventory(store).await, 2).await;
    let unknown = InventoryId(999_999);
    let orders = [ids[0], ids[0], unknown, ids[1]].map(change_of);
    let made = order(store, Vec::from(orders), 1).await;
    assert_eq!(made.len(), 2, "one each, and none for nobody");
    assert_eq!(events(store, "operation.requested").await, 2);
    let test = NewOperation {
        kind: OperationKind::Test,
        ..change_of(ids[0])
    };
    assert_eq!(
        order(store, vec![change_of(ids[0]), test], 2).await.len(),
        1
    );
    let filter = OperationFilter {
        kind: Some(OperationKind::ChangePassword),
        credential: Some(ids[0]),
        state: Some(OperationState::Queued),
    };
    let listed = store.operation_list(filter, first(9)).await.unwrap().items;
    assert_eq!(
        listed.iter().map(|one| one.id).collect::<Vec<_>>(),
        made[..1]
    );
    assert_eq!((listed[0].attempts, listed[0].run_at), (0, at(1)));
    // Once it has ended there may be another one.
    let claimed = store
        .operation_claim(HOLDER, at(99), u32::MAX, at(3))
        .await
        .unwrap()
        .unwrap();
    assert!(
        store
            .operation_end(end(&claimed, OperationState::Failed, None), at(4))
            .await
            .unwrap()
    );
    assert_eq!(
        order(store, vec![change_of(claimed.credential)], 5)
            .await
            .len(),
        1
    );
}

async fn a_claim_takes_what_is_longest_due(database: &Database) {
    let store = &database.store;
    let ids = credentials(&inventory(store).await, 5).await;
    let due = |index: usize, run_at: i64| NewOperation {
        run_at: Some(at(run_at)),
        ..change_of(ids[index])
    };
    let urgent = NewOperation {
        priority: 9,
        ..due(4, 30)
    };
    let expired = NewOperation {
        expires_at: Some(at(50)),
        ..due(2, 3)
    };
    let same_account = NewOperation {
        kind: OperationKind::Test,
        ..due(1, 6)
    };
    order(
        store,
        vec![
            due(0, 100),
            due(1, 5),
            expired,
            same_account,
            due(3, 20),
            urgent,
        ],
        1,
    )
    .await;
    let claim = async |seconds| {
        let claimed = store
            .operation_claim(HOLDER, at(999), u32::MAX, at(seconds))
            .await
            .unwrap();
        claimed.map(|one| (one.credential, one.attempts, one.state))
    };
    let running = OperationState::Running;
    let is_due = async |seconds| store.operation_is_due(u32::MAX, at(seconds)).await.unwrap();
    assert!(!is_due(2).await && is_due(3).await);
    assert_eq!(
        claim(4).await.map(|one| one.0),
        Some(ids[2]),
        "still in time"
    );
    assert_eq!(claim(60).await, Some((ids[4], 1, running)), "it is urgent");
    assert_eq!(claim(60).await, Some((ids[1], 1, running)));
    assert_eq!(
        claim(60).await,
        Some((ids[3], 1, running)),
        "the test waits for the change"
    );
    assert_eq!(claim(60).await, None);
    assert!(!is_due(60).await, "what waits for another one is not due");
    assert_eq!(claim(100).await, Some((ids[0], 1, running)));
    let stale = store.operation_stale(at(1_000), 9).await.unwrap();
    assert_eq!(stale.len(), 5);
    assert!(stale.iter().all(|(_, process)| *process == HOLDER));
    assert_eq!(store.operation_stale(at(999), 9).await.unwrap(), []);
}

async fn only_the_holder_records_an_end(database: &Database) {
    let store = &database.store;
    let ids = credentials(&inventory(store).await, 1).await;
    let id = order(store, vec![change_of(ids[0])], 1).await[0];
    let claimed = store
        .operation_claim(HOLDER, at(99), u32::MAX, at(2))
        .await
        .unwrap()
        .unwrap();
    let unverified = end(&claimed, OperationState::Unverified, Some(500));
    let mut stranger = unverified.clone();
    stranger.attempt.process = ProcessId(8);
    assert!(!store.operation_end(stranger, at(20)).await.unwrap());
    assert_eq!(events(store, "operation.unverified").await, 0);
    assert!(
        store
            .operation_end(unverified.clone(), at(20))
            .await
            .unwrap()
    );
    assert!(
        !store.operation_end(unverified, at(21)).await.unwrap(),
        "it is nobody's by now"
    );
    assert_eq!(events(store, "operation.unverified").await, 1);
    let kept = store.operation_get(id).await.unwrap();
    assert_eq!(
        (kept.state, kept.run_at, kept.candidate, kept.finished_at),
        (OperationState::Unverified, at(500), Some(2), None)
    );
    let attempts = store.operation_attempts(id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].detail.as_deref(), Some("no\u{fffd} end"));
    assert_eq!(store.operation_waiting(at(499), 9).await.unwrap(), []);
    assert_eq!(
        store.operation_waiting(at(500), 9).await.unwrap()[0].operation,
        kept
    );
    // Given back, the attempt did not happen.
    let queued = moved(kept, OperationState::Queued);
    assert_eq!(
        store.operation_move(vec![queued], at(501)).await.unwrap(),
        [id]
    );
    let again = store
        .operation_claim(HOLDER, at(999), u32::MAX, at(502))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.attempts, 2);
    let state = OperationState::Unverified;
    let back = PutBack {
        id,
        process: HOLDER,
        state,
        run_at: at(700),
        wait: Wait {
            reason: WaitReason::Lockout,
            credential: None,
        },
    };
    assert!(store.operation_put_back(back, at(503)).await.unwrap());
    let back = store.operation_get(id).await.unwrap();
    assert_eq!(
        (back.attempts, back.run_at, back.state),
        (1, at(700), state)
    );
}

fn moved(seen: Operation, state: OperationState) -> Move {
    Move {
        event: Some(told(seen.id, "operation.moved")),
        seen,
        state,
        run_at: None,
        wait: None,
        ends: false,
        attempt: None,
        audit: None,
    }
}

async fn what_was_changed_meanwhile_is_not_moved(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let ids = credentials(&inventory, 2).await;
    let expires = |credential| NewOperation {
        expires_at: Some(at(50)),
        ..change_of(credential)
    };
    let made = order(store, ids.iter().copied().map(expires).collect(), 1).await;
    let overdue = store
        .operation_overdue(Lives::default(), at(50), 9)
        .await
        .unwrap();
    assert_eq!(overdue.len(), 2);
    assert_eq!(
        store
            .operation_overdue(Lives::default(), at(49), 9)
            .await
            .unwrap(),
        []
    );
    // A claim at the same moment wins.
    let claimed = store
        .operation_claim(HOLDER, at(99), u32::MAX, at(49))
        .await
        .unwrap()
        .unwrap();
    let ended = overdue.into_iter().map(|seen| Move {
        ends: true,
        ..moved(seen, OperationState::Expired)
    });
    let gone = store.operation_move(ended.collect(), at(51)).await.unwrap();
    assert_eq!((claimed.id, &gone[..]), (made[0], &made[1..]));
    assert_eq!(events(store, "operation.moved").await, 1);
    let expired = store.operation_get(made[1]).await.unwrap();
    assert_eq!(
        (expired.state, expired.finished_at),
        (OperationState::Expired, Some(at(51)))
    );
    // One that the target may know of is not overdue, however late: it is to be found out.
    let secret = Secret::from("two");
    let owner = claimed.credential;
    inventory
        .candidate_set(owner, &secret, by(52).into())
        .await
        .unwrap();
    let late = end(&claimed, OperationState::Unverified, Some(60));
    assert!(store.operation_end(late, at(52)).await.unwrap());
    let seen = store.operation_get(made[0]).await.unwrap();
    let back = moved(seen, OperationState::Queued);
    store.operation_move(vec![back], at(60)).await.unwrap();
    assert_eq!(
        store
            .operation_overdue(Lives::default(), at(99), 9)
            .await
            .unwrap(),
        []
    );
    let taken = store
        .operation_claim(HOLDER, at(199), u32::MAX, at(99))
        .await
        .unwrap();
    let taken = taken.unwrap();
    assert_eq!((taken.id, taken.candidate), (made[0], Some(2)));
}
