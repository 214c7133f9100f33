//! Nobody signs in by a secret that may be the old one, and whoever waits for that says so.

use robotd::domain::id::{InventoryId, OperationId};
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{OperationKind, OperationState, WaitReason};
use robotd::robot::inventory::By;
use robotd::robots::waiting::{WaitingFor, waiting_for};
use serde_json::json;

use super::targets::{OTHER, SUCCEEDED, fill};
use super::{
    EXECUTOR, OLD, RETRY, credential, current, device, done, inventory, machine, opens, ordered,
    stands,
};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    whoever_needs_an_account_with_an_open_change_waits,
    a_reset_waits_for_the_privileged_accounts_change,
    a_closed_accounts_machine_is_met_by_the_one_that_opens_it,
    an_account_is_closed_and_opened_while_its_own_change_is_open,
    a_refusal_is_noted_where_another_sign_in_follows,
);

const NEW: &str = "Candidate-Horse-9";

/// A change of the account was cut off when the machine had it.
async fn cut_off(rig: &Rig<'_>, sshd: &Sshd, (id, name): (InventoryId, &str)) {
    let by = By {
        actor: "test",
        now: rig.now(),
    };
    let inventory = inventory(rig);
    inventory.candidate_set(id, &NEW.into(), by).await.unwrap();
    sshd.set_password(name, NEW);
}

async fn waits(rig: &Rig<'_>, id: OperationId) -> Option<WaitingFor> {
    let operation = stands(rig, id).await;
    let (store, registry) = (&rig.tools.store, &rig.tools.registry);
    waiting_for(store, registry, &operation, rig.now())
        .await
        .unwrap()
}

/// The machine, `ana` on it, and `admin`, who may open and close accounts there and set their passwords.
async fn crew(rig: &Rig<'_>, sshd: &Sshd, at: InventoryId) -> [InventoryId; 2] {
    for name in ["ana", "admin"] {
        sshd.add_account(name, OLD);
    }
    sshd.allow_sudo("admin", "ALL=(root) NOPASSWD: ALL");
    let ana = credential(rig, at, "ana", OLD).await;
    let admin = json!({"username": "admin", "privileged": true});
    [ana, fill(rig, at, admin, OLD).await]
}

async fn whoever_needs_an_account_with_an_open_change_waits(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    let [ana, admin] = crew(&rig, &sshd, at).await;
    cut_off(&rig, &sshd, (admin, "admin")).await;

    let closes = ordered(&rig, OperationKind::Deactivate, ana).await;
    let tests = ordered(&rig, OperationKind::Test, admin).await;
    let queued = waits(&rig, closes).await.unwrap();
    assert_eq!(queued.reason, WaitReason::Executor);
    let outcome = rig.run(EXECUTOR, json!({})).await.unwrap();
    assert_eq!(count(&outcome, "operations_put_back"), 2);
    for id in [closes, tests] {
        let found = stands(&rig, id).await;
        assert_eq!(
            (found.state, found.attempts, found.candidate),
            (OperationState::Retrying, 0, None)
        );
        let expected = WaitingFor {
            reason: WaitReason::UnverifiedChange,
            until: None,
            credential: Some(admin),
            operation: None,
        };
        assert_eq!(waits(&rig, id).await, Some(expected));
    }
    assert_eq!(rig.rows("sign_in_tries", "TRUE").await, 0, "none is spent");
    rig.pass(60);
    let early = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(count(&early, "operations_queued"), 0);

    assert_eq!(done(&rig, OperationKind::Reconcile, admin).await, SUCCEEDED);
    assert_eq!(current(&rig, admin).await, NEW);
    let settled = rig.run(RETRY, json!({})).await.unwrap();
    assert_eq!(count(&settled, "operations_queued"), 2, "at once");
    rig.run(EXECUTOR, json!({})).await.unwrap();
    for id in [closes, tests] {
        let found = stands(&rig, id).await;
        let expected = (OperationState::Succeeded, 1);
        assert_eq!((found.state, found.attempts), expected, "{:?}", rig.log);
        assert_eq!(waits(&rig, id).await, None);
    }
    assert!(!opens(&sshd, "ana", OLD));
    what_waits_for_the_lock_says_so(&rig, &sshd, at).await;
}

async fn what_waits_for_the_lock_says_so(rig: &Rig<'_>, sshd: &Sshd, at: InventoryId) {
    sshd.add_account("bob", OLD);
    let bob = credential(rig, at, "bob", "Wrong-Horse-1").await;
    for _ in 0..2 {
        let refused = done(rig, OperationKind::Test, bob).await;
        assert_eq!(refused.0, OperationState::Failed);
    }
    let third = ordered(rig, OperationKind::Test, bob).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let found = waits(rig, third).await.unwrap();
    assert_eq!(
        (found.reason, found.credential),
        (WaitReason::Lockout, Some(bob))
    );
    let minutes = (found.until.unwrap() - rig.now()).num_minutes();
    assert!((29..=30).contains(&minutes), "{minutes}");
}

async fn a_reset_waits_for_the_privileged_accounts_change(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    let [ana, admin] = crew(&rig, &sshd, at).await;
    cut_off(&rig, &sshd, (admin, "admin")).await;
    sshd.set_password("ana", OTHER);
    let reconcile = ordered(&rig, OperationKind::Reconcile, ana).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let found = stands(&rig, reconcile).await;
    let again = (OperationState::Retrying, Some("unavailable"));
    assert_eq!((found.state, found.error_class.as_deref()), again);
    assert!((found.run_at - rig.now()).num_minutes() >= 10);
    let store = &rig.tools.store;
    let attempts = store.operation_attempts(reconcile).await.unwrap();
    let detail = attempts[0].detail.as_deref().unwrap();
    assert!(
        detail.contains("`admin`") && detail.contains("not verified"),
        "{detail}"
    );
    let asked = format!("account = 'credential:{admin}'");
    assert_eq!(rig.rows("sign_in_tries", &asked).await, 0);

    assert_eq!(done(&rig, OperationKind::Reconcile, admin).await, SUCCEEDED);
    rig.pass(601);
    rig.run(RETRY, json!({})).await.unwrap();
    rig.run(EXECUTOR, json!({})).await.unwrap();
    // Its own account was refused twice by now: what was set is proven after a window.
    let set = stands(&rig, reconcile).await;
    assert_eq!(set.state, OperationState::Unverified, "{:?}", rig.log);
    rig.pass(1_801);
    rig.run(RETRY, json!({})).await.unwrap();
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let found = stands(&rig, reconcile).await;
    assert_eq!(found.state, OperationState::Succeeded, "{:?}", rig.log);
    assert!(opens(&sshd, "ana", &current(&rig, ana).await));
}

async fn a_closed_accounts_machine_is_met_by_the_one_that_opens_it(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", sshd.port, json!("trust_on_first_use")).await;
    let [ana, _] = crew(&rig, &sshd, at).await;
    let pinned = async || {
        let met = inventory(&rig).get(Noun::Device, at).await.unwrap();
        met.lists["connectivities"][0]["pinned_host_key"].is_string()
    };
    for (kind, lets_in) in [
        (OperationKind::Deactivate, false),
        (OperationKind::Activate, true),
    ] {
        assert!(!pinned().await);
        assert_eq!(done(&rig, kind, ana).await, SUCCEEDED, "{:?}", rig.log);
        assert!(pinned().await);
        assert_eq!(opens(&sshd, "ana", OLD), lets_in, "{kind}");
        rig.database
            .sql("UPDATE device_connectivities SET pinned_host_key = NULL")
            .await;
        rig.pass(1_801);
    }
}

async fn an_account_is_closed_and_opened_while_its_own_change_is_open(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    let [ana, _] = crew(&rig, &sshd, at).await;
    cut_off(&rig, &sshd, (ana, "ana")).await;
    for (kind, lets_in) in [
        (OperationKind::Deactivate, false),
        (OperationKind::Activate, true),
    ] {
        let operation = ordered(&rig, kind, ana).await;
        rig.run(EXECUTOR, json!({})).await.unwrap();
        let found = stands(&rig, operation).await;
        assert_eq!(found.state, OperationState::Succeeded, "{:?}", rig.log);
        assert_eq!(found.candidate, None, "that is the change's");
        let store = &rig.tools.store;
        let attempts = store.operation_attempts(operation).await.unwrap();
        let detail = attempts[0].detail.as_deref().unwrap_or_default();
        assert!(detail.starts_with("not proven"), "{detail}");
        assert_eq!(opens(&sshd, "ana", NEW), lets_in, "{kind}");
    }
    assert_eq!(rig.rows("sign_in_tries", "TRUE").await, 0, "none is spent");
    assert_eq!(done(&rig, OperationKind::Reconcile, ana).await, SUCCEEDED);
    assert_eq!(current(&rig, ana).await, NEW);
}

/// The candidate is refused, and the secret in force is not.
async fn a_refusal_is_noted_where_another_sign_in_follows(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let ana = credential(&rig, machine(&rig, &sshd).await, "ana", OLD).await;
    cut_off(&rig, &sshd, (ana, "ana")).await;
    sshd.set_password("ana", OLD);
    assert_eq!(done(&rig, OperationKind::Reconcile, ana).await, SUCCEEDED);
    assert_eq!(current(&rig, ana).await, OLD);
    let noted = "refused = 1 AND count = 1 AND settled";
    assert_eq!(rig.rows("sign_in_tries", noted).await, 1, "{:?}", rig.log);
}
