//! A caller of nodes that are being broken.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::vault::AdminToken;

/// A stopped node does not answer at all; another one will.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How often a request is made before it is given up, each time to the next node.
const TRIES: usize = 200;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// A client that asks the next node where one does not answer.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    nodes: Vec<SocketAddr>,
    token: SecretString,
}

impl Client {
    /// Callers of `nodes`, with the token that the first of them wrote into `data_dir`.
    pub(super) fn new(nodes: Vec<SocketAddr>, data_dir: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            http: http()?,
            nodes,
            token: AdminToken::read(data_dir)?,
        })
    }

    /// `GET` of a path below `/api/v1`, of any node, first of that with the number `first`.
    pub(super) async fn get(&self, first: usize, path: &str) -> anyhow::Result<Value> {
        self.ask(first, path, None).await
    }

    /// `POST`, the same. What is sent must be safe to repeat: a node may have done it and died before it answered.
    pub(super) async fn post(
        &self,
        first: usize,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        self.ask(first, path, Some(body)).await
    }

    async fn ask(&self, first: usize, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut last = String::new();
        for node in self
            .nodes
            .iter()
            .cycle()
            .skip(first % self.nodes.len())
            .take(TRIES)
        {
            match self.ask_one(*node, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::bail!("no node answered to {path}: {last}")
    }

    async fn ask_one(
        &self,
        node: SocketAddr,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("http://{node}/api/v1{path}");
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        let answer = request
            .bearer_auth(self.token.expose_secret())
            .send()
            .await?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "it answered {status}");
        Ok(answer.json().await?)
    }

    /// The items of all pages of a list.
    pub(super) async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(0, &format!("{path}&limit=500{cursor}")).await?;
            let rows = page.get_mut("items").map(Value::take);
            let Some(Value::Array(mut rows)) = rows else {
                anyhow::bail!("a page of {path} has no items");
            };
            items.append(&mut rows);
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }
}

/// What asks nodes.
pub(super) fn http() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(ANSWER_MAX)
        .build()
        .context("failed to prepare to speak to nodes")
}

/// Whether a node takes work.
pub(super) async fn is_ready(http: &reqwest::Client, node: SocketAddr) -> bool {
    let answer = http.get(format!("http://{node}/health/ready")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
