//! Certificates from an authority of ours and from Pebble, served by a real nginx on a machine behind a real sshd.

mod acme;
mod decisions;
mod lockout;
mod publish;
mod settle;
mod site;

use chrono::TimeDelta;
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::robot::Outcome;
use robotd::robot::inventory::{By, NewItem};
use robotd::store::inventory::Item;
use serde_json::{Value, json};

use super::operations::{inventory, make};
use super::rig::Rig;

const ROBOT: &str = "certificates.certificate_expiration";

/// One run that looks for a second whether a certificate is served.
async fn run(rig: &Rig<'_>) -> Outcome {
    rig.run(ROBOT, json!({"verify_within": "PT2S"}))
        .await
        .unwrap()
}

/// An authority of ours; its certificate as PEM.
async fn authority(rig: &Rig<'_>, name: &str) -> (InventoryId, String) {
    let body = json!({"name": name, "kind": "internal", "lifetime": "P90D"});
    let id = make(rig, Noun::CertificateIssuer, body, None).await;
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let item = inventory(rig).authority_found(id, None, by).await.unwrap();
    (id, item.state["certificate"].as_str().unwrap().to_owned())
}

async fn get(rig: &Rig<'_>, noun: Noun, id: InventoryId) -> Item {
    inventory(rig).get(noun, id).await.unwrap()
}

/// The certificate in force of an automation.
async fn current(rig: &Rig<'_>, automation: InventoryId) -> Item {
    let automation = get(rig, Noun::CertificateAutomation, automation).await;
    let id: InventoryId = serde_json::from_value(automation.state["current"].clone()).unwrap();
    get(rig, Noun::Certificate, id).await
}

async fn events(rig: &Rig<'_>, kind: &str) -> i64 {
    rig.rows("events", &format!("type = '{kind}'")).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Changes fields of a thing.
async fn patch(rig: &Rig<'_>, noun: Noun, id: InventoryId, body: Value) {
    let Value::Object(fields) = body else {
        panic!("no object: {body}")
    };
    let patch = NewItem {
        fields,
        secret: None,
    };
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let changed = inventory(rig).change(noun, id, None, &patch, by).await;
    changed.unwrap();
}

/// No private key is where it does not belong.
async fn no_key_leaked(rig: &Rig<'_>, keys: &[String]) {
    let log = rig.log.lock().unwrap().join("\n");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    for key in keys {
        // The middle of the key's own bytes, as PEM and Base64 of PEM have them.
        for needle in [key.lines().nth(1).unwrap(), "PRIVATE KEY"] {
            assert!(!log.contains(needle));
            for (table, columns) in [
                ("events", "body"),
                (
                    "audit_trail",
                    "COALESCE(before_json, '') || COALESCE(after_json, '')",
                ),
                ("certificate_publications", "place || COALESCE(detail, '')"),
                ("certificates", "certificate"),
                ("mail_outbox", "text"),
            ] {
                let held = rig
                    .rows(table, &format!("({columns}) LIKE '%{needle}%'"))
                    .await;
                assert_eq!(held, 0, "{table}");
            }
        }
    }
}

/// A life that begins so many days before now and ends so many after it.
fn life(
    rig: &Rig<'_>,
    before: i64,
    after: i64,
) -> (
    robotd::domain::time::Timestamp,
    robotd::domain::time::Timestamp,
) {
    let now = rig.now();
    (now - TimeDelta::days(before), now + TimeDelta::days(after))
}
