//! Processors and memory of the machine the tests run on.

use robotd::connect::host;
use robotd::store::sample::Resolution;
use serde_json::json;

use crate::robots::rig::{Rig, START, count};
use crate::support::database::{Database, on_both};

on_both!(
    figures_agree_with_the_kernels,
    a_lasting_breach_is_told_once_and_its_end_once,
    a_silent_node_is_told_once,
    a_rate_survives_lost_samples,
);

const NAME: &str = "notifications.cpu_and_memory_monitor";

async fn figures_agree_with_the_kernels(database: &Database) {
    let rig = Rig::new(database, None).await;
    let first = rig.run(NAME, json!({})).await.unwrap();
    let latest = database.store.sample_latest("").await.unwrap();
    assert!(
        latest
            .iter()
            .all(|sample| sample.series != "cpu.used_ratio"),
        "no delta yet"
    );
    let value = |series: &str| latest.iter().find(|s| s.series == series).unwrap().value;
    let memory = host::memory().unwrap();
    assert!((value("memory.used_ratio") - memory.used_ratio()).abs() < 0.1);
    let cores = std::fs::read_to_string("/proc/stat").unwrap();
    let cores = cores
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
        .count();
    let load: f64 = std::fs::read_to_string("/proc/loadavg")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let per_core = load / f64::from(u32::try_from(cores).unwrap());
    assert!((value("load.per_core") - per_core).abs() < 1.0);
    burn();
    rig.pass(60);
    let second = rig.run(NAME, json!({})).await.unwrap();
    let latest = database
        .store
        .sample_latest("cpu.used_ratio")
        .await
        .unwrap();
    assert!(
        latest[0].value > 0.0 && latest[0].value <= 1.0,
        "{latest:?}"
    );
    assert!(count(&second, "samples") > count(&first, "samples"));
}

/// Uses the processor until its counters have moved.
fn burn() {
    let before = host::cpu_times().unwrap();
    while host::cpu_times().unwrap().total_ticks < before.total_ticks + 20 {}
}

/// Memory is in use above any low threshold, and below the highest.
async fn a_lasting_breach_is_told_once_and_its_end_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    let low = json!({"memory_percent": 0.001, "clear_percent_lower": 0, "load_per_core": 1000,
        "cpu_percent": 100, "recipients": ["ana@example.org", "bob@example.org"]});
    // Counted by subject: the machine may be busy as well.
    let told = async || rig.rows("mail_outbox", "subject LIKE '%memory of%'").await;
    let mut queued = Vec::new();
    for _ in 0..6 {
        rig.run(NAME, low.clone()).await.unwrap();
        queued.push(told().await);
        rig.pass(60);
    }
    assert_eq!(
        queued,
        [0, 0, 2, 2, 2, 2],
        "three samples of five, then silence"
    );
    assert_eq!(rig.rows("events", "type = 'system.memory_high'").await, 1);
    rig.pass(4 * 3600);
    rig.run(NAME, low.clone()).await.unwrap();
    assert_eq!(told().await, 4, "still so after the reminder interval");
    let high = json!({"memory_percent": 100, "load_per_core": 1000, "cpu_percent": 100, "clear_percent_lower": 0,
        "recipients": ["ana@example.org"]});
    for _ in 0..5 {
        rig.pass(60);
        rig.run(NAME, high.clone()).await.unwrap();
    }
    assert_eq!(told().await, 5);
    assert_eq!(
        rig.rows("events", "type = 'system.memory_high.cleared'")
            .await,
        1
    );
}

async fn a_silent_node_is_told_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    let store = &database.store;
    // The node that judges, then the one that falls silent.
    assert_eq!(
        store.node_start("node-1", "t", 1, rig.now()).await.unwrap(),
        rig.tools.node
    );
    let other = store.node_start("node-2", "t", 2, rig.now()).await.unwrap();
    let sample = robotd::store::sample::Sample {
        series: "memory.used_ratio".to_owned(),
        node: other,
        node_name: "node-2".to_owned(),
        at: rig.now(),
        value: 0.5,
    };
    store.sample_append(vec![sample]).await.unwrap();
    for (seconds, expected) in [(299, 0), (2, 1), (60, 1)] {
        rig.pass(seconds);
        rig.run(NAME, json!({})).await.unwrap();
        assert_eq!(
            rig.rows("events", "type = 'system.node_offline'").await,
            expected
        );
    }
    store.node_stop(other, rig.now()).await.unwrap();
    rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(
        rig.rows("events", "type = 'system.node_offline.cleared'")
            .await,
        1
    );
}

/// The planned failure: the samples are gone and the counters are not readable.
async fn a_rate_survives_lost_samples(database: &Database) {
    let rig = Rig::new(database, None).await;
    rig.run(NAME, json!({})).await.unwrap();
    database.sql("DELETE FROM samples").await;
    burn();
    rig.pass(60);
    rig.run(NAME, json!({})).await.unwrap();
    let from = rig.now() - chrono::TimeDelta::minutes(1);
    let read = async |series: &str| {
        database
            .store
            .sample_read(series, "node-1", from, Resolution::Raw)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(
        read("cpu.used_ratio").await,
        1,
        "the counters are kept apart"
    );
    database
        .sql("UPDATE watermarks SET value = 'nonsense'")
        .await;
    rig.pass(60);
    rig.run(NAME, json!({})).await.unwrap();
    let from = robotd::domain::time::from_micros(START + 90_000_000);
    let points = database
        .store
        .sample_read("cpu.used_ratio", "node-1", from, Resolution::Raw)
        .await;
    assert_eq!(
        points.unwrap(),
        [],
        "no rate without counters, and no failure"
    );
}
