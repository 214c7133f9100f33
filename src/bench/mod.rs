//! `robotd bench`: how fast this program is, on this machine, measured through the product as it ships.
//!
//! Each run starts a node of its own, as a process, on a database that was empty, and removes what it made.
//! Work goes in over HTTP. What is measured, and how, stands in `docs/PERFORMANCE.md`.

mod client;
mod enqueue;
mod figure;
mod growth;
mod idle;
mod latency;
mod node;
mod nodes;
mod pages;
mod queue;
mod reports;
pub mod robots;
mod snapshot;
mod ticks;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::trial::place::Place;
use figure::Sample;
pub use figure::{Figure, table};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Queued tasks that do nothing: from the first start to the last recorded end
    Drain,
    /// One task a request, by one caller and by 32
    Enqueue,
    /// A thousand tasks a request
    Bulk,
    /// From a request to the first instruction of the robot it wakes, on an idle node
    Latency,
    /// Draining by one node, and by three on one PostgreSQL
    Nodes,
    /// Draining beside old rows, scheduled tasks and many robots
    Growth,
    /// Draining beside a transaction that has been open for long
    Snapshot,
    /// Pages of the reports over old rows
    Reports,
    /// First pages of the panel over a day of old rows
    Pages,
    /// Many robots with a tick each second
    Ticks,
    /// What a node costs that has nothing to do
    Idle,
}

/// What was ordered.
#[derive(Debug, Clone)]
pub struct Order {
    /// What to measure.
    pub workload: Workload,
    /// The database, which must be empty; an SQLite file in a temporary folder where none is named.
    pub database_url: Option<String>,
    /// Size of the work, in each workload's own unit; its own default when absent.
    pub tasks: Option<u32>,
    /// Runs; the figures are medians.
    pub runs: u32,
}

/// Measures, and answers one figure a case.
///
/// # Errors
/// A database that is not empty or cannot be reached, a node that does not start, and work that did not
/// come out as ordered.
pub async fn measure(order: &Order) -> anyhow::Result<Vec<Figure>> {
    let mut samples = Vec::new();
    for run in 1..=order.runs {
        let place = Place::take(order.database_url.as_deref()).await?;
        let measured = one_run(order, &place).await;
        // Cleaned up whatever became of the run; its own error comes first.
        let cleaned = place.leave().await;
        samples.extend(measured.with_context(|| format!("failed in run {run}"))?);
        cleaned.context("failed to clean up")?;
    }
    Ok(figure::medians(samples))
}

async fn one_run(order: &Order, place: &Place) -> anyhow::Result<Vec<Sample>> {
    let size = |default: u32| order.tasks.unwrap_or(default);
    match order.workload {
        Workload::Drain => queue::drain(place, size(200_000)).await,
        Workload::Enqueue => enqueue::single(place, size(64_000)).await,
        Workload::Bulk => enqueue::bulk(place, size(200_000)).await,
        Workload::Latency => latency::measure(place, size(500)).await,
        Workload::Nodes => nodes::measure(place, size(200_000)).await,
        Workload::Growth => growth::measure(place, size(10_000_000)).await,
        Workload::Snapshot => snapshot::measure(place, size(600)).await,
        Workload::Reports => reports::measure(place, size(10_000_000)).await,
        Workload::Pages => pages::measure(place, size(1_000_000)).await,
        Workload::Ticks => ticks::measure(place, size(10_000)).await,
        Workload::Idle => idle::measure(place, size(30)).await,
    }
}
