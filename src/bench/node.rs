//! A node that is measured.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use procfs::process::Process;
use rustix::process::Signal;
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::robots::Crowd;
use crate::trial::place::Place;
use crate::trial::process::{NodeProcess, command, share_key};
use crate::vault::AdminToken;

/// The command, hidden from people, that is `serve` with the robots of [`super::robots`].
pub(crate) const NODE_COMMAND: &str = "bench-node";
/// How long a node may take to start; ten thousand robots take a second or two.
const START_MAX: Duration = Duration::from_secs(60);

/// The data directory of the first node, which makes the keys.
const FIRST: &str = "data";

/// A running node; it is killed when this is dropped.
pub(super) struct Node {
    process: NodeProcess,
    /// `HOST:PORT` it listens on.
    pub(super) listen: String,
    /// Its administrator's token.
    pub(super) token: SecretString,
}

impl Node {
    /// Starts a node that has, beside the catalogue, the robots to be measured and a crowd.
    pub(super) async fn with_robots(place: &Place, crowd: Crowd) -> anyhow::Result<Self> {
        let number = crowd.robots.to_string();
        let mut words = Vec::from([NODE_COMMAND, "--robots", &number]);
        words.extend(crowd.ticking.then_some("--ticking"));
        Self::start(place, FIRST, &words).await
    }

    /// Starts a node as it ships.
    pub(super) async fn plain(place: &Place) -> anyhow::Result<Self> {
        Self::start(place, FIRST, &["serve"]).await
    }

    /// Starts one more node with the robots to be measured, beside the first.
    pub(super) async fn beside(place: &Place, number: u32) -> anyhow::Result<Self> {
        let name = format!("node-{number}");
        let folder = place.folder.path();
        share_key(&folder.join(FIRST), &folder.join(&name))?;
        let words = [NODE_COMMAND, "--robots", "0", "--node", &name];
        Self::start(place, &name, &words).await
    }

    async fn start(place: &Place, name: &str, words: &[&str]) -> anyhow::Result<Self> {
        let folder = place.folder.path();
        let data_dir = folder.join(name);
        let mut command = command(folder, &data_dir, &place.url)?;
        command
            .args(words)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped());
        let mut process = NodeProcess::start(&mut command)?;
        let mut lines = BufReader::new(process.output()?).lines();
        let first = timeout(START_MAX, lines.next_line())
            .await
            .context("a node did not start in time")?
            .context("failed to read what a node says")?
            .context("a node did not start; it said why above")?;
        let listen = first
            .strip_prefix("robotd listens on http://")
            .and_then(|rest| rest.strip_suffix('/'))
            .context("a node did not say where it listens")?
            .to_owned();
        let token = AdminToken::read(&folder.join(FIRST))?;
        Ok(Self {
            process,
            listen,
            token,
        })
    }

    /// Processor time used so far, and resident memory in bytes.
    pub(super) fn usage(&self) -> anyhow::Result<(Duration, u64)> {
        let process = Process::new(i32::try_from(self.process.pid()?)?)?;
        let stat = process.stat()?;
        let ticks = stat.utime + stat.stime;
        let cpu = Duration::from_millis(ticks * 1_000 / procfs::ticks_per_second());
        Ok((cpu, stat.rss * procfs::page_size()))
    }

    /// Ends it in order.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait().await.map(drop)
    }
}
