//! A node as a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use procfs::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::robots::Crowd;
use crate::vault::AdminToken;

/// The command, hidden from people, that is `serve` with the robots of [`super::robots`].
pub(crate) const NODE_COMMAND: &str = "bench-node";
/// How long a node may take to start; ten thousand robots take a second or two.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a node may take to end.
const STOP_MAX: Duration = Duration::from_secs(60);

/// A running node; it is killed when this is dropped.
pub(super) struct Node {
    child: Child,
    /// `HOST:PORT` it listens on.
    pub(super) listen: String,
    /// Its administrator's token.
    pub(super) token: SecretString,
}

impl Node {
    /// Starts this program in `folder` on the database at `url`: with the robots to be measured and a crowd, or
    /// as it ships.
    pub(super) async fn start(
        folder: &Path,
        url: &str,
        crowd: Option<Crowd>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let data_dir = folder.join("data");
        let mut command = Command::new(program);
        match crowd {
            Some(crowd) => {
                command.args([NODE_COMMAND, "--robots", &crowd.robots.to_string()]);
                command.args(crowd.ticking.then_some("--ticking"))
            }
            None => command.arg("serve"),
        };
        let mut child = command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--log-level",
                "warn",
                "--data-dir",
            ])
            .arg(&data_dir)
            .current_dir(folder)
            // The address may hold a password: not where others can read it, and nothing else goes along.
            .env_clear()
            .env("ROBOTD_DATABASE_URL", url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start a node")?;
        let out = child.stdout.take().context("a node has no output")?;
        let mut lines = BufReader::new(out).lines();
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
        let token = AdminToken::read(&data_dir)?;
        Ok(Self {
            child,
            listen,
            token,
        })
    }

    /// Processor time used so far, and resident memory in bytes.
    pub(super) fn usage(&self) -> anyhow::Result<(Duration, u64)> {
        let pid = self.child.id().context("the node has ended")?;
        let process = Process::new(i32::try_from(pid)?)?;
        let stat = process.stat()?;
        let ticks = stat.utime + stat.stime;
        let cpu = Duration::from_millis(ticks * 1_000 / procfs::ticks_per_second());
        Ok((cpu, stat.rss * procfs::page_size()))
    }

    /// Ends it in order.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).context("the node has ended")?;
        kill_process(pid, Signal::TERM).context("failed to end a node")?;
        timeout(STOP_MAX, self.child.wait())
            .await
            .context("a node did not end in time")??;
        Ok(())
    }
}
