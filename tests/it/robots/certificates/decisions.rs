//! What people decide: a certificate is ordered once somebody has agreed, and one that was revoked is left alone.

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::{Noun, RevocationReason};
use robotd::robot::inventory::{By, InventoryError, Reason};
use robotd::store::StoreError;
use robotd::store::certificate_decision::Cause;
use serde_json::{Value, json};

use super::{ROBOT, authority, current, events, get, patch, run};
use crate::robots::operations::{inventory, make};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};

on_both!(
    a_certificate_is_ordered_once_somebody_agreed,
    what_is_revoked_is_left_alone,
);

fn by<'a>(rig: &Rig<'_>, actor: &'a str) -> By<'a> {
    By {
        actor,
        now: rig.now(),
    }
}

/// What a run did: certificates that wait, that were renewed, and that were revoked.
async fn did(rig: &Rig<'_>) -> [i64; 3] {
    let outcome = run(rig).await;
    [
        "renewals_held",
        "certificates_renewed",
        "certificates_revoked",
    ]
    .map(|what| count(&outcome, what))
}

async fn a_certificate_is_ordered_once_somebody_agreed(database: &Database) {
    let rig = Rig::new(database, None).await;
    let (issuer, _) = authority(&rig, "Ours").await;
    let noun = Noun::CertificateAutomation;
    let automation = json!({"name": "www", "issuer": issuer, "names": ["www.example.org"], "approval_role": "operator"});
    let automation = make(&rig, noun, automation, None).await;
    let early = inventory(&rig)
        .renewal_approve(automation, by(&rig, "bob"))
        .await;
    assert!(
        matches!(early, Err(StoreError::Conflict { .. })),
        "{early:?}"
    );
    for _ in 0..2 {
        assert_eq!(did(&rig).await, [1, 0, 0]);
    }
    let requested = events(&rig, "certificate.renewal_requested").await;
    assert_eq!(requested, 2, "made, and asked for once");
    let stands = get(&rig, noun, automation).await;
    assert_eq!(stands.state["renewal_requested_by"], ROBOT);
    let agree = async || {
        rig.pass(1);
        let inventory = inventory(&rig);
        inventory
            .renewal_approve(automation, by(&rig, "bob"))
            .await
            .unwrap()
    };
    assert_eq!(agree().await.state["renewal_approved_by"], "bob");
    rig.pass(1);
    let other = json!({"names": ["other.example.org"]});
    patch(&rig, noun, automation, other).await;
    assert_eq!(did(&rig).await, [1, 0, 0], "nobody agreed to that");
    agree().await;
    assert_eq!(did(&rig).await, [0, 1, 0]);
    let stands = get(&rig, noun, automation).await;
    for field in ["renewal_requested_at", "renewal_approved_at"] {
        assert_eq!(stands.state[field], Value::Null, "{field}");
    }
    let new = current(&rig, automation).await;
    assert_eq!(new.state["names"], json!(["other.example.org"]));
    assert_eq!(did(&rig).await, [0, 0, 0]);
    what_is_in_force_is_not_removed(&rig, automation, new.id).await;
}

/// Until another one is; then it may go, though that one replaces it.
async fn what_is_in_force_is_not_removed(
    rig: &Rig<'_>,
    automation: InventoryId,
    certificate: InventoryId,
) {
    let remove = async |certificate: InventoryId| {
        let inventory = inventory(rig);
        let noun = Noun::Certificate;
        inventory
            .remove(noun, certificate, None, by(rig, "ana"))
            .await
    };
    let Err(InventoryError::Refused(reasons)) = remove(certificate).await else {
        panic!("it was removed");
    };
    let why = format!(
        "the certificate is in use: 1 certificate automation refers to it: `www` ({automation})"
    );
    assert_eq!(reasons, [(0, Reason::InUse(why))]);
    let noun = Noun::CertificateAutomation;
    patch(rig, noun, automation, json!({"approval_role": null})).await;
    let ask = inventory(rig);
    ask.renewal_request(automation, Cause::Asked, by(rig, "ana"))
        .await
        .unwrap();
    assert_eq!(did(rig).await, [0, 1, 0]);
    remove(certificate).await.unwrap();
}

async fn what_is_revoked_is_left_alone(database: &Database) {
    let rig = Rig::new(database, None).await;
    let (issuer, root) = authority(&rig, "Ours").await;
    let noun = Noun::CertificateAutomation;
    let automation =
        json!({"name": "www", "issuer": issuer, "names": ["www.example.org"], "reuse_key": true});
    let automation = make(&rig, noun, automation, None).await;
    assert_eq!(did(&rig).await, [0, 1, 0]);
    let first = current(&rig, automation).await.id;
    let foreign = make(&rig, Noun::Certificate, json!({"certificate": root}), None).await;
    let revoke = async |id| {
        let reason = RevocationReason::KeyCompromise;
        inventory(&rig)
            .revocation_ask(id, reason, by(&rig, "ana"))
            .await
    };
    let asked = revoke(first).await.unwrap();
    assert_eq!(asked.state["revocation_reason"], "key_compromise");
    for id in [first, foreign] {
        let refused = revoke(id).await;
        let conflict = matches!(refused, Err(StoreError::Conflict { .. }));
        assert!(conflict, "{refused:?}");
    }
    assert_eq!(did(&rig).await, [1, 0, 1]);
    assert_eq!(events(&rig, "certificate.revoked").await, 1);
    let revoked = get(&rig, Noun::Certificate, first).await;
    assert_ne!(revoked.state["revoked_at"], Value::Null);
    rig.pass(89 * 24 * 3_600);
    assert_eq!(did(&rig).await, [1, 0, 0], "it is not renewed by itself");

    let ask = inventory(&rig);
    ask.renewal_request(automation, Cause::Asked, by(&rig, "ana"))
        .await
        .unwrap();
    assert_eq!(did(&rig).await, [0, 1, 0]);
    let stands = get(&rig, noun, automation).await;
    assert_eq!(stands.state["revoked_at"], Value::Null);
    let keys = rig.rows("private_keys", "automation_id IS NOT NULL").await;
    assert_eq!(keys, 2, "a key that may be known is not taken again");
}
