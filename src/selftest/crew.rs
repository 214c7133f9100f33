//! The nodes, and what is done to them.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::client::{Client, http};
use super::node::{Node, START_MAX};
use super::plan::{Blow, Strike};
use super::proof::Blows;
use super::{Order, POLL};
use crate::trial::place::Place;

/// Within how long a step of a clock must be told of: a heartbeat, and time for a machine that is busy.
const TOLD_MAX: Duration = Duration::from_secs(20);
/// A clock is as it should be when it is this near, in milliseconds.
const NEAR: u64 = 1_000;

/// The nodes, and who asks them.
pub(super) struct Crew {
    nodes: Vec<Node>,
    http: reqwest::Client,
    pub(super) client: Client,
}

impl Crew {
    /// Starts them, one after the other.
    pub(super) async fn start(order: &Order, place: &Place) -> anyhow::Result<Self> {
        let http = http()?;
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..order.nodes {
            let mut node = Node::new(place, number).await?;
            if let Some(first) = nodes.first() {
                node.key_of(first)?;
            }
            node.start()?;
            node.ready(&http).await?;
            nodes.push(node);
        }
        let first = nodes.first().context("there must be nodes")?;
        let addresses = nodes.iter().map(Node::address).collect();
        let client = Client::new(addresses, &first.data_dir())?;
        Ok(Self {
            nodes,
            http,
            client,
        })
    }

    /// Carries out a plan; answers what it showed.
    pub(super) async fn suffer(&mut self, strikes: &[Strike]) -> anyhow::Result<Blows> {
        let mut blows = Blows::default();
        for strike in strikes {
            tokio::time::sleep(strike.after).await;
            let struck = self.strike(*strike, &mut blows);
            struck.await.with_context(|| format!("{strike:?}"))?;
        }
        Ok(blows)
    }

    async fn strike(&mut self, strike: Strike, blows: &mut Blows) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(strike.node).context("no such node")?;
        if node.ended_as_dead()? {
            blows.found_ended += 1;
            node.start()?;
            node.ready(&self.http).await?;
        }
        let struck = Struck {
            client: self.client.clone(),
            witness: strike.node + 1,
            pid: node.pid()?,
        };
        let (before, began) = (struck.clock().await?, Instant::now());
        let told = blows.of(strike.blow);
        node.suffer(strike).await?;
        if strike.blow == Blow::Stepped {
            if struck.shows(node, before + strike.step * 1_000).await? {
                told.missed_after.push(began.elapsed());
            }
        } else if let Ok(missed) = timeout(strike.lasts, struck.until_missed()).await {
            missed?;
            told.missed_after.push(began.elapsed());
        }
        tokio::time::sleep_until(began + strike.lasts).await;
        let heard = struck.heartbeat().await?;
        let back = Instant::now();
        node.heal(strike.blow).await?;
        let ended = match strike.blow {
            Blow::Killed => false,
            Blow::Stepped => !struck.shows(node, before).await?,
            Blow::Stopped | Blow::Cut | Blow::Silent => struck.ends_as_dead(node, &heard).await?,
        };
        if ended {
            told.declared_dead += 1;
            node.start()?;
        }
        node.ready(&self.http).await?;
        told.back_after.push(back.elapsed());
        Ok(())
    }

    /// Ends them in order.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.stop().await?;
        }
        Ok(())
    }
}

/// A process that is struck, as others see it.
struct Struck {
    client: Client,
    /// Who is asked first.
    witness: usize,
    pid: u32,
}

impl Struck {
    /// Its row in the list of nodes; null where it is not there.
    async fn row(&self) -> anyhow::Result<Value> {
        let mut page = self.client.get(self.witness, "/nodes?limit=500").await?;
        let rows = page.get_mut("items").and_then(Value::as_array_mut);
        let is_it =
            |row: &&mut Value| row.get("pid").and_then(Value::as_u64) == Some(u64::from(self.pid));
        let row = rows.and_then(|rows| rows.iter_mut().find(is_it));
        Ok(row.map_or(Value::Null, Value::take))
    }

    /// When it was last heard of.
    async fn heartbeat(&self) -> anyhow::Result<Value> {
        Ok(heartbeat(&self.row().await?))
    }

    /// How far its clock is ahead, in milliseconds.
    async fn clock(&self) -> anyhow::Result<i64> {
        let row = self.row().await?;
        let offset = row.get("clock_offset_ms").and_then(Value::as_i64);
        offset.context("a node is not in the list")
    }

    /// Waits until its clock is known to be ahead by this much; false where it ends instead, because it was declared dead.
    async fn shows(&self, node: &mut Node, wanted: i64) -> anyhow::Result<bool> {
        let deadline = Instant::now() + TOLD_MAX;
        while self.clock().await?.abs_diff(wanted) > NEAR {
            if node.ended_as_dead()? {
                return Ok(false);
            }
            anyhow::ensure!(Instant::now() < deadline, "a step of a clock was not seen");
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }

    /// Waits until it is not among the living any more.
    async fn until_missed(&self) -> anyhow::Result<()> {
        while lives(&self.row().await?) {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Whether it ends, because it was declared dead, or goes on: it is heard of again, later than at `heard`.
    async fn ends_as_dead(&self, node: &mut Node, heard: &Value) -> anyhow::Result<bool> {
        let deadline = Instant::now() + START_MAX;
        while !node.ended_as_dead()? {
            let row = self.row().await?;
            if lives(&row) && heartbeat(&row) != *heard {
                return Ok(false);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "a node neither ended nor went on: {}",
                node.last_words()
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }
}

fn heartbeat(row: &Value) -> Value {
    row.get("heartbeat_at").cloned().unwrap_or_default()
}

fn lives(row: &Value) -> bool {
    matches!(
        row.get("state").and_then(Value::as_str),
        Some("alive" | "draining")
    )
}
