//! Tasks coming in over HTTP; each answer follows the commit.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::client::Client;
use super::figure::Sample;
use super::node::Node;
use super::queue::{batch, task};
use super::robots::{Crowd, NOOP};
use crate::trial::place::Place;

/// Callers at once.
const MANY: u32 = 32;
/// Callers at once that send thousands.
const FEW: u32 = 4;
/// Tasks a request of these.
const BULK: u32 = 1_000;
/// Requests of each caller before the clock starts.
const WARM_UP: u32 = 20;

/// One task a request: `count` by [`MANY`] callers, and an eighth of that by one.
pub(super) async fn single(place: &Place, count: u32) -> anyhow::Result<Vec<Sample>> {
    let node = Node::with_robots(place, Crowd::default()).await?;
    Client::connect(&node).await?.enable(NOOP, false).await?;
    let mut samples = Vec::new();
    for (callers, requests) in [(1, count / 8), (MANY, count)] {
        let each = (requests / callers).max(1);
        let name = format!("enqueue, {callers} {}", plural(callers));
        let sample = Callers {
            callers,
            each,
            tasks: 1,
            name,
        };
        samples.push(sample.measure(place, &node).await?);
    }
    node.stop().await?;
    Ok(samples)
}

/// A thousand tasks a request: `count` tasks by one caller, and as many by [`FEW`].
pub(super) async fn bulk(place: &Place, count: u32) -> anyhow::Result<Vec<Sample>> {
    let node = Node::with_robots(place, Crowd::default()).await?;
    Client::connect(&node).await?.enable(NOOP, false).await?;
    let mut samples = Vec::new();
    for callers in [1, FEW] {
        let each = (count / BULK / callers).max(1);
        let name = format!("enqueue {BULK} a request, {callers} {}", plural(callers));
        let sample = Callers {
            callers,
            each,
            tasks: BULK,
            name,
        };
        samples.push(sample.measure(place, &node).await?);
    }
    node.stop().await?;
    Ok(samples)
}

const fn plural(callers: u32) -> &'static str {
    if callers == 1 { "caller" } else { "callers" }
}

struct Callers {
    callers: u32,
    /// Requests of each.
    each: u32,
    /// Tasks a request.
    tasks: u32,
    name: String,
}

impl Callers {
    async fn measure(self, place: &Place, node: &Node) -> anyhow::Result<Sample> {
        let mut clients = Vec::new();
        for _ in 0..self.callers {
            let mut client = Client::connect(node).await?;
            for number in 0..WARM_UP.min(self.each) {
                client.post("/tasks", task(number)).await?;
            }
            clients.push(client);
        }
        place.settle().await?;
        let (each, tasks) = (self.each, self.tasks);
        let started = Instant::now();
        let mut calls = JoinSet::new();
        for client in clients {
            calls.spawn(call(client, each, tasks));
        }
        let mut times = Vec::new();
        while let Some(called) = calls.join_next().await {
            times.extend(called.context("a caller died")??);
        }
        let took = started.elapsed();
        let count = u64::from(self.callers) * u64::from(self.each) * u64::from(self.tasks);
        Ok(Sample {
            workload: self.name,
            database: place.database(),
            count,
            rate: Sample::rate(count, took),
            times,
            ..Sample::default()
        })
    }
}

/// One caller: its next request follows the answer to the last.
async fn call(mut client: Client, each: u32, tasks: u32) -> anyhow::Result<Vec<Duration>> {
    let many = (tasks > 1).then(|| batch(0..tasks));
    let mut times = Vec::new();
    for number in 0..each {
        let started = Instant::now();
        match &many {
            Some(body) => client.post("/tasks/batch", body).await?,
            None => client.post("/tasks", task(number)).await?,
        };
        times.push(started.elapsed());
    }
    Ok(times)
}
