//! A node that is broken and started again.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::address::Address;
use super::client::is_ready;
use super::plan::{Blow, Strike};
use super::relay::{Passage, Relay};
use super::{NODE_COMMAND, POLL, TIMEOUT};
use crate::trial::place::Place;
use crate::trial::process::{NodeProcess, command, share_key};

/// How long a node may take to start.
pub(super) const START_MAX: Duration = Duration::from_secs(60);

/// One of the nodes; its process is killed when this is dropped.
pub(super) struct Node {
    name: String,
    folder: PathBuf,
    listen: SocketAddr,
    /// Its way to the database.
    database: Relay,
    /// The way to it.
    callers: Relay,
    /// The database, by that way.
    url: String,
    process: Option<NodeProcess>,
}

impl Node {
    /// A node with its own folder in `place`; not started yet. It keeps its address over all its starts.
    pub(super) async fn new(place: &Place, number: usize) -> anyhow::Result<Self> {
        let name = format!("node-{}", number + 1);
        let folder = place.folder.path().join(&name);
        fs::create_dir_all(&folder).context("failed to make a node's folder")?;
        let address = Address::read(&place.url)?;
        let database = Relay::to(address.server()).await?;
        let free = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
        let listen = free.local_addr()?;
        Ok(Self {
            name,
            folder,
            listen,
            callers: Relay::to(listen.to_string()).await?,
            url: address.through(database.address())?,
            database,
            process: None,
        })
    }

    /// Where callers reach it.
    pub(super) const fn address(&self) -> SocketAddr {
        self.callers.address()
    }

    /// Where its keys are.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Gives it the master key of another one.
    pub(super) fn key_of(&self, other: &Self) -> anyhow::Result<()> {
        share_key(&other.data_dir(), &self.data_dir())
    }

    /// Starts its process.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let mut log = File::options();
        let log = log
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let mut command = command(&self.folder, &self.data_dir(), &self.url)?;
        command
            .args([NODE_COMMAND, "--node", &self.name])
            .args(["--listen", &self.listen.to_string()])
            .args(["--node-timeout", TIMEOUT])
            .stdin(Stdio::piped())
            .stderr(log);
        self.process = Some(NodeProcess::start(&mut command)?);
        Ok(())
    }

    fn process(&mut self) -> anyhow::Result<&mut NodeProcess> {
        self.process.as_mut().context("a node was not started")
    }

    /// The number of its process.
    pub(super) fn pid(&mut self) -> anyhow::Result<u32> {
        self.process()?.pid()
    }

    /// Waits until it takes work.
    pub(super) async fn ready(&mut self, http: &reqwest::Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while !is_ready(http, self.address()).await {
            if let Some(status) = self.process()?.ended()? {
                anyhow::bail!("{} ended with {status}: {}", self.name, self.last_words());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} was not ready in time: {}",
                self.name,
                self.last_words()
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Does to it what a strike says.
    pub(super) async fn suffer(&mut self, strike: Strike) -> anyhow::Result<()> {
        match strike.blow {
            Blow::Killed => {
                self.process()?.signal(Signal::KILL)?;
                self.process()?.wait().await.map(drop)
            }
            Blow::Stopped => self.process()?.signal(Signal::STOP),
            Blow::Cut => {
                self.database.set(Passage::Cut);
                self.callers.set(Passage::Cut);
                Ok(())
            }
            Blow::Silent => {
                self.database.set(Passage::Silent);
                Ok(())
            }
            Blow::Stepped => self.set_clock(strike.step).await,
        }
    }

    /// Takes it back.
    pub(super) async fn heal(&mut self, blow: Blow) -> anyhow::Result<()> {
        match blow {
            Blow::Killed => self.start(),
            Blow::Stopped => self.process()?.signal(Signal::CONT),
            Blow::Cut | Blow::Silent => {
                self.database.set(Passage::Open);
                self.callers.set(Passage::Open);
                Ok(())
            }
            Blow::Stepped => self.set_clock(0).await,
        }
    }

    /// A node that was declared dead and has ended has no clock any more.
    async fn set_clock(&mut self, seconds: i64) -> anyhow::Result<()> {
        let input = self.process()?.input()?;
        let line = format!("{seconds}\n");
        match input.write_all(line.as_bytes()).await {
            Err(_) if self.ended_as_dead()? => Ok(()),
            told => told.context("failed to step a node's clock"),
        }
    }

    /// Whether it ended by itself, as one does that was declared dead.
    pub(super) fn ended_as_dead(&mut self) -> anyhow::Result<bool> {
        let ended: Option<ExitStatus> = self.process()?.ended()?;
        let Some(status) = ended else {
            return Ok(false);
        };
        anyhow::ensure!(
            status.code() == Some(75),
            "{} ended with {status}: {}",
            self.name,
            self.last_words()
        );
        Ok(true)
    }

    /// Ends it in order, unless it has ended.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        if self.ended_as_dead()? {
            return Ok(());
        }
        let process = self.process()?;
        process.signal(Signal::TERM)?;
        process.wait().await.map(drop)
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}
