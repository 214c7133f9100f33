//! A certificate over ACME: one order, whatever is cut off, and one account; renewed when its authority suggests it, and revoked.

use chrono::TimeDelta;
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::{Noun, RevocationReason};
use robotd::domain::time::Timestamp;
use robotd::robot::inventory::By;
use serde_json::{Value, json};

use super::{current, get, no_key_leaked, patch, run, text};
use crate::robots::operations::{inventory, make};
use crate::robots::rig::{Rig, count};
use crate::support::certificates::Certificates;
use crate::support::database::{Database, on_both};
use crate::support::install_tls_provider;
use crate::support::nginx::Nginx;
use crate::support::pebble::Pebble;

on_both!(a_certificate_is_issued_over_acme);

async fn a_certificate_is_issued_over_acme(database: &Database) {
    install_tls_provider();
    let (Some(pebble), Some(certificates)) = (Pebble::start(), Certificates::new()) else {
        return;
    };
    let rig = Rig::new(database, None).await;
    let ca = std::fs::read_to_string(&pebble.authority.ca).unwrap();
    let issuer = json!({"name": "pebble", "kind": "acme", "acme": {
        "directory": pebble.directory, "ca": ca, "challenge_listen": format!("127.0.0.1:{}", pebble.http_port),
        "contacts": ["mailto:ops@example.org"],
    }});
    let issuer = make(&rig, Noun::CertificateIssuer, issuer, None).await;
    let automation = json!({"name": "local", "issuer": issuer, "names": ["localhost"]});
    let automation = make(&rig, Noun::CertificateAutomation, automation, None).await;
    // Somebody has the port: the order is there, and its proof is not.
    let taken = std::net::TcpListener::bind(("127.0.0.1", pebble.http_port)).unwrap();
    let outcome = run(&rig).await;
    assert_eq!(count(&outcome, "renewals_failed"), 1, "{outcome:?}");
    let stands = get(&rig, Noun::CertificateAutomation, automation).await;
    assert!(
        text(&stands.state["error"]).contains("listening on"),
        "{stands:?}"
    );
    assert_eq!(
        rig.rows("certificate_issues", "order_url IS NOT NULL")
            .await,
        1
    );
    drop(taken);
    assert_eq!(count(&run(&rig).await, "renewals_held"), 1);
    rig.pass(20 * 60);
    let outcome = run(&rig).await;
    assert_eq!(
        count(&outcome, "certificates_renewed"),
        1,
        "{:?}",
        rig.log.lock().unwrap()
    );
    let new = current(&rig, automation).await;
    assert_eq!(new.state["names"], json!(["localhost"]));
    let root = pebble.root().await;
    let pem = text(&new.body["certificate"]);
    assert!(certificates.verify(pem, &root, rig.now()), "{pem}");
    // One order and one account for all of it.
    assert_eq!(rig.rows("certificate_issues", "id > 0").await, 1);
    assert_eq!(rig.rows("private_keys", "issuer_id IS NOT NULL").await, 1);
    let again = run(&rig).await;
    assert_eq!(
        again.verdict,
        robotd::robot::outcome::Verdict::Nothing,
        "{again:?}"
    );

    nobody_proves_a_foreign_name(&rig, &pebble, issuer).await;
    it_is_renewed_when_that_is_suggested(&rig, &pebble, (issuer, automation)).await;
    it_is_revoked(&rig, &pebble, automation).await;
}

/// The authority gives the order up, and another one is made after a while.
async fn nobody_proves_a_foreign_name(rig: &Rig<'_>, pebble: &Pebble, issuer: InventoryId) {
    let other = json!({"name": "other", "issuer": issuer, "names": ["nowhere.invalid"]});
    let other = make(rig, Noun::CertificateAutomation, other, None).await;
    assert_eq!(count(&run(rig).await, "renewals_failed"), 1);
    let stands = get(rig, Noun::CertificateAutomation, other).await;
    assert_eq!(stands.state["failures"], json!(1), "{stands:?}");
    assert!(
        text(&stands.state["error"]).contains("prove the names"),
        "{stands:?}"
    );
    let open = "finished_at IS NULL AND order_url IS NULL";
    assert_eq!(rig.rows("certificate_issues", open).await, 1);
    let account = inventory(rig).issuer_key(issuer).await.unwrap().unwrap();
    let account = secrecy::ExposeSecret::expose_secret(&account).to_owned();
    assert!(!pebble.log().contains(account.lines().nth(1).unwrap()));
    no_key_leaked(rig, &[account]).await;
    let off = json!({"enabled": false});
    patch(rig, Noun::CertificateAutomation, other, off).await;
}

/// An instant that robots noted of an automation.
async fn noted(rig: &Rig<'_>, automation: InventoryId, field: &str) -> Option<Timestamp> {
    let stands = get(rig, Noun::CertificateAutomation, automation).await;
    serde_json::from_value(stands.state[field].clone()).unwrap()
}

/// This Pebble suggests nothing (RFC 9773), so that nginx does it in its place; everything else it says itself.
async fn it_is_renewed_when_that_is_suggested(
    rig: &Rig<'_>,
    pebble: &Pebble,
    (issuer, automation): (InventoryId, InventoryId),
) {
    let asked_at = noted(rig, automation, "suggestion_next_at").await;
    assert!(asked_at > Some(rig.now()), "{asked_at:?}");
    let window = [20, 21].map(|days| rig.now() + TimeDelta::days(days));
    let mut directory: Value = serde_json::from_str(&pebble.get(&pebble.directory).await).unwrap();
    directory["renewalInfo"] = json!("https://localhost:$server_port/renewal-info");
    let info = json!({"suggestedWindow": {"start": window[0], "end": window[1]}});
    let answer = format!(
        "default_type application/json; location = /dir {{ return 200 '{directory}'; }} \
         location /renewal-info/ {{ add_header Retry-After 7200; return 200 '{info}'; }}"
    );
    let Some(nginx) = Nginx::before(&pebble.authority, &answer) else {
        return;
    };
    let directory = format!("https://localhost:{}/dir", nginx.port);
    let moved = json!({"acme": {"directory": directory}});
    patch(rig, Noun::CertificateIssuer, issuer, moved).await;
    let before = current(rig, automation).await.id;
    let day = 24 * 3_600;
    rig.pass(day + 3_600);
    assert_eq!(count(&run(rig).await, "certificates_renewed"), 0);
    let suggested = noted(rig, automation, "renewal_suggested_at")
        .await
        .unwrap();
    assert!((window[0]..window[1]).contains(&suggested), "{suggested}");
    let again = noted(rig, automation, "suggestion_next_at").await.unwrap();
    assert!(again > rig.now() && again <= rig.now() + TimeDelta::hours(2));
    // Years before its end.
    rig.pass(21 * day);
    assert_eq!(count(&run(rig).await, "certificates_renewed"), 1);
    assert_ne!(current(rig, automation).await.id, before);
    assert_eq!(noted(rig, automation, "renewal_suggested_at").await, None);
    let own = json!({"acme": {"directory": pebble.directory}});
    patch(rig, Noun::CertificateIssuer, issuer, own).await;
}

async fn it_is_revoked(rig: &Rig<'_>, pebble: &Pebble, automation: InventoryId) {
    let certificate = current(rig, automation).await;
    let serial = text(&certificate.state["serial"]);
    let said = pebble.status(serial).await;
    assert!(said.contains("\"Valid\""), "{said}");
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let (inventory, reason) = (inventory(rig), RevocationReason::KeyCompromise);
    let ask = inventory.revocation_ask(certificate.id, reason, by);
    ask.await.unwrap();
    let outcome = run(rig).await;
    let log = rig.log.lock().unwrap().clone();
    assert_eq!(count(&outcome, "certificates_revoked"), 1, "{log:?}");
    let said = pebble.status(serial).await;
    assert!(said.contains("\"Revoked\""), "{said}");
}
