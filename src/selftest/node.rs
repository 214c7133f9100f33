//! A node as a process that is broken and started again.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::client::is_ready;
use super::{NODE_COMMAND, TIMEOUT};

/// How long a node may take to start, and to end.
const START_MAX: Duration = Duration::from_secs(60);
/// Pause between looks.
const POLL: Duration = Duration::from_millis(50);

/// One of the nodes; its process is killed when this is dropped.
pub(super) struct Node {
    name: String,
    folder: PathBuf,
    listen: SocketAddr,
    child: Option<Child>,
}

impl Node {
    /// A node with its own folder in `place`; not started yet. It keeps its address over all its starts.
    pub(super) fn new(place: &Path, number: usize) -> anyhow::Result<Self> {
        let name = format!("node-{}", number + 1);
        let folder = place.join(&name);
        fs::create_dir_all(&folder).context("failed to make a node's folder")?;
        let free = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
        Ok(Self {
            name,
            folder,
            listen: free.local_addr()?,
            child: None,
        })
    }

    /// Where it listens.
    pub(super) const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where its keys are.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Gives it the master key of another one.
    pub(super) fn key_of(&self, other: &Self) -> anyhow::Result<()> {
        let file = "master.key";
        fs::create_dir_all(self.data_dir())?;
        fs::copy(other.data_dir().join(file), self.data_dir().join(file))
            .context("failed to copy the master key")?;
        Ok(())
    }

    /// Starts its process on the database at `url`.
    pub(super) fn start(&mut self, url: &str) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let child = Command::new(program)
            .args([NODE_COMMAND, "--node", &self.name])
            .args(["--listen", &self.listen.to_string()])
            .args(["--node-timeout", TIMEOUT, "--log-level", "warn"])
            .arg("--data-dir")
            .arg(self.data_dir())
            .current_dir(&self.folder)
            // The address may hold a password: not where others can read it, and nothing else goes along.
            .env_clear()
            .env("ROBOTD_DATABASE_URL", url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("failed to start a node")?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it takes work.
    pub(super) async fn ready(&mut self, http: &reqwest::Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while !is_ready(http, self.listen).await {
            if let Some(status) = self.ended()? {
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

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        let child = self.child.as_mut().context("a node was not started")?;
        Ok(child.try_wait()?)
    }

    /// Whether its process has ended, or was not started.
    pub(super) fn is_gone(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.is_none() || self.ended()?.is_some())
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        let child = self.child.as_ref().and_then(Child::id);
        child.context("a node has ended")
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw);
        let pid = pid.context("a node has ended")?;
        kill_process(pid, signal).context("failed to send a node a signal")
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("a node was not started")?;
        timeout(START_MAX, child.wait())
            .await
            .with_context(|| format!("{} did not end in time", self.name))??;
        Ok(())
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}
