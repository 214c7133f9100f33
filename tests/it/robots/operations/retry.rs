//! Operations whose executor died, whose time is over, or that somebody cancels.

use std::time::Duration;

use chrono::TimeDelta;
use robotd::domain::id::{InventoryId, OperationId, ProcessId};
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{
    Allowance, ChangeCause, OperationKind, OperationState, account_key,
};
use robotd::domain::task::PRIORITY_DEFAULT;
use robotd::domain::time::Timestamp;
use robotd::robot::inventory::{By, NewItem};
use robotd::robot::operation::{cancel, order};
use robotd::robot::outcome::Verdict;
use robotd::store::StoreError;
use robotd::store::operation::NewOperation;
use robotd::store::sign_in::{Attempt, SignIns, Wanted};
use serde_json::json;

use super::{
    EXECUTOR, OLD, RETRY, credential, current, device, inventory, machine, opens, ordered, stands,
};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    a_dead_executors_operation_is_found_out_and_done,
    what_is_late_expires_and_what_runs_does_not,
    only_what_waits_is_cancelled,
    what_ended_while_no_node_was_there_has_some_time_left,
    a_change_that_nothing_asks_for_any_more_is_dropped,
);

const EXPIRY: &str = "operations.expired_operation_cancellation";

/// Reserves two sign-ins as the first attempt, of which one was refused.
async fn asks_and_is_refused_once(
    rig: &Rig<'_>,
    (credential, operation): (InventoryId, OperationId),
    until: Timestamp,
) {
    let sign_ins = SignIns {
        account: account_key(credential, None, "ana"),
        by: Attempt::Operation {
            id: operation,
            number: 1,
        },
    };
    let wanted = Wanted {
        tries: 2,
        until,
        window: Duration::from_mins(30),
    };
    let store = &rig.tools.store;
    let reserved = store.sign_in_reserve(sign_ins.clone(), wanted, rig.now());
    assert_eq!(reserved.await.unwrap(), Allowance::Tries(2));
    store.sign_in_refused(sign_ins, 1).await.unwrap();
}

async fn a_dead_executors_operation_is_found_out_and_done(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let id = credential(&rig, machine(&rig, &sshd).await, "ana", OLD).await;
    let operation = ordered(&rig, OperationKind::ChangePassword, id).await;
    let store = &rig.tools.store;
    let lease = rig.now() + TimeDelta::minutes(15);
    store
        .operation_claim(ProcessId(1), lease, u32::MAX, rig.now())
        .await
        .unwrap()
        .unwrap();
    asks_and_is_refused_once(&rig, (id, operation), lease).await;
    let early = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(early.verdict, Verdict::Nothing, "it may still live");
    // Its process is recorded as lost long before the lease is over.
    rig.database
        .sql(
            "INSERT INTO processes (id, task_id, robot_id, trigger_code, attempt, node_id, started_at, finished_at, \
             outcome, counters, cancel_requested) VALUES (1, 1, 1, 0, 1, 1, 0, 1, 7, '{}', FALSE)",
        )
        .await;
    let found = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(count(&found, "operations_lost"), 1);
    assert_eq!(count(&found, "operations_queued"), 1);
    let lost = &store.operation_attempts(operation).await.unwrap()[0];
    assert_eq!((lost.state, lost.refused), (OperationState::Unverified, 0));
    assert_eq!(lost.error_class.as_deref(), Some("executor_lost"));
    // One of its two sign-ins was refused, and the other one may have been: the account is left alone for a window.
    rig.run(EXECUTOR, json!({})).await.unwrap();
    assert!(stands(&rig, operation).await.run_at > rig.now() + TimeDelta::minutes(29));
    rig.pass(1_801);
    rig.run(RETRY, json!({})).await.unwrap();
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let done = stands(&rig, operation).await;
    assert_eq!(
        (done.state, done.attempts),
        (OperationState::Succeeded, 2),
        "{:?}",
        rig.log
    );
    assert!(opens(&sshd, "ana", &current(&rig, id).await));
    // Whose end nobody recorded is gone when its lease is over.
    ordered(&rig, OperationKind::Test, id).await;
    let lease = rig.now() + TimeDelta::minutes(15);
    store
        .operation_claim(ProcessId(2), lease, u32::MAX, rig.now())
        .await
        .unwrap()
        .unwrap();
    let early = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(early.verdict, Verdict::Nothing);
    rig.pass(901);
    let found = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(count(&found, "operations_lost"), 1);
}

async fn what_is_late_expires_and_what_runs_does_not(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let (store, registry) = (&rig.tools.store, &rig.tools.registry);
    let mut orders = Vec::new();
    for name in ["ana", "bob", "eve"] {
        orders.push(NewOperation {
            kind: OperationKind::ChangePassword,
            credential: credential(&rig, at, name, OLD).await,
            run_at: None,
            expires_at: (name != "eve").then(|| rig.now() + TimeDelta::minutes(5)),
            template: None,
            priority: PRIORITY_DEFAULT,
            requested_by: "ana".to_owned(),
            cause: ChangeCause::Ordered,
        });
    }
    let made = order(store, registry, orders, rig.now()).await.unwrap();
    let lease = rig.now() + TimeDelta::minutes(15);
    let held = store
        .operation_claim(ProcessId(1), lease, u32::MAX, rig.now())
        .await
        .unwrap()
        .unwrap();
    let early = rig.run(EXPIRY, json!({})).await.unwrap();
    assert_eq!(early.verdict, Verdict::Nothing);
    rig.pass(301);
    let outcome = rig.run(EXPIRY, json!({})).await.unwrap();
    assert_eq!(count(&outcome, "operations_expired"), 1);
    assert_eq!(
        rig.run(EXPIRY, json!({})).await.unwrap().verdict,
        Verdict::Nothing
    );
    let mut states = Vec::new();
    for id in made {
        states.push(stands(&rig, id).await.state);
    }
    assert_eq!(held.id, stands(&rig, held.id).await.id);
    let [running, expired, queued] = [
        OperationState::Running,
        OperationState::Expired,
        OperationState::Queued,
    ];
    assert_eq!(states, [running, expired, queued]);
    assert_eq!(rig.rows("events", "type = 'operation.expired'").await, 1);
}

async fn only_what_waits_is_cancelled(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let id = credential(&rig, at, "ana", OLD).await;
    let store = &rig.tools.store;
    let first = ordered(&rig, OperationKind::ChangePassword, id).await;
    let gone = cancel(store, &rig.tools.registry, first, "ana", rig.now())
        .await
        .unwrap();
    assert_eq!(
        (gone.state, gone.finished_at),
        (OperationState::Cancelled, Some(rig.now()))
    );
    let second = ordered(&rig, OperationKind::ChangePassword, id).await;
    let lease = rig.now() + TimeDelta::minutes(15);
    store
        .operation_claim(ProcessId(1), lease, u32::MAX, rig.now())
        .await
        .unwrap()
        .unwrap();
    for id in [first, second] {
        let refused = cancel(store, &rig.tools.registry, id, "ana", rig.now())
            .await
            .unwrap_err();
        assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
    }
}

/// The robot has last run when the rig's node was not there yet, or now.
async fn last_ran(rig: &Rig<'_>, seconds_ago: i64) {
    let at = rig.micros() - seconds_ago * 1_000_000;
    let sql = format!(
        "UPDATE robots SET last_process_id = 1, last_process_outcome = 1, last_process_at = {at} WHERE name = '{EXPIRY}'"
    );
    rig.database.sql(&sql).await;
}

async fn what_ended_while_no_node_was_there_has_some_time_left(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let mut made = Vec::new();
    for (name, kind, minutes) in [
        ("ana", OperationKind::ChangePassword, Some(1)),
        ("bob", OperationKind::Test, None),
        ("eve", OperationKind::ChangePassword, None),
    ] {
        let new = NewOperation {
            kind,
            credential: credential(&rig, at, name, OLD).await,
            run_at: None,
            expires_at: minutes.map(|minutes| rig.now() + TimeDelta::minutes(minutes)),
            template: None,
            priority: PRIORITY_DEFAULT,
            requested_by: "ana".to_owned(),
            cause: ChangeCause::Ordered,
        };
        let (store, registry) = (&rig.tools.store, &rig.tools.registry);
        made.extend(order(store, registry, vec![new], rig.now()).await.unwrap());
    }
    let came_to = async || {
        let settings = json!({"life": {"test": "PT2M"}, "digest_from": 2});
        let outcome = rig.run(EXPIRY, settings).await.unwrap();
        ["operations_spared", "operations_expired"].map(|what| count(&outcome, what))
    };
    last_ran(&rig, 7_200).await;
    rig.pass(301);
    assert_eq!(came_to().await, [2, 0]);
    let grace = Some(rig.now() + TimeDelta::minutes(15));
    assert_eq!(stands(&rig, made[1]).await.expires_at, grace);
    last_ran(&rig, 0).await;
    rig.pass(899);
    assert_eq!(came_to().await, [0, 0]);
    rig.pass(1);
    assert_eq!(came_to().await, [0, 2]);
    let told = async || rig.rows("events", "type = 'operation.expired'").await;
    assert_eq!(told().await, 1, "one event tells of both");
    let eve = stands(&rig, made[2]).await;
    assert_eq!(eve.state, OperationState::Queued);
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let inventory = inventory(&rig);
    let gone = inventory.remove(Noun::Credential, eve.credential, None, by);
    gone.await.unwrap();
    assert_eq!(came_to().await, [0, 1], "there is nobody to do it to");
    assert_eq!(told().await, 2);
    // A task was cancelled while nobody had it in hand.
    let kim = credential(&rig, at, "kim", OLD).await;
    let child = ordered(&rig, OperationKind::ChangePassword, kim).await;
    let task = format!(
        "INSERT INTO task_executions (task_id, first_operation, wanted, started_at) VALUES (1, {child}, 1, 0); \
         INSERT INTO tasks_done (id, robot_id, trigger_code, status, payload, priority, run_at, attempts, max_attempts, \
         deaths, requested_by, created_at, finished_at) VALUES (1, 1, 0, 5, 'null', 4, 0, 1, 1, 0, 'ana', 0, 1)"
    );
    rig.database.sql(&task).await;
    assert_eq!(came_to().await, [0, 1]);
    assert_eq!(stands(&rig, child).await.state, OperationState::Expired);
}

async fn a_change_that_nothing_asks_for_any_more_is_dropped(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let (store, registry) = (&rig.tools.store, &rig.tools.registry);
    let mut made = Vec::new();
    for (name, cause) in [("ana", ChangeCause::Expired), ("bob", ChangeCause::Ordered)] {
        let id = credential(&rig, at, name, OLD).await;
        let new = NewOperation {
            kind: OperationKind::ChangePassword,
            credential: id,
            run_at: Some(rig.now() + TimeDelta::hours(1)),
            expires_at: None,
            template: None,
            priority: PRIORITY_DEFAULT,
            requested_by: "ana".to_owned(),
            cause,
        };
        made.extend(order(store, registry, vec![new], rig.now()).await.unwrap());
        let by = By {
            actor: "ana",
            now: rig.now() + TimeDelta::seconds(1),
        };
        let patch = NewItem {
            secret: Some("New-Horse-8".into()),
            ..NewItem::default()
        };
        let inventory = inventory(&rig);
        let changed = inventory.change(Noun::Credential, id, None, &patch, by);
        changed.await.unwrap();
    }
    let outcome = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(count(&outcome, "operations_superseded"), 1);
    let states = [
        stands(&rig, made[0]).await.state,
        stands(&rig, made[1]).await.state,
    ];
    let kept = OperationState::Queued;
    assert_eq!(
        states,
        [OperationState::Cancelled, kept],
        "a person asked for it"
    );
    let audited = "action = 'operation.cancel' AND actor = 'operations.operation_executor_retry'";
    assert_eq!(rig.rows("audit_trail", audited).await, 1);
    let again = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(again.verdict, Verdict::Nothing);
}
