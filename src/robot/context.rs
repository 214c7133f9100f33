//! What a run is given: its task, its settings, and the tools it may use.

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, LogLevel};
use super::outcome::RobotError;
use super::registry::Registry;
use crate::clock::{Clock, SharedClock};
use crate::connect::smtp::SmtpAccount;
use crate::domain::id::NodeId;
use crate::domain::robot::RobotConfig;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::task::Claimed;

/// The tools of a node that its robots share.
#[derive(Debug)]
pub struct Tools {
    /// The database.
    pub store: Store,
    /// The time of day.
    pub clock: SharedClock,
    /// All robots.
    pub registry: Arc<Registry>,
    /// This node.
    pub node: NodeId,
    /// Its name, which outlives restarts.
    pub node_name: String,
    /// When this node started.
    pub node_started_at: Timestamp,
    /// Where it keeps its files.
    pub data_dir: PathBuf,
    /// The mail account, where one is configured.
    pub mail: Option<SmtpAccount>,
}

/// One run's view of the world. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    tools: Arc<Tools>,
    run: Arc<Claimed>,
    name: Arc<str>,
    config: Arc<RobotConfig>,
    journal: Journal,
    cancel: CancellationToken,
}

impl Context {
    /// The context of one run.
    #[must_use]
    pub fn new(
        tools: Arc<Tools>,
        run: Arc<Claimed>,
        name: &str,
        config: Arc<RobotConfig>,
        journal: Journal,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            tools,
            run,
            name: Arc::from(name),
            config,
            journal,
            cancel,
        }
    }

    /// The node's tools.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.tools.store
    }

    /// The time of day.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.tools.clock.as_ref()
    }

    /// The task and process being run.
    #[must_use]
    pub fn run(&self) -> &Claimed {
        &self.run
    }

    /// The robot's name.
    #[must_use]
    pub fn robot(&self) -> &str {
        &self.name
    }

    /// The configuration this run started with.
    #[must_use]
    pub fn config(&self) -> &RobotConfig {
        &self.config
    }

    /// The task's payload.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.run.payload
    }

    /// The robot's settings as their type.
    ///
    /// # Errors
    /// `settings`, permanent, when they do not fit; they were checked when they were set, so this is a defect.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, RobotError> {
        serde_path_to_error::deserialize(&self.config.settings).map_err(|error| {
            RobotError::fail(
                "settings",
                format!("settings.{}: {}", error.path(), error.inner()),
            )
        })
    }

    /// The process's log and progress.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Writes an information line to the process's log.
    pub fn info(&self, text: impl AsRef<str>) {
        self.journal.push(LogLevel::Info, text);
    }

    /// Writes a warning to the process's log.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.journal.push(LogLevel::Warn, text);
    }

    /// Says how far the run has got, 0..=100.
    pub fn progress(&self, percent: u8, message: &str) {
        self.journal.progress(percent, message);
    }

    /// Fires when the run must end; a run that has `cancel_grace` watches it, others are dropped.
    #[must_use]
    pub const fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }
}
