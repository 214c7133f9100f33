//! Many robots that all have a tick each second.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::figure::Sample;
use super::node::Node;
use super::queue::mebibytes;
use super::robots::Crowd;
use crate::clock::{Clock as _, SystemClock};
use crate::trial::place::Place;

/// Until all robots have had their first tick.
const SETTLE: Duration = Duration::from_secs(5);
/// How long ticks are counted.
const WATCH: Duration = Duration::from_secs(20);
/// How long after that they may still be decided.
const LATE_MAX: Duration = Duration::from_secs(5);

/// Counts the ticks of `robots` robots for 20 s, and how late each was decided. Every tick fires a run.
pub(super) async fn measure(place: &Place, robots: u32) -> anyhow::Result<Vec<Sample>> {
    let crowd = Crowd {
        robots,
        ticking: true,
    };
    let node = Node::with_robots(place, crowd).await?;
    let store = place.store().await?;
    sleep(SETTLE).await;
    let from = SystemClock.now();
    let (cpu_before, _) = node.usage()?;
    sleep(WATCH).await;
    let (cpu, resident) = node.usage()?;
    sleep(LATE_MAX).await;
    let late = store.bench_lateness(from, from + WATCH).await?;
    let expected = u64::from(robots) * WATCH.as_secs();
    let decided = u64::try_from(late.len())?;
    let times = late
        .into_iter()
        .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()))
        .collect();
    let missing = i32::try_from(expected.saturating_sub(decided))?;
    let cpu = cpu.saturating_sub(cpu_before).as_secs_f64();
    let facts = BTreeMap::from([
        ("not_decided", f64::from(missing)),
        ("cpu_percent", cpu * 100.0 / WATCH.as_secs_f64()),
        ("rss_mib", mebibytes(resident)),
    ]);
    node.stop().await?;
    Ok(Vec::from([Sample {
        workload: format!("ticks of {robots} robots"),
        database: place.database(),
        count: decided,
        rate: Sample::rate(decided, WATCH),
        times,
        facts,
    }]))
}
