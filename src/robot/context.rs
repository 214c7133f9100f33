//! What a run is given: its task, its settings, and the tools it may use.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::inventory::Inventory;
use super::journal::{Journal, Journals, LogLevel};
use super::outcome::RobotError;
use super::registry::{Entry, Registry};
use super::safe::Safe;
use crate::clock::{Clock, SharedClock};
use crate::connect::command::GuardProgram;
use crate::connect::smtp::SmtpAccount;
use crate::domain::id::NodeId;
use crate::domain::robot::RobotConfig;
use crate::domain::task::{PRIORITY_DEFAULT, Trigger};
use crate::domain::time::Timestamp;
use crate::store::task::{Claimed, NewTask};
use crate::store::{Store, StoreResult};

/// The tools of a node that its robots share.
#[derive(Debug)]
pub struct Tools {
    /// The database.
    pub store: Store,
    /// The vault's keys, for that database.
    pub safe: Safe,
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
    /// The program that watches over those that robots start.
    pub guard: GuardProgram,
}

/// One run's view of the world. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context(Arc<View>);

/// What only some runs need is made when it is first asked for.
#[derive(Debug)]
struct View {
    tools: Arc<Tools>,
    entry: Arc<Entry>,
    run: Arc<Claimed>,
    journals: Arc<Journals>,
    journal: OnceLock<Journal>,
    cancel: OnceLock<CancellationToken>,
    over: AtomicBool,
    last: OnceLock<oneshot::Sender<()>>,
}

impl Context {
    /// The context of one run of the robot that `entry` describes. Its journal is entered into `journals` when
    /// it is first written.
    #[must_use]
    pub fn new(
        tools: Arc<Tools>,
        entry: Arc<Entry>,
        run: Arc<Claimed>,
        journals: Arc<Journals>,
    ) -> Self {
        Self(Arc::new(View {
            tools,
            entry,
            run,
            journals,
            journal: OnceLock::new(),
            cancel: OnceLock::new(),
            over: AtomicBool::new(false),
            last: OnceLock::new(),
        }))
    }

    /// The same, told to end by `cancel`.
    #[must_use]
    pub fn ended_by(self, cancel: CancellationToken) -> Self {
        // Refused where the run has been given one.
        drop(self.0.cancel.set(cancel));
        self
    }

    /// The node's tools.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.0.tools
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.tools.store
    }

    /// The things that robots work on, and their secrets.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let tools = &self.0.tools;
        let (store, safe) = (tools.store.clone(), tools.safe.clone());
        Inventory::new(store, safe, Arc::clone(&tools.registry))
    }

    /// The time of day.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.0.tools.clock.as_ref()
    }

    /// The task and process being run.
    #[must_use]
    pub fn run(&self) -> &Claimed {
        &self.0.run
    }

    /// The robot's name.
    #[must_use]
    pub fn robot(&self) -> &str {
        self.0.entry.name()
    }

    /// The configuration this run started with.
    #[must_use]
    pub fn config(&self) -> &RobotConfig {
        &self.0.entry.config
    }

    /// The task's payload.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.0.run.payload
    }

    /// The robot's settings as their type.
    ///
    /// # Errors
    /// `settings`, permanent, when they do not fit; they were checked when they were set, so this is a defect.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, RobotError> {
        serde_path_to_error::deserialize(&self.config().settings).map_err(|error| {
            RobotError::fail(
                "settings",
                format!("settings.{}: {}", error.path(), error.inner()),
            )
        })
    }

    /// The process's log and progress.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        let view = &self.0;
        view.journal.get_or_init(|| {
            let journal = Journal::new(view.run.process, Arc::clone(&view.tools.clock));
            view.journals.open(&journal, &view.over);
            journal
        })
    }

    /// Writes an information line to the process's log.
    pub fn info(&self, text: impl AsRef<str>) {
        self.journal().push(LogLevel::Info, text);
    }

    /// Writes a warning to the process's log.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.journal().push(LogLevel::Warn, text);
    }

    /// Says how far the run has got, 0..=100.
    pub fn progress(&self, percent: u8, message: &str) {
        self.journal().progress(percent, message);
    }

    /// Whether another instance of the robot may run here beside those that do. A start takes a moment to be seen.
    #[must_use]
    pub fn has_free_instance(&self) -> bool {
        let entry = self.tools().registry.by_id(self.0.entry.id);
        entry.is_some_and(|entry| {
            let health = entry.health.borrow();
            health.running < health.wanted
        })
    }

    /// Registers one more task of the robot, without a payload, for a run that found more work than it has in hand.
    ///
    /// # Errors
    /// The store's.
    pub async fn call_another(&self) -> StoreResult<()> {
        let entry = &self.0.entry;
        let task = NewTask {
            robot: entry.id,
            trigger: Trigger::Event,
            payload: Value::Null,
            priority: PRIORITY_DEFAULT,
            run_at: None,
            deadline: None,
            unique_key: None,
            max_attempts: i32::try_from(entry.config.retry.max_attempts).unwrap_or(i32::MAX),
            planned_at: None,
            event: None,
            requested_by: entry.name().to_owned(),
            for_node: None,
        };
        let now = self.clock().now();
        self.store().task_add(Vec::from([task]), now).await?;
        Ok(())
    }

    /// Fires when the run must end; a run that has `cancel_grace` watches it, others are dropped.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        self.0.cancel.get_or_init(CancellationToken::new)
    }

    /// How long a run that must end may go on.
    pub(crate) fn cancel_grace(&self) -> Duration {
        self.0.entry.definition.cancel_grace
    }

    /// The run is over: what it says from now on is not kept.
    pub(crate) fn close(&self) {
        self.0.over.store(true, Ordering::Release);
    }

    /// Ends, with an error, when nothing of the run is left. Can be asked for once.
    pub(crate) fn last(&self) -> oneshot::Receiver<()> {
        let (last, gone) = oneshot::channel();
        // Refused, it is dropped, and `gone` ends at once.
        drop(self.0.last.set(last));
        gone
    }
}
