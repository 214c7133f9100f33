//! First pages of the panel, over old rows of one day: what the first page counts and draws is of the last day.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::client::Client;
use super::figure::Sample;
use super::node::Node;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::id::NodeId;
use crate::trial::place::Place;

/// Old tasks were registered over this time.
const AGE: TimeDelta = TimeDelta::hours(23);
/// How often each page is asked for, at most; fewer rows are worth fewer visits.
const VISITS: u32 = 100;
/// Rows that are worth one.
const ROWS_A_VISIT: u32 = 1_000;
/// The pages, the first of each list.
const PAGES: [&str; 13] = [
    "/",
    "/robots",
    "/robots/mail.email_sender",
    "/executions",
    "/tasks",
    "/tasks?status=failed",
    "/tasks?robot=mail.email_sender&last=1h",
    "/processes",
    "/processes?outcome=failed",
    "/ticks",
    "/ticks?robot=mail.email_sender",
    "/audit",
    "/audit?object=robot:mail.email_sender&last=1h",
];

/// Asks for each page over `count` finished tasks, each with a process, and as many ticks and entries of the audit trail. The pages take turns, so
/// that those which share what they have counted are no quicker than for people who go from one to the other.
pub(super) async fn measure(place: &Place, count: u32) -> anyhow::Result<Vec<Sample>> {
    let node = Node::plain(place).await?;
    let store = place.store().await?;
    let from = SystemClock.now() - AGE;
    let step = AGE.num_microseconds().unwrap_or_default() / i64::from(count.max(1));
    store
        .bench_fill_finished(NodeId(1), count, from, step)
        .await?;
    store.bench_fill_ticks(NodeId(1), count, from, step).await?;
    store.bench_fill_audit(count, from, step).await?;
    place.settle().await?;
    // What a node has counted is of its own time: one that is started again finds all that is there.
    node.stop().await?;
    let node = Node::plain(place).await?;
    let mut visitor = Client::visit(&node).await?;
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut bytes: BTreeMap<&str, f64> = BTreeMap::new();
    for _ in 0..(count / ROWS_A_VISIT).clamp(1, VISITS) {
        for path in PAGES {
            let started = Instant::now();
            let page = visitor.page(path).await?;
            times.entry(path).or_default().push(started.elapsed());
            bytes.insert(path, f64::from(u32::try_from(page.len())?));
        }
    }
    let samples = PAGES.map(|path| {
        let times = times.remove(path).unwrap_or_default();
        let slowest = times.iter().max().copied().unwrap_or_default();
        let first = times.first().copied().unwrap_or_default();
        Sample {
            workload: format!("page {path}"),
            database: place.database(),
            count: u64::from(count),
            facts: BTreeMap::from([
                ("first_ms", first.as_secs_f64() * 1e3),
                ("slowest_ms", slowest.as_secs_f64() * 1e3),
                ("bytes", bytes.remove(path).unwrap_or_default()),
            ]),
            times,
            rate: None,
        }
    });
    node.stop().await?;
    Ok(samples.into())
}
