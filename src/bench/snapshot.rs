//! Draining beside a transaction that stays open: its snapshot keeps every dead row from being cleaned up.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::figure::Sample;
use super::node::Node;
use super::queue::drain_on;
use super::robots::Crowd;
use crate::trial::place::Place;

/// Tasks drained at once, where the snapshot is held for long enough for so many.
const DRAINED: u32 = 200_000;
/// Tasks for each second that it is held, so that a short look stays short.
const DRAINED_EACH_SECOND: u32 = 1_000;
/// Drains before it is opened, and after it was held for long enough.
const DRAINS: u32 = 5;

/// Drains, opens a snapshot, goes on draining for `seconds`, and drains again while it is still open.
pub(super) async fn measure(place: &Place, seconds: u32) -> anyhow::Result<Vec<Sample>> {
    let drained = DRAINED.min(seconds.saturating_mul(DRAINED_EACH_SECOND));
    let node = Node::with_robots(place, Crowd::default()).await?;
    let store = place.store().await?;
    drain_on(place, &node, &store, drained, "warm-up").await?;
    let mut samples = Vec::new();
    for _ in 0..DRAINS {
        samples.push(drain_on(place, &node, &store, drained, "snapshot, none open").await?);
    }

    let (hold, until) = mpsc::channel::<()>();
    let mut snapshot = JoinSet::new();
    let held = store.clone();
    snapshot.spawn(async move { held.bench_hold_snapshot(until).await });
    let opened = Instant::now();
    while opened.elapsed() < Duration::from_secs(seconds.into()) {
        drain_on(place, &node, &store, drained, "load").await?;
    }
    let name = format!("snapshot, open for {seconds} s");
    for _ in 0..DRAINS {
        samples.push(drain_on(place, &node, &store, drained, &name).await?);
    }
    drop(hold);
    while let Some(ended) = snapshot.join_next().await {
        ended??;
    }
    node.stop().await?;
    Ok(samples)
}
