//! Pages of the reports, over many old rows.

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
const AGE: TimeDelta = TimeDelta::days(20);
/// Pages followed from the first one.
const PAGES: u32 = 20;
/// The robot of the catalogue whose rows are asked for.
const ROBOT: &str = "mail.email_sender";

/// Asks for pages of 100 rows of each report by each filter, over `finished` finished tasks with a process each.
pub(super) async fn measure(place: &Place, finished: u32) -> anyhow::Result<Vec<Sample>> {
    // Its robots are to be there; ids that it gave out today would stand among those of the past.
    Node::plain(place).await?.stop().await?;
    let store = place.store().await?;
    let now = SystemClock.now();
    let step = AGE.num_microseconds().unwrap_or_default() / i64::from(finished.max(1));
    store
        .bench_fill_finished(NodeId(1), finished, now - AGE, step)
        .await?;
    place.settle().await?;
    let node = Node::plain(place).await?;
    let mut client = Client::connect(&node).await?;
    let day = |days: i64| {
        (now - TimeDelta::days(days)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    let (from, to) = (day(11), day(10));
    let filters = [
        ("no filter", String::new()),
        ("a robot", format!("&robot={ROBOT}")),
        ("a day", format!("&from={from}&to={to}")),
        (
            "a robot and a day",
            format!("&robot={ROBOT}&from={from}&to={to}"),
        ),
    ];
    let mut samples = Vec::new();
    for (report, state) in [("tasks", "status"), ("processes", "outcome")] {
        let mut cases: Vec<(String, String)> = filters
            .iter()
            .map(|(name, query)| ((*name).to_owned(), query.clone()))
            .collect();
        for word in ["succeeded", "failed", "cancelled"] {
            for (name, query) in &filters {
                cases.push((format!("{word}, {name}"), format!("&{state}={word}{query}")));
            }
        }
        for (name, query) in cases {
            let path = format!("/{report}?limit=100{query}");
            samples.push(Sample {
                workload: format!("report {report}, {name}"),
                database: place.database(),
                count: u64::from(finished),
                times: pages(&mut client, &path).await?,
                rate: None,
                facts: BTreeMap::new(),
            });
        }
    }
    node.stop().await?;
    Ok(samples)
}

/// Times of the first page and those that follow it.
async fn pages(client: &mut Client, path: &str) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut next = path.to_owned();
    for _ in 0..PAGES {
        let started = Instant::now();
        let page = client.get(&next).await?;
        times.push(started.elapsed());
        match page.get("next_cursor").and_then(serde_json::Value::as_str) {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => break,
        }
    }
    Ok(times)
}
