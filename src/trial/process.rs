//! A node as a process of its own.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::vault::key::FILE_NAME;

/// How long a node may take to end.
const END_MAX: Duration = Duration::from_secs(60);

/// This program as a command that keeps its files in `data_dir`, works in `folder`, and has its database at `url`. What
/// it is to do, and where it listens, is still to be said.
pub(crate) fn command(folder: &Path, data_dir: &Path, url: &str) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        // The address may hold a password: not where others can read it, and nothing else goes along.
        .env_clear()
        .env("ROBOTD_DATABASE_URL", url)
        .env("ROBOTD_DATA_DIR", data_dir)
        .env("ROBOTD_LOG_LEVEL", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

/// Makes the data directory `other` for a node that has the master key of `first`.
pub(crate) fn share_key(first: &Path, other: &Path) -> anyhow::Result<()> {
    let share = || {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(other)?;
        fs::copy(first.join(FILE_NAME), other.join(FILE_NAME))
    };
    share().map(drop).context("failed to share the master key")
}

/// A running node; it is killed when this is dropped.
pub(crate) struct NodeProcess(Child);

impl NodeProcess {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.spawn().context("failed to start a node").map(Self)
    }

    /// What it says, where the command asked for that.
    pub(crate) fn output(&mut self) -> anyhow::Result<ChildStdout> {
        self.0.stdout.take().context("a node has no output")
    }

    /// What it is told, where the command asked for that.
    pub(crate) fn input(&mut self) -> anyhow::Result<&mut ChildStdin> {
        self.0.stdin.as_mut().context("a node has no input")
    }

    /// Its number.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.0.id().context("a node has ended")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a node has ended")?, signal)
            .context("failed to send a node a signal")
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = timeout(END_MAX, self.0.wait()).await;
        Ok(ended.context("a node did not end in time")??)
    }
}
