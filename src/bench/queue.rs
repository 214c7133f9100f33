//! A queue that is full when its robot is switched on.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::client::Client;
use super::figure::Sample;
use super::node::Node;
use super::robots::{Crowd, NOOP};
use crate::domain::id::{RobotId, TaskId};
use crate::domain::task::BATCH_TASKS_MAX;
use crate::store::Store;
use crate::trial::place::Place;

/// How often it is looked whether the queue is empty.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longest wait for that; the slowest rival drains 200,000 tasks in a minute.
const DRAIN_MAX: Duration = Duration::from_secs(600);

/// Drains `count` tasks on an otherwise empty database.
pub(super) async fn drain(place: &Place, count: u32) -> anyhow::Result<Vec<Sample>> {
    let node = Node::with_robots(place, Crowd::default()).await?;
    let store = place.store().await?;
    let sample = drain_on(place, &node, &store, count, "drain").await?;
    node.stop().await?;
    Ok(Vec::from([sample]))
}

/// Drains `count` tasks on `node`. The clock runs from the request that switches the robot on until no task is
/// queued or running; afterwards each task must have its succeeded process.
pub(super) async fn drain_on(
    place: &Place,
    node: &Node,
    store: &Store,
    count: u32,
    workload: &str,
) -> anyhow::Result<Sample> {
    let robot = id_of(store, NOOP).await?;
    let before = store.bench_succeeded(robot).await?;
    let mut client = Client::connect(node).await?;
    client.enable(NOOP, false).await?;
    let last = fill(&mut client, count).await?;
    place.settle().await?;
    let (cpu_before, _) = node.usage()?;
    let started = Instant::now();
    client.enable(NOOP, true).await?;
    // They begin in their order; looking for any that is queued would mean to walk over all that are gone.
    while store.bench_open(last).await? || store.bench_running().await? {
        anyhow::ensure!(
            started.elapsed() < DRAIN_MAX,
            "the queue does not become empty"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = started.elapsed();
    let (cpu, resident) = node.usage()?;
    let ended = store.bench_succeeded(robot).await? - before;
    anyhow::ensure!(
        ended == u64::from(count),
        "{ended} of {count} tasks have a process that succeeded"
    );
    let mut sample = Sample {
        workload: workload.to_owned(),
        database: place.database(),
        count: u64::from(count),
        rate: Sample::rate(u64::from(count), took),
        ..Sample::default()
    };
    let cpu = cpu.saturating_sub(cpu_before);
    sample.facts.insert(
        "node_cpu_us_per_task",
        cpu.as_secs_f64() * 1e6 / f64::from(count),
    );
    sample.facts.insert("node_rss_mib", mebibytes(resident));
    Ok(sample)
}

/// Bytes in MiB.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    u32::try_from(bytes / 1_024).map_or(f64::MAX, |kibibytes| f64::from(kibibytes) / 1_024.0)
}

/// The id of a robot.
pub(super) async fn id_of(store: &Store, name: &str) -> anyhow::Result<RobotId> {
    let robots = store.robot_list().await?;
    let robot = robots.into_iter().find(|robot| robot.name == name);
    Ok(robot
        .with_context(|| format!("there is no robot `{name}`"))?
        .id)
}

/// Registers `count` tasks; answers the last one.
async fn fill(client: &mut Client, count: u32) -> anyhow::Result<TaskId> {
    let most = u32::try_from(BATCH_TASKS_MAX)?;
    let (mut next, mut answer) = (0, bytes::Bytes::new());
    while next < count {
        let end = count.min(next + most);
        answer = client.post("/tasks/batch", batch(next..end)).await?;
        next = end;
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let last = answer["tasks"].as_array().and_then(|tasks| tasks.last());
    let last = last
        .and_then(serde_json::Value::as_str)
        .context("no task was registered")?;
    Ok(TaskId(last.parse()?))
}

/// The body that registers one task of [`NOOP`] a number.
pub(super) fn batch(numbers: std::ops::Range<u32>) -> String {
    let tasks: Vec<_> = numbers.map(task).collect();
    format!(r#"{{"tasks":[{}]}}"#, tasks.join(","))
}

/// The body that registers one task of [`NOOP`].
pub(super) fn task(number: u32) -> String {
    format!(r#"{{"robot":"{NOOP}","payload":{{"n":{number}}}}}"#)
}
