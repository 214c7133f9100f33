//! Draining beside what has grown: each case against the empty database of the same run.

use std::sync::mpsc;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::figure::Sample;
use super::node::Node;
use super::queue::{drain_on, id_of};
use super::robots::{Crowd, NOOP};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::id::NodeId;
use crate::trial::place::Place;

/// Tasks drained in each case.
const DRAINED: u32 = 200_000;
/// Robots beside the one that drains.
const ROBOTS: u32 = 10_000;
/// Old tasks were registered over this time.
const AGE: TimeDelta = TimeDelta::days(20);

/// Drains on an empty database, beside an open snapshot, beside `finished` finished tasks, and beside a tenth
/// as many scheduled ones; then on a fresh node with ten thousand robots.
pub(super) async fn measure(place: &Place, finished: u32) -> anyhow::Result<Vec<Sample>> {
    let drained = DRAINED.min(finished.max(1));
    let node = Node::with_robots(place, Crowd::default()).await?;
    let store = place.store().await?;
    let mut samples = Vec::new();
    // Twice: the first only brings the node to its size.
    drain_on(place, &node, &store, drained, "warm-up").await?;
    samples.push(drain_on(place, &node, &store, drained, "growth, nothing else").await?);

    let (hold, until) = mpsc::channel::<()>();
    let mut snapshot = JoinSet::new();
    let held = store.clone();
    snapshot.spawn(async move { held.bench_hold_snapshot(until).await });
    // The first leaves dead rows behind that the snapshot keeps; the second has to work beside them.
    drain_on(place, &node, &store, drained, "warm-up").await?;
    samples.push(drain_on(place, &node, &store, drained, "growth, an open snapshot").await?);
    drop(hold);
    while let Some(ended) = snapshot.join_next().await {
        ended??;
    }

    let from = SystemClock.now() - AGE;
    let step = AGE.num_microseconds().unwrap_or_default() / i64::from(finished.max(1));
    store
        .bench_fill_finished(NodeId(1), finished, from, step)
        .await?;
    let name = format!("growth, {finished} finished tasks");
    samples.push(drain_on(place, &node, &store, drained, &name).await?);

    let robot = id_of(&store, NOOP).await?;
    let scheduled = finished / 10;
    let from = SystemClock.now() + TimeDelta::days(1);
    store.bench_fill_scheduled(robot, scheduled, from).await?;
    let name = format!("growth, {scheduled} scheduled tasks too");
    samples.push(drain_on(place, &node, &store, drained, &name).await?);
    node.stop().await?;

    let robots = ROBOTS.min(finished);
    let crowd = Crowd {
        robots,
        ticking: false,
    };
    let node = Node::with_robots(place, crowd).await?;
    let name = format!("growth, {robots} robots too");
    samples.push(drain_on(place, &node, &store, drained, &name).await?);
    node.stop().await?;
    Ok(samples)
}
