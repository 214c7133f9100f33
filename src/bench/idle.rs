//! A node with the whole catalogue and nothing to do.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::figure::Sample;
use super::node::Node;
use super::queue::mebibytes;
use crate::trial::place::Place;

/// Until the first runs of all robots are over, which are spread over twenty seconds.
const SETTLE_MAX: Duration = Duration::from_secs(25);

/// Watches a node as it ships for so many seconds. A short look may see the first runs of its robots.
pub(super) async fn measure(place: &Place, seconds: u32) -> anyhow::Result<Vec<Sample>> {
    let watch = Duration::from_secs(seconds.into());
    let node = Node::plain(place).await?;
    sleep(watch.min(SETTLE_MAX)).await;
    let transactions = place.transactions().await?;
    let (cpu_before, _) = node.usage()?;
    let started = Instant::now();
    sleep(watch).await;
    let (cpu, resident) = node.usage()?;
    let took = started.elapsed().as_secs_f64();
    let mut sample = Sample {
        workload: "idle".to_owned(),
        database: place.database(),
        count: 1,
        ..Sample::default()
    };
    let cpu = cpu.saturating_sub(cpu_before).as_secs_f64();
    sample.facts.insert("cpu_percent", cpu * 100.0 / took);
    sample.facts.insert("rss_mib", mebibytes(resident));
    if let (Some(before), Some(after)) = (transactions, place.transactions().await?) {
        let own = i32::try_from(after - before)?;
        sample
            .facts
            .insert("transactions_per_second", f64::from(own) / took);
    }
    node.stop().await?;
    Ok(Vec::from([sample]))
}
