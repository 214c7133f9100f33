//! Services of devices: which are lost, which come back, and which show another key.

use std::time::Duration;

use chrono::TimeDelta;
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::robot::outcome::Verdict;
use robotd::store::connectivity::ConnectivityTestFilter;
use robotd::store::page::PageRequest;
use robotd::store::upkeep::Retention;
use serde_json::{Value, json};

use super::{device, inventory, machine, make};
use crate::robots::rig::{Rig, count};
use crate::support::consoles::{listens_at, says_at};
use crate::support::counterpart::free_port;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    a_service_is_lost_and_recovers_and_its_key_is_watched,
    an_outage_of_our_own_is_blamed_on_nobody,
    a_few_silent_services_are_ours_where_no_canary_answers,
    a_subnet_that_goes_away_is_told_once,
    imports_that_end_together_are_tested_once,
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

    its_tests_are_kept(&rig, screen, port).await;
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

/// Four tests without an answer, and one with: for 30 days.
async fn its_tests_are_kept(rig: &Rig<'_>, screen: InventoryId, port: u16) {
    let history = async |protocol: Option<&str>| {
        let filter = ConnectivityTestFilter {
            device: screen,
            protocol: protocol.map(str::to_owned),
            from: None,
            to: None,
        };
        let page = PageRequest {
            limit: 9,
            after: None,
        };
        let found = rig.tools.store.connectivity_test_list(filter, page).await;
        let items = found.unwrap().items;
        items
            .into_iter()
            .map(|test| (test.port, test.error_class))
            .collect::<Vec<_>>()
    };
    let away = || (i64::from(port), Some("refused".to_owned()));
    let all = [(i64::from(port), None), away(), away(), away(), away()];
    assert_eq!(history(Some("vnc")).await, all);
    assert_eq!(history(Some("ssh")).await, []);
    let met = inventory(rig).get(Noun::Device, screen).await.unwrap();
    assert_eq!(met.lists["connectivities"][0]["recent"], json!("--+"));
    let year = Duration::from_hours(24 * 365);
    let kept = Retention {
        tasks: year,
        events: year,
        ticks: year,
        views: year,
    };
    let later = rig.now() + TimeDelta::days(30);
    rig.tools.store.prune(kept, 1_000, later).await.unwrap();
    assert_eq!(history(None).await, all[..1], "the others are too old");
}

async fn an_outage_of_our_own_is_blamed_on_nobody(database: &Database) {
    let rig = Rig::new(database, None).await;
    let ways: Vec<Value> = (0..20)
        .map(|_| json!({"protocol": "telnet", "port": free_port()}))
        .collect();
    let body = json!({"hostname": "h", "address": "127.0.0.1", "connectivities": ways});
    make(&rig, Noun::Device, body, None).await;
    let mail = json!({"recipients": ["ops@example.org"]});
    for _ in 0..4 {
        let error = rig.run(NAME, mail.clone()).await.unwrap_err();
        assert_eq!((error.class, error.temporary), ("network", true));
    }
    let raised = "key = 'connectivity:own_network' AND level = 2";
    assert_eq!(rig.rows("alert_states", raised).await, 1);
    assert_eq!(rig.rows("mail_outbox", "TRUE").await, 1, "one message");
    assert_eq!(told(&rig).await, [0, 0, 0]);
    assert_eq!(
        rig.rows(
            "device_connectivities",
            "failures > 0 OR status IS NOT NULL"
        )
        .await,
        0
    );
    // Another protocol's services are not greeted; and where somebody answers, it is not our network.
    let others = json!({"protocols": ["ssh"]});
    let outcome = rig.run(NAME, others).await.unwrap();
    assert_eq!(count(&outcome, "ways_down"), 0);
    assert_eq!(rig.rows("alert_states", raised).await, 0, "it is over");
    let canary = format!("127.0.0.1:{}", says_at(0, b""));
    let judged = json!({"canaries": ["127.0.0.1:1", canary], "fails": 1, "of": 1});
    let outcome = rig.run(NAME, judged).await.unwrap();
    assert_eq!(count(&outcome, "ways_down"), 20);
    assert_eq!(told(&rig).await, [20, 0, 0]);
}

/// Too few to say anything by themselves: the canaries do.
async fn a_few_silent_services_are_ours_where_no_canary_answers(database: &Database) {
    let rig = Rig::new(database, None).await;
    device(&rig, "telnet", free_port(), json!(null)).await;
    let with = |canaries: &[&str]| json!({"canaries": canaries, "fails": 1, "of": 1});
    let error = rig.run(NAME, with(&["127.0.0.1:1"])).await.unwrap_err();
    assert_eq!(error.class, "network");
    assert_eq!(told(&rig).await, [0, 0, 0]);
    let outcome = rig.run(NAME, with(&[])).await.unwrap();
    assert_eq!(count(&outcome, "ways_down"), 1, "nobody says that it is us");
    assert_eq!(told(&rig).await, [1, 0, 0]);
}

/// Three machines of one subnet, one of another.
async fn a_subnet_that_goes_away_is_told_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    let here = says_at(0, b"RFB 003.008\n");
    device(&rig, "vnc", here, json!(null)).await;
    let port = free_port();
    for number in 1..=3 {
        let body = json!({
            "hostname": format!("away-{number}"), "address": format!("127.0.7.{number}"),
            "connectivities": [{"protocol": "vnc", "port": port}],
        });
        make(&rig, Noun::Device, body, None).await;
    }
    let settings =
        json!({"fails": 1, "of": 1, "subnet_devices": 3, "recipients": ["ops@example.org"]});
    let subnet = async || {
        let mut told = [0; 2];
        for (count, kind) in told.iter_mut().zip(["lost", "recovered"]) {
            let kind = format!("type = 'network.connectivity_{kind}' AND subject = '127.0.7.0/24'");
            *count = rig.rows("events", &kind).await;
        }
        told
    };
    for _ in 0..2 {
        let outcome = rig.run(NAME, settings.clone()).await.unwrap();
        assert_eq!(count(&outcome, "ways_down"), 3);
        assert_eq!((subnet().await, told(&rig).await), ([1, 0], [0, 0, 0]));
        assert_eq!(rig.rows("mail_outbox", "TRUE").await, 1);
    }
    // One of them is back, and two are not.
    listens_at("127.0.7.2", port, b"RFB 003.008\n");
    for _ in 0..2 {
        rig.run(NAME, settings.clone()).await.unwrap();
        assert_eq!((subnet().await, told(&rig).await), ([1, 1], [2, 0, 0]));
    }
    let raised = "key LIKE 'connectivity:%' AND level > 0";
    assert_eq!(rig.rows("alert_states", raised).await, 0);
}

/// An import that ended now, and whose row came to this (0: created, 2: unchanged) for a device.
async fn imported(rig: &Rig<'_>, id: i64, mode: i64, answer: i64, device: InventoryId) {
    let now = rig.micros();
    let import = format!(
        "INSERT INTO batch_imports (id, name, bytes, fingerprint, mode, state, requested_by, rows_done, created, updated, \
         unchanged, refused, skipped, attempts, cancel_requested, created_at, finished_at) \
         VALUES ({id}, 'f', 1, 'f', {mode}, 2, 'ana', 1, 0, 0, 0, 0, 0, 1, FALSE, {now}, {now})"
    );
    let row = format!(
        "INSERT INTO batch_import_rows (import_id, line, answer, done, cells, errors, device_id) \
         VALUES ({id}, 6, {answer}, TRUE, '[]', '[]', {device})"
    );
    for insert in [import, row] {
        rig.database.sql(&insert).await;
    }
}

async fn imports_that_end_together_are_tested_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    let mut devices = Vec::new();
    for _ in 0..4 {
        devices.push(device(&rig, "vnc", free_port(), json!(null)).await);
    }
    let run = async |import: i64| {
        let data = json!({"import": import.to_string()});
        let payload = json!({"type": "batch_import.finished", "data": data});
        rig.run_with(NAME, json!({}), payload).await.unwrap()
    };
    let began = rig.now();
    imported(&rig, 1, 0, 0, devices[0]).await;
    let settled = Verdict::Snooze(began + TimeDelta::seconds(30));
    assert_eq!(run(1).await.verdict, settled);
    rig.pass(20);
    imported(&rig, 2, 0, 0, devices[1]).await;
    // One that changed nothing, and one that was only looked at.
    imported(&rig, 3, 0, 2, devices[2]).await;
    imported(&rig, 4, 1, 0, devices[3]).await;
    rig.pass(10);
    assert_eq!(count(&run(1).await, "ways_down"), 2, "both, and no others");
    rig.pass(60);
    for import in [1, 2, 3, 4, 999] {
        assert_eq!(run(import).await.verdict, Verdict::Nothing, "{import}");
    }
    imported(&rig, 5, 0, 1, devices[2]).await;
    rig.pass(30);
    assert_eq!(count(&run(5).await, "ways_down"), 1);
    let tested = "failures = 1 AND tested_at IS NOT NULL";
    assert_eq!(rig.rows("device_connectivities", tested).await, 3);
}
