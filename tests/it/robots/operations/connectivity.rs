//! Services of devices: which are lost, which come back, and which show another key.

use robotd::domain::inventory::Noun;
use robotd::robot::outcome::Verdict;
use serde_json::{Value, json};

use super::{device, inventory, machine, make};
use crate::robots::rig::{Rig, count};
use crate::support::consoles::says_at;
use crate::support::counterpart::free_port;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    a_service_is_lost_and_recovers_and_its_key_is_watched,
    an_outage_of_our_own_is_blamed_on_nobody,
);

const NAME: &str = "operations.connectivity_test";

async fn told(rig: &Rig<'_>) -> [i64; 3] {
    let mut told = [0; 3];
    let kinds = [
        "connectivity_lost",
        "connectivity_recovered",
        "host_key_changed",
    ];
    for (count, kind) in told.iter_mut().zip(kinds) {
        *count = rig.rows("events", &format!("type = 'device.{kind}'")).await;
    }
    told
}

async fn a_service_is_lost_and_recovers_and_its_key_is_watched(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let nothing = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(nothing.verdict, Verdict::Nothing);
    let shell = machine(&rig, &sshd).await;
    let port = free_port();
    let screen = device(&rig, "vnc", port, json!(null)).await;
    for lost in [0, 0, 1, 1] {
        let outcome = rig.run(NAME, json!({})).await.unwrap();
        assert_eq!(
            (count(&outcome, "ways_up"), count(&outcome, "ways_down")),
            (1, 1)
        );
        assert_eq!(told(&rig).await, [lost, 0, 0]);
        rig.pass(1_800);
    }
    says_at(port, b"RFB 003.008\n");
    // An event names one device; the other one is left alone.
    let payload = json!({"type": "device.changed", "data": {"id": screen}});
    let outcome = rig.run_with(NAME, json!({}), payload).await.unwrap();
    assert_eq!(
        (count(&outcome, "ways_up"), count(&outcome, "ways_down")),
        (1, 0)
    );
    assert_eq!(told(&rig).await, [1, 1, 0]);

    let met = inventory(&rig).get(Noun::Device, shell).await.unwrap();
    let way = &met.lists["connectivities"][0];
    let key = sshd.host_key("ed25519");
    assert_eq!(
        way["seen_key"],
        json!(format!("{} {}", key.algorithm, key.fingerprint))
    );
    assert_eq!(
        (&way["status"], &way["failures"], &way["error_class"]),
        (&json!("up"), &json!(0), &Value::Null)
    );
    let other = "ssh-ed25519 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    rig.database
        .sql(&format!(
            "UPDATE device_connectivities SET host_key = '{other}' WHERE protocol = 'ssh'"
        ))
        .await;
    for _ in 0..2 {
        rig.pass(1_800);
        rig.run(NAME, json!({})).await.unwrap();
        assert_eq!(
            told(&rig).await,
            [1, 1, 1],
            "told once, and no service is lost"
        );
    }
    assert!(!sshd.log().contains("Accepted"), "nobody signed in");
}

async fn an_outage_of_our_own_is_blamed_on_nobody(database: &Database) {
    let rig = Rig::new(database, None).await;
    let ways: Vec<Value> = (0..20)
        .map(|_| json!({"protocol": "telnet", "port": free_port()}))
        .collect();
    let body = json!({"hostname": "h", "address": "127.0.0.1", "connectivities": ways});
    make(&rig, Noun::Device, body, None).await;
    for _ in 0..4 {
        let error = rig.run(NAME, json!({})).await.unwrap_err();
        assert_eq!((error.class, error.temporary), ("network", true));
    }
    assert_eq!(told(&rig).await, [0, 0, 0]);
    assert_eq!(
        rig.rows(
            "device_connectivities",
            "failures > 0 OR status IS NOT NULL"
        )
        .await,
        0
    );
}
