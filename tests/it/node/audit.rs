//! Every change is in the trail and at the collector, whoever is away meanwhile.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::audit::{AuditEntry, GENESIS_HASH, verify};
use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::rsyslog::Rsyslog;

const LIMIT: Duration = Duration::from_secs(40);
/// What a change may take, whether or not a collector is there.
const QUICK: Duration = Duration::from_secs(1);
const ROBOT: &str = "/robots/custom.watched";

fn node(collector: &str) -> Node {
    Node::new(&format!(
        r#"
        syslog = "{collector}"

        [[robot]]
        name = "custom.watched"
        command = ["/bin/true"]
        every = "PT1H"
        "#
    ))
}

/// A change, quickly answered.
async fn change(node: &Node, patch: &Value) {
    let begun = Instant::now();
    node.send(Method::PATCH, ROBOT, patch.clone()).await;
    assert!(begun.elapsed() < QUICK, "{patch}: {:?}", begun.elapsed());
}

/// The trail, oldest first, of all pages.
async fn trail(node: &Node) -> Vec<AuditEntry> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut entries: Vec<_> = node.all("/audit").await;
    entries.reverse();
    let entry = |value: Value| AuditEntry {
        id: text(&value["id"]).parse().unwrap(),
        at: text(&value["at"]).parse().unwrap(),
        actor: text(&value["actor"]),
        action: text(&value["action"]),
        object: text(&value["object"]),
        before: Some(value["before"].clone()).filter(|value| !value.is_null()),
        after: Some(value["after"].clone()).filter(|value| !value.is_null()),
        prev_hash: text(&value["prev_hash"]),
        hash: text(&value["hash"]),
    };
    entries.into_iter().map(entry).collect()
}

/// Waits until the collector has the message of every entry.
async fn all_arrive(collector: &Rsyslog, entries: &[AuditEntry]) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let lines = collector.lines("raw.log").join("\n");
        let missing = entries
            .iter()
            .filter(|entry| !lines.contains(&entry.hash))
            .count();
        if missing == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{missing} of {} messages never arrived",
            entries.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn each_change_is_an_entry_of_the_trail_and_a_message_over_tls() {
    let Some(collector) = Rsyslog::start() else {
        return;
    };
    let mut node = node(&collector.target("tls", ""));
    node.start().await;
    let begun = SystemClock.now();
    let window = json!({"start": "22:00", "end": "06:00", "days": ["mon", "tue"], "timezone": "America/Sao_Paulo",
        "at_close": "finish"});
    let changes = [
        ("instances", json!(1), json!(3)),
        (
            "schedule",
            json!({"every": "PT1H"}),
            json!({"cron": "5 4 * * *", "timezone": "Europe/Berlin"}),
        ),
        ("window", Value::Null, window),
        ("enabled", json!(true), json!(false)),
    ];
    for (field, _, after) in &changes {
        change(&node, &json!({*field: after})).await;
    }
    node.send(Method::POST, &format!("{ROBOT}/reset"), json!({}))
        .await;

    let entries = trail(&node).await;
    verify(GENESIS_HASH, &entries).unwrap();
    assert_eq!(entries.len(), 5, "{entries:#?}");
    for (entry, (field, before, after)) in entries.iter().zip(&changes) {
        assert_eq!(entry.action, "robot.change");
        assert_eq!(entry.before, Some(json!({*field: before})), "{field}");
        assert_eq!(entry.after, Some(json!({*field: after})), "{field}");
    }
    let reset = entries.last().unwrap();
    assert_eq!(reset.action, "robot.reset");
    assert_eq!(reset.after.as_ref().unwrap()["instances"], 1);
    assert_eq!(
        reset.before.as_ref().unwrap().as_object().unwrap().len(),
        4,
        "{reset:#?}"
    );
    for entry in &entries {
        assert_eq!(
            (entry.actor.as_str(), entry.object.as_str()),
            ("admin", "robot:custom.watched")
        );
        assert!(
            entry.at >= begun && entry.at - begun < TimeDelta::seconds(20),
            "{}",
            entry.at
        );
    }
    all_arrive(&collector, &entries).await;
    for (line, entry) in collector.lines("raw.log").iter().zip(&entries) {
        is_message_of(line, entry, node.pid());
    }
    node.stop().await;
    assert_eq!(collector.lines("raw.log").len(), 5, "one message an entry");
}

/// `<109>1 TIME HOST robotd PID MSGID [robotd@32473 …] TEXT` (RFC 5424).
fn is_message_of(line: &str, entry: &AuditEntry, pid: u32) {
    let mut fields = line.splitn(7, ' ');
    let mut field = || fields.next().unwrap_or_else(|| panic!("too short: {line}"));
    // Facility 13 (log audit), severity 5 (notice).
    assert_eq!(field(), "<109>1", "{line}");
    assert_eq!(
        field().parse::<robotd::domain::time::Timestamp>().unwrap(),
        entry.at
    );
    assert!(!field().is_empty());
    assert_eq!(
        (field(), field()),
        ("robotd", pid.to_string().as_str()),
        "{line}"
    );
    assert_eq!(field(), entry.action);
    let rest = field();
    for part in [
        "[robotd@32473 ".to_owned(),
        format!("actor=\"{}\"", entry.actor),
        format!("object=\"{}\"", entry.object),
        format!("entry=\"{}\"", entry.id),
        format!("hash=\"{}\"", entry.hash),
        format!("before {}", entry.before.as_ref().unwrap()),
        format!("after {}", entry.after.as_ref().unwrap()),
    ] {
        assert!(rest.contains(&part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn a_dead_collector_loses_nothing_and_holds_nobody_up() {
    let Some(mut collector) = Rsyslog::start() else {
        return;
    };
    let mut node = node(&collector.target("tcp", ""));
    node.start().await;
    change(&node, &json!({"instances": 2})).await;
    all_arrive(&collector, &trail(&node).await).await;

    // Dead while changes are made, over a restart and a kill of the node.
    collector.kill();
    for instances in 3..=20 {
        change(&node, &json!({"instances": instances})).await;
    }
    node.stop().await;
    node.start().await;
    for instances in 21..=30 {
        change(&node, &json!({"instances": instances})).await;
    }
    node.kill();
    node.start().await;
    change(&node, &json!({"enabled": false})).await;

    // Back: everything arrives, also what is changed from now on.
    collector.resume();
    change(&node, &json!({"enabled": true})).await;
    let entries = trail(&node).await;
    verify(GENESIS_HASH, &entries).unwrap();
    assert_eq!(entries.len(), 31);
    all_arrive(&collector, &entries).await;
    in_order_and_once(&collector, &entries);

    // Hanging instead of dead: its kernel takes bytes that nobody reads.
    collector.pause();
    for instances in 31..=40 {
        change(&node, &json!({"instances": instances})).await;
    }
    let health: Value = reqwest::get(format!("{}/health", node.url()))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(health["status"], "ok", "{health:#}");
    node.stop().await;
}

/// Each message once, in the order of the trail.
fn in_order_and_once(collector: &Rsyslog, entries: &[AuditEntry]) {
    let lines = collector.lines("raw.log");
    let place = |entry: &AuditEntry| {
        lines
            .iter()
            .position(|line| line.contains(&entry.hash))
            .unwrap()
    };
    let places: Vec<_> = entries.iter().map(place).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(places.iter().collect::<HashSet<_>>().len(), entries.len());
}
