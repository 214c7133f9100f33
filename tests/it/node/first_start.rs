//! The first minutes of a new node: what the README promises.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;

use crate::support::node::Node;

#[tokio::test]
async fn a_new_node_runs_its_robots_by_itself() {
    let mut node = Node::new("");
    node.start().await;
    let told = node.output();
    assert!(told.contains(&node.url()), "{told}");
    assert!(told.contains("admin.token"), "{told}");
    for file in ["admin.token", "master.key", "robotd.db"] {
        let mode = std::fs::metadata(node.data_dir().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let robots = [
        "notifications.cpu_and_memory_monitor",
        "notifications.disk_space_monitors",
        "system_monitors.primary_key_monitor",
        "system_monitors.schedule_monitor",
    ];
    let mut runs: HashMap<&str, Value> = HashMap::new();
    for robot in robots {
        let path = format!("/processes?robot={robot}&outcome=succeeded");
        let page = node.until(&path, Duration::from_secs(120), has_items).await;
        runs.insert(robot, page["items"][0].clone());
    }
    let health = node.get("/../../health").await;
    assert_eq!(health["status"], "ok", "{health:#}");
    memory_agrees_with_proc(&runs["notifications.cpu_and_memory_monitor"]["counters"]);
    disks_agree_with_df(&runs["notifications.disk_space_monitors"]["counters"]);
    let columns = &runs["system_monitors.primary_key_monitor"]["counters"]["columns"];
    assert!(
        columns.as_i64().is_some_and(|columns| columns > 5),
        "{runs:#?}"
    );
    let watched = &runs["system_monitors.schedule_monitor"]["counters"]["robots"];
    assert_eq!(watched, robotd::robots::catalog().len(), "{runs:#?}");
    for robot in runs.keys() {
        let ticks = node.get(&format!("/ticks?robot={robot}&limit=1")).await;
        assert_eq!(ticks["items"][0]["decision"], "fired", "{ticks:#}");
    }
    node.stop().await;
}

/// The report's memory is that of `/proc/meminfo`; what is available moves, so 10 % of all may lie between.
fn memory_agrees_with_proc(counters: &Value) {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let mebibytes = |field: &str| -> i64 {
        let line = meminfo
            .lines()
            .find(|line| line.starts_with(field))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<i64>()
            .unwrap()
            / 1024
    };
    let total = counters["memory_total_mib"].as_i64().unwrap();
    assert_eq!(total, mebibytes("MemTotal:"), "{counters:#}");
    let available = counters["memory_available_mib"].as_i64().unwrap();
    assert!(
        (available - mebibytes("MemAvailable:")).abs() < total / 10,
        "{counters:#}"
    );
}

/// The report's share in use is that of `df`, within the point that `df` rounds up by and one for what
/// changed in between.
fn disks_agree_with_df(counters: &Value) {
    let output = std::process::Command::new("df")
        .args(["--output=pcent", "/"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let df: i64 = text
        .lines()
        .nth(1)
        .unwrap()
        .trim()
        .trim_end_matches('%')
        .parse()
        .unwrap();
    let told = counters["used_percent:/"]
        .as_i64()
        .unwrap_or_else(|| panic!("{counters:#}"));
    assert!((told - df).abs() <= 2, "df says {df}: {counters:#}");
}

/// The second start of a node finds its token, its key and its ticks.
#[tokio::test]
async fn a_restarted_node_goes_on() {
    let mut node = Node::new("");
    node.start().await;
    let robot = "system_monitors.schedule_monitor";
    node.until(
        &format!("/processes?robot={robot}"),
        Duration::from_secs(60),
        has_items,
    )
    .await;
    let token = node.token();
    node.stop().await;
    node.start().await;
    assert_eq!(node.token(), token);
    let nodes = node.get("/nodes").await;
    let states: Vec<_> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["state"].clone())
        .collect();
    assert_eq!(states, ["alive", "stopped"], "{nodes:#}");
    node.stop().await;
}

fn has_items(page: &Value) -> bool {
    page["items"]
        .as_array()
        .is_some_and(|items| !items.is_empty())
}
