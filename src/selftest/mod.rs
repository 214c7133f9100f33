//! `robotd selftest chaos`: breaks nodes at random, and proves that what is promised holds.
//!
//! Several nodes, each a process of its own, work as one on a PostgreSQL database that was empty. By a plan that a seed
//! decides they are killed, stopped, continued and started again, while tasks are registered over HTTP. When all is over,
//! the product's own reports are held against what was accepted.

mod client;
mod node;
mod plan;
mod proof;
pub mod robots;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bench::place::Place;
use client::{Client, http};
use node::Node;
use plan::{Blow, Strike, plan};
pub use proof::Proof;
use proof::{Blows, Found};
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

/// The nodes, and who asks them.
struct Crew {
    nodes: Vec<Node>,
    url: String,
    http: reqwest::Client,
    client: Client,
}

impl Crew {
    async fn start(order: &Order, place: &Place) -> anyhow::Result<Self> {
        let (http, url) = (http()?, place.url.clone());
        let mut nodes = Vec::new();
        for number in 0..order.nodes {
            let mut node = Node::new(place.folder.path(), number)?;
            if let Some(first) = nodes.first() {
                node.key_of(first)?;
            }
            node.start(&url)?;
            node.ready(&http).await?;
            nodes.push(node);
        }
        let first = nodes.first().context("there must be nodes")?;
        let listen = nodes.iter().map(Node::listen).collect();
        let client = Client::new(listen, &first.data_dir())?;
        Ok(Self {
            nodes,
            url,
            http,
            client,
        })
    }

    /// Carries out a plan; answers what it showed.
    async fn suffer(&mut self, strikes: &[Strike]) -> anyhow::Result<Blows> {
        let mut blows = Blows::default();
        for strike in strikes {
            tokio::time::sleep(strike.after).await;
            self.strike(*strike, &mut blows).await?;
        }
        Ok(blows)
    }

    async fn strike(&mut self, strike: Strike, blows: &mut Blows) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(strike.node).context("no such node")?;
        let (pid, struck) = (node.pid()?, Instant::now());
        match strike.blow {
            Blow::Kill => {
                blows.kills += 1;
                node.signal(Signal::KILL)?;
                node.wait().await?;
            }
            Blow::Pause => {
                blows.pauses += 1;
                node.signal(Signal::STOP)?;
            }
        }
        let witness = strike.node + 1;
        let missed = until_missed(&self.client, witness, pid, struck);
        if let Ok(missed) = tokio::time::timeout(strike.lasts, missed).await {
            blows.missed_after.push(missed?);
            let over = struck + strike.lasts;
            tokio::time::sleep_until(over).await;
        }
        let back = Instant::now();
        if strike.blow == Blow::Pause {
            node.signal(Signal::CONT)?;
            if !self.goes_on(strike.node).await? {
                blows.declared_dead += 1;
            }
        }
        let node = self.nodes.get_mut(strike.node).context("no such node")?;
        if node.is_gone()? {
            node.start(&self.url)?;
        }
        node.ready(&self.http).await?;
        blows.back_after.push(back.elapsed());
        Ok(())
    }

    /// Whether a node that was stopped goes on. One that was declared dead finds that out at its next heartbeat.
    async fn goes_on(&mut self, at: usize) -> anyhow::Result<bool> {
        let node = self.nodes.get_mut(at).context("no such node")?;
        let pid = node.pid()?;
        let dead = |row: &Value| {
            !lives(row) && row.get("pid").and_then(Value::as_u64) == Some(u64::from(pid))
        };
        let page = self.client.get(at + 1, "/nodes?limit=500").await?;
        let rows = page.get("items").and_then(Value::as_array);
        if !rows.is_some_and(|rows| rows.iter().any(dead)) {
            return Ok(true);
        }
        node.wait().await?;
        Ok(false)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.signal(Signal::TERM)?;
        }
        for node in &mut self.nodes {
            node.wait().await?;
        }
        Ok(())
    }
}

fn lives(row: &Value) -> bool {
    matches!(
        row.get("state").and_then(Value::as_str),
        Some("alive" | "draining")
    )
}

/// Waits until a process that was struck is not among the living nodes any more; answers how long that took.
async fn until_missed(
    client: &Client,
    witness: usize,
    pid: u32,
    struck: Instant,
) -> anyhow::Result<Duration> {
    loop {
        let page = client.get(witness, "/nodes?limit=500").await?;
        let rows = page.get("items").and_then(Value::as_array);
        let of = |row: &&Value| row.get("pid").and_then(Value::as_u64) == Some(u64::from(pid));
        if rows.is_some_and(|rows| !rows.iter().filter(of).any(lives)) {
            return Ok(struck.elapsed());
        }
        tokio::time::sleep(POLL).await;
    }
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
