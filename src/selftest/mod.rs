//! `robotd selftest chaos`: breaks nodes at random, and proves that what is promised holds.
//!
//! Several nodes, each a process of its own, work as one on a PostgreSQL database that was empty. By a plan that a seed
//! decides they are killed and started again, stopped and continued, cut off from the database and their callers, left
//! with a silent database, and their clocks are stepped, while tasks are registered over HTTP. When all is over, the
//! product's own reports are held against what was accepted.

mod address;
mod client;
pub mod clock;
mod crew;
mod node;
mod plan;
mod proof;
mod relay;
pub mod robots;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::trial::place::Place;
use client::Client;
use crew::Crew;
pub use plan::Blow;
use plan::plan;
use proof::Found;
pub use proof::{Proof, Suffered};
use robots::{BEAT, WORK, WORK_INSTANCES};

/// The command, hidden from people, that is `serve` with [`robots`].
pub(crate) const NODE_COMMAND: &str = "selftest-node";
/// What the nodes are told of how soon to miss each other: the shortest there is.
const TIMEOUT: &str = "PT3S";
/// Tasks in one request.
const BATCH: u32 = 100;
/// How long the work may take after the last blow.
const END_MAX: Duration = Duration::from_secs(600);
/// Pause between looks for something to happen.
const POLL: Duration = Duration::from_millis(50);
/// Pause between looks at what runs.
const LOOK: Duration = Duration::from_millis(200);

/// What was ordered.
#[derive(Debug, Clone)]
pub struct Order {
    /// A PostgreSQL database, which must be empty.
    pub database_url: String,
    /// How many nodes, 2 at least.
    pub nodes: usize,
    /// How many tasks are registered.
    pub tasks: u32,
    /// How long nodes are broken.
    pub length: Duration,
    /// What decides when and how.
    pub seed: u64,
}

/// Breaks nodes, and answers what became of the work.
///
/// # Errors
/// A database that is no empty PostgreSQL one, nodes that do not start, and work that does not end.
pub async fn chaos(order: &Order) -> anyhow::Result<Proof> {
    let place = Place::take(Some(&order.database_url)).await?;
    anyhow::ensure!(
        place.database() == "postgres",
        "several nodes need a PostgreSQL database; name one by --database-url"
    );
    let proof = on(order, &place).await;
    // Cleaned up whatever became of the run; its own error comes first.
    let cleaned = place.leave().await;
    let proof = proof?;
    cleaned.context("failed to clean up")?;
    Ok(proof)
}

async fn on(order: &Order, place: &Place) -> anyhow::Result<Proof> {
    let mut crew = Crew::start(order, place).await?;
    let client = crew.client.clone();
    let strikes = plan(order.seed, order.nodes, order.length);
    let mut at_once = 0;
    let (accepted, blows) = {
        let feeding = Box::pin(register(&client, order));
        let suffering = Box::pin(crew.suffer(&strikes));
        let mut work = Box::pin(async { tokio::try_join!(feeding, suffering) });
        let mut look = Box::pin(running(&client));
        loop {
            tokio::select! {
                done = &mut work => break done?,
                seen = &mut look => {
                    at_once = at_once.max(seen?);
                    look.set(running(&client));
                }
            }
        }
    };
    until_all_ended(&client).await?;
    let found = Found {
        tasks: client.all(&format!("/tasks?robot={WORK}")).await?,
        processes: client.all(&format!("/processes?robot={WORK}")).await?,
        ticks: client.all(&format!("/ticks?robot={BEAT}")).await?,
        at_once,
        at_once_max: u64::from(WORK_INSTANCES),
    };
    crew.stop().await?;
    Proof::of(order, &accepted, &blows, &found)
}

/// Registers all tasks, evenly over the time that nodes are broken; answers their ids. A request whose answer was lost is
/// made again, and finds what it registered by the tasks' keys.
async fn register(client: &Client, order: &Order) -> anyhow::Result<HashSet<String>> {
    let (mut accepted, began) = (HashSet::new(), Instant::now());
    let batches = order.tasks.div_ceil(BATCH);
    for batch in 0..batches {
        tokio::time::sleep_until(began + order.length * batch / batches).await;
        let last = order.tasks.min((batch + 1) * BATCH);
        let task =
            |number: u32| json!({"robot": WORK, "unique_key": format!("{}-{number}", order.seed)});
        let tasks: Vec<_> = (batch * BATCH..last).map(task).collect();
        let first = usize::try_from(batch)?;
        let answer = client
            .post(first, "/tasks/batch", &json!({"tasks": tasks}))
            .await?;
        let ids = answer.get("tasks").and_then(Value::as_array);
        let ids = ids.context("a batch was answered without ids")?;
        accepted.extend(ids.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    Ok(accepted)
}

/// How many tasks run at once a moment from now, by the report.
async fn running(client: &Client) -> anyhow::Result<u64> {
    tokio::time::sleep(LOOK).await;
    let running = client.all(&format!("/executions?robot={WORK}")).await?;
    Ok(u64::try_from(running.len())?)
}

/// Waits until no task is open.
async fn until_all_ended(client: &Client) -> anyhow::Result<()> {
    let deadline = Instant::now() + END_MAX;
    // What runs again passes from one to the other: twice none of all.
    for status in ["queued", "running", "scheduled", "queued", "running"] {
        let path = format!("/tasks?robot={WORK}&status={status}&limit=1");
        loop {
            let page = client.get(0, &path).await?;
            let items = page.get("items").and_then(Value::as_array);
            if items.is_some_and(Vec::is_empty) {
                break;
            }
            anyhow::ensure!(Instant::now() < deadline, "the work did not end");
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}
