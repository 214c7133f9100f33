//! One node's tools around a store, and runs of robots by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use robotd::clock::{Clock, ManualClock};
use robotd::connect::command::GuardProgram;
use robotd::connect::smtp::SmtpAccount;
use robotd::domain::id::{NodeId, ProcessId, RobotId, TaskId};
use robotd::domain::robot::Overrides;
use robotd::domain::task::Trigger;
use robotd::domain::time::{Timestamp, from_micros, to_micros};
use robotd::robot::context::Tools;
use robotd::robot::registry::{Entry, PoolHealth, Registry, effective};
use robotd::robot::{Context, Outcome, Robot, RobotError};
use robotd::store::task::Claimed;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::database::Database;
use crate::support::safe;

/// 2027-01-15, 08:00 UTC.
pub const START: i64 = 1_800_000_000_000_000;

/// The counters of an outcome by name; what is not counted is 0.
pub fn count(outcome: &Outcome, what: &str) -> i64 {
    outcome.counters.get(what).copied().unwrap_or(0)
}

pub struct Rig<'a> {
    pub database: &'a Database,
    pub clock: Arc<ManualClock>,
    pub tools: Arc<Tools>,
    /// The whole log of all runs so far.
    pub log: std::sync::Mutex<Vec<String>>,
    next: AtomicI64,
    _data_dir: tempfile::TempDir,
}

impl<'a> Rig<'a> {
    /// A node that is up for an hour, with every robot of the catalogue in its place.
    pub async fn new(database: &'a Database, mail: Option<SmtpAccount>) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(from_micros(START)));
        let tools = Tools {
            store: database.store.clone(),
            safe: safe(&database.store, data_dir.path()).await,
            clock: clock.clone(),
            registry: Arc::new(Registry::default()),
            node: NodeId(1),
            node_name: "node-1".to_owned(),
            node_started_at: from_micros(START - 3_600_000_000),
            data_dir: data_dir.path().to_owned(),
            mail,
            guard: GuardProgram::at(env!("CARGO_BIN_EXE_robotd")),
        };
        let rig = Self {
            database,
            clock,
            tools: Arc::new(tools),
            log: std::sync::Mutex::default(),
            next: AtomicI64::new(1_000),
            _data_dir: data_dir,
        };
        for (index, robot) in (1..).zip(robotd::robots::catalog()) {
            rig.enrol(RobotId(index), robot.as_ref(), &json!({})).await;
        }
        rig
    }

    async fn enrol(&self, id: RobotId, robot: &dyn Robot, settings: &Value) {
        let definition = robot.definition().unwrap();
        let overrides: Overrides = serde_json::from_value(json!({ "settings": settings })).unwrap();
        let config = effective(&definition, &overrides).unwrap();
        let name = definition.identity.name.clone();
        if self.tools.registry.get(&name).is_none() {
            let insert = format!(
                "INSERT INTO robots (id, name, overrides, revision, anchor_at) \
                 VALUES ({}, '{name}', '{{}}', 1, {START})",
                id.0
            );
            self.database.sql(&insert).await;
        }
        self.tools.registry.put(Entry {
            id,
            definition: Arc::new(definition),
            overrides,
            revision: 1,
            anchor: from_micros(START),
            config: Arc::new(config),
            health: watch::channel(PoolHealth::default()).1,
        });
    }

    /// Runs a robot with these settings over its defaults.
    pub async fn run(&self, name: &str, settings: Value) -> Result<Outcome, RobotError> {
        self.run_with(name, settings, Value::Null).await
    }

    /// The same with a payload.
    pub async fn run_with(
        &self,
        name: &str,
        settings: Value,
        payload: Value,
    ) -> Result<Outcome, RobotError> {
        self.run_by(Trigger::Tick, name, settings, payload).await
    }

    /// The same, woken by this.
    pub async fn run_by(
        &self,
        trigger: Trigger,
        name: &str,
        settings: Value,
        payload: Value,
    ) -> Result<Outcome, RobotError> {
        let robots = robotd::robots::catalog();
        let robot = robots
            .iter()
            .find(|robot| robot.definition().unwrap().identity.name == name)
            .unwrap();
        let id = self.tools.registry.get(name).unwrap().id;
        self.enrol(id, robot.as_ref(), &settings).await;
        let entry = self.tools.registry.get(name).unwrap();
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let run = Claimed {
            task: TaskId(number),
            process: ProcessId(number),
            robot: id,
            node: self.tools.node,
            trigger,
            payload,
            attempt: 1,
            max_attempts: 5,
            deaths: 0,
            deadline: None,
            planned_at: None,
            started_at: self.now(),
            cancel_requested: false,
        };
        let tools = Arc::clone(&self.tools);
        let context = Context::new(tools, entry, Arc::new(run), Arc::default());
        let result = robot.run(&context).await;
        let lines = context
            .journal()
            .drain()
            .lines
            .into_iter()
            .map(|line| line.text);
        self.log.lock().unwrap().extend(lines);
        result
    }

    /// The next run is one more of the last one's task.
    pub fn same_task_again(&self) {
        self.next.fetch_sub(1, Ordering::SeqCst);
    }

    /// Now, as the robots see it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock on.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    /// How many rows a condition has in a table.
    pub async fn rows(&self, table: &str, condition: &str) -> i64 {
        self.database
            .number(&format!(
                "SELECT (SELECT count(*) FROM {table} WHERE {condition})"
            ))
            .await
    }

    /// Now, as the database keeps it.
    pub fn micros(&self) -> i64 {
        to_micros(self.now())
    }
}
