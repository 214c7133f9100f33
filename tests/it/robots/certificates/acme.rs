//! A certificate over ACME: one order, whatever is cut off, and one account.

use robotd::domain::inventory::Noun;
use serde_json::json;

use super::{current, get, no_key_leaked, run, text};
use crate::robots::operations::{inventory, make};
use crate::robots::rig::{Rig, count};
use crate::support::certificates::Certificates;
use crate::support::database::{Database, on_both};
use crate::support::install_tls_provider;
use crate::support::pebble::Pebble;

on_both!(a_certificate_is_issued_over_acme);

async fn a_certificate_is_issued_over_acme(database: &Database) {
    install_tls_provider();
    let (Some(pebble), Some(certificates)) = (Pebble::start(), Certificates::new()) else {
        return;
    };
    let rig = Rig::new(database, None).await;
    let ca = std::fs::read_to_string(&pebble.ca).unwrap();
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

    // A name that is not ours: the authority gives the order up, and another one is made after a while.
    let other = json!({"name": "other", "issuer": issuer, "names": ["nowhere.invalid"]});
    let other = make(&rig, Noun::CertificateAutomation, other, None).await;
    assert_eq!(count(&run(&rig).await, "renewals_failed"), 1);
    let stands = get(&rig, Noun::CertificateAutomation, other).await;
    assert_eq!(stands.state["failures"], json!(1), "{stands:?}");
    assert!(
        text(&stands.state["error"]).contains("prove the names"),
        "{stands:?}"
    );
    let open = "finished_at IS NULL AND order_url IS NULL";
    assert_eq!(rig.rows("certificate_issues", open).await, 1);
    let account = inventory(&rig).issuer_key(issuer).await.unwrap().unwrap();
    let account = secrecy::ExposeSecret::expose_secret(&account).to_owned();
    assert!(!pebble.log().contains(account.lines().nth(1).unwrap()));
    no_key_leaked(&rig, &[account]).await;
}
