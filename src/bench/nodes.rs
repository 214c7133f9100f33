//! Draining by one node, and by three together on the same database.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::figure::Sample;
use super::node::Node;
use super::queue::drain_on;
use super::robots::Crowd;
use crate::store::Store;
use crate::store::node::NodeState;
use crate::trial::place::Place;

/// Nodes that drain together.
const NODES: u32 = 3;
/// How long they may take to know of each other.
const MEET_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// From then until the instances are shared out: two heartbeats, and some time to spare.
const SHARE: Duration = Duration::from_secs(10);

/// Drains `count` tasks by one node, then by three. On one machine they share its processors: what three do more slowly
/// is what it costs to count instances for all of them together and to claim beside others.
pub(super) async fn measure(place: &Place, count: u32) -> anyhow::Result<Vec<Sample>> {
    anyhow::ensure!(
        place.database() == "postgres",
        "many nodes share a PostgreSQL database: say which by --database-url"
    );
    let first = Node::with_robots(place, Crowd::default()).await?;
    let store = place.store().await?;
    // The first only brings the node to its size.
    drain_on(place, &first, &store, count, "warm-up").await?;
    let alone = drain_on(place, &first, &store, count, "drain by 1 node").await?;
    let mut others = Vec::new();
    for number in 2..=NODES {
        others.push(Node::beside(place, number).await?);
    }
    until_met(&store).await?;
    sleep(SHARE).await;
    let name = format!("drain by {NODES} nodes");
    let together = drain_on(place, &first, &store, count, &name).await?;
    for node in others {
        node.stop().await?;
    }
    first.stop().await?;
    Ok(Vec::from([alone, together]))
}

async fn until_met(store: &Store) -> anyhow::Result<()> {
    let begun = Instant::now();
    let wanted = usize::try_from(NODES)?;
    loop {
        let nodes = store.node_list().await?;
        let alive = nodes.iter().filter(|node| node.state == NodeState::Alive);
        if alive.count() == wanted {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < MEET_MAX, "the nodes did not meet");
        sleep(LOOK_EVERY).await;
    }
}
