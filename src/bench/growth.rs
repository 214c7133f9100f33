//! Draining beside what has grown: each case against the empty database of the same run.

use chrono::TimeDelta;

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

/// Drains of each case: filling in what has grown takes longer than they do.
const DRAINS: u32 = 5;

/// Drains on an empty database, beside `finished` finished tasks, and beside a tenth as many scheduled ones; then on a
/// fresh node with ten thousand robots.
pub(super) async fn measure(place: &Place, finished: u32) -> anyhow::Result<Vec<Sample>> {
    let drained = DRAINED.min(finished.max(1));
    let node = Node::with_robots(place, Crowd::default()).await?;
    let store = place.store().await?;
    // The first only brings the node to its size.
    drain_on(place, &node, &store, drained, "warm-up").await?;
    let mut samples = Vec::new();
    for _ in 0..DRAINS {
        samples.push(drain_on(place, &node, &store, drained, "growth, nothing else").await?);
    }

    let from = SystemClock.now() - AGE;
    let step = AGE.num_microseconds().unwrap_or_default() / i64::from(finished.max(1));
    store
        .bench_fill_finished(NodeId(1), finished, from, step)
        .await?;
    let name = format!("growth, {finished} finished tasks");
    for _ in 0..DRAINS {
        samples.push(drain_on(place, &node, &store, drained, &name).await?);
    }

    let robot = id_of(&store, NOOP).await?;
    let scheduled = finished / 10;
    let from = SystemClock.now() + TimeDelta::days(1);
    store.bench_fill_scheduled(robot, scheduled, from).await?;
    let name = format!("growth, {scheduled} scheduled tasks too");
    for _ in 0..DRAINS {
        samples.push(drain_on(place, &node, &store, drained, &name).await?);
    }
    node.stop().await?;

    let robots = ROBOTS.min(finished);
    let crowd = Crowd {
        robots,
        ticking: false,
    };
    let node = Node::with_robots(place, crowd).await?;
    let name = format!("growth, {robots} robots too");
    for _ in 0..DRAINS {
        samples.push(drain_on(place, &node, &store, drained, &name).await?);
    }
    node.stop().await?;
    Ok(samples)
}
