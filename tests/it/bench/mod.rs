//! `robotd bench`: small runs of every workload, what it refuses, and what it leaves behind.

use std::process::{Command, Output, Stdio};

use robotd::store::StoreConfig;
use serde_json::Value;

use crate::support::database::Database;

fn bench(words: &[&str], url: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotd"));
    command.arg("bench").args(words).stdin(Stdio::null());
    if let Some(url) = url {
        command.env("ROBOTD_DATABASE_URL", url);
    }
    command.output().unwrap()
}

fn figures(words: &[&str], url: Option<&str>) -> Vec<Value> {
    let output = bench(&[words, &["--runs", "1", "--json"]].concat(), url);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    let out = String::from_utf8(output.stdout).unwrap();
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn names(figures: &[Value]) -> Vec<&str> {
    figures
        .iter()
        .map(|figure| figure["workload"].as_str().unwrap())
        .collect()
}

/// The workloads that only speak HTTP to a node, whatever its database is.
fn callers() {
    let enqueue = figures(&["enqueue", "--tasks", "640"], None);
    assert_eq!(
        names(&enqueue),
        ["enqueue, 1 caller", "enqueue, 32 callers"]
    );
    assert_eq!(enqueue[1]["count"], 640);
    assert!(enqueue[1]["p99_ms"].as_f64() >= enqueue[1]["p50_ms"].as_f64());

    let bulk = figures(&["bulk", "--tasks", "4000"], None);
    assert_eq!(bulk.len(), 2);
    assert_eq!(bulk[1]["count"], 4_000);

    let latency = figures(&["latency", "--tasks", "20"], None);
    assert_eq!(names(&latency), ["task to start", "event to start"]);
    for figure in &latency {
        let p50 = figure["p50_ms"].as_f64().unwrap();
        assert!(p50 > 0.0, "nothing starts before it was asked for");
    }
}

/// The workloads that fill and look into the database themselves.
fn insiders(database: &str, url: Option<&str>) {
    let drain = figures(&["drain", "--tasks", "2000"], url);
    assert_eq!(names(&drain), ["drain"]);
    assert_eq!(drain[0]["database"], database);
    assert_eq!(drain[0]["count"], 2_000);
    assert!(drain[0]["rate"].as_f64().unwrap() > 0.0);

    let growth = figures(&["growth", "--tasks", "1000"], url);
    assert_eq!(growth.len(), 4, "{:?}", names(&growth));
    assert!(growth.iter().all(|case| case["runs"] == 5));

    let snapshot = figures(&["snapshot", "--tasks", "1"], url);
    assert_eq!(
        names(&snapshot),
        ["snapshot, none open", "snapshot, open for 1 s"]
    );

    let reports = figures(&["reports", "--tasks", "3000"], url);
    assert_eq!(reports.len(), 32, "{:?}", names(&reports));

    let pages = figures(&["pages", "--tasks", "3000"], url);
    assert_eq!(pages.len(), 13, "{:?}", names(&pages));
    assert!(
        pages
            .iter()
            .all(|page| page["bytes"].as_f64() > Some(2_000.0))
    );
}

#[tokio::test]
async fn every_short_workload_is_measured_on_sqlite() {
    callers();
    insiders("sqlite", None);
}

#[tokio::test]
async fn every_short_workload_is_measured_on_postgres_and_leaves_it_empty() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("PostgreSQL was asked for")
    };
    let config = database.config.clone();
    let outside = |work: fn(&StoreConfig) -> bool| {
        let config = config.clone();
        tokio::task::spawn_blocking(move || work(&config))
    };
    assert!(!outside(|config| config.is_empty().unwrap()).await.unwrap());
    let output = bench(&["drain", "--tasks", "10"], Some(url));
    assert_eq!(output.status.code(), Some(70));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the database is not empty"), "{said}");
    assert_eq!(
        database.number("SELECT count(*) FROM robots").await,
        0,
        "the refused database has kept its tables"
    );

    outside(|config| config.clear().is_ok()).await.unwrap();
    insiders("postgres", Some(url));
    let nodes = figures(&["nodes", "--tasks", "1000"], Some(url));
    assert_eq!(names(&nodes), ["drain by 1 node", "drain by 3 nodes"]);
    assert_eq!(nodes[1]["count"], 1_000);
    assert!(outside(|config| config.is_empty().unwrap()).await.unwrap());
}

#[test]
fn a_crowd_ticks_and_none_of_its_ticks_is_lost() {
    let ticks = figures(&["ticks", "--tasks", "20"], None);
    assert_eq!(names(&ticks), ["ticks of 20 robots"]);
    assert_eq!(ticks[0]["not_decided"], 0.0);
    assert!(ticks[0]["p99_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_idle_node_is_measured() {
    let idle = figures(&["idle", "--tasks", "5"], None);
    assert!(idle[0]["rss_mib"].as_f64().unwrap() > 1.0);
    assert!(idle[0]["cpu_percent"].as_f64().unwrap() < 50.0);
}

#[test]
fn a_file_that_is_there_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.db");
    std::fs::write(&path, "mine").unwrap();
    let url = format!("sqlite://{}", path.display());
    let output = bench(&["drain", "--tasks", "10"], Some(&url));
    assert!(!output.status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn people_are_not_offered_it() {
    let help = Command::new(env!("CARGO_BIN_EXE_robotd"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(
        !String::from_utf8(help.stdout)
            .unwrap()
            .contains("\n  bench")
    );
}
