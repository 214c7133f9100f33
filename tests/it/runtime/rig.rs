//! A runtime in this process with robots made for one test.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::safe;
use async_trait::async_trait;
use robotd::clock::SystemClock;
use robotd::domain::id::{ProcessId, RobotId, TaskId};
use robotd::domain::robot::FieldError;
use robotd::domain::task::{PRIORITY_DEFAULT, TaskStatus, Trigger};
use robotd::robot::{Context, Definition, Outcome, Robot, RobotError, RobotSpec};
use robotd::runtime::{self, Runtime, RuntimeConfig};
use robotd::store::page::PageRequest;
use robotd::store::process::{Process, ProcessFilter};
use robotd::store::task::{NewTask, Task};
use robotd::store::upkeep::Retention;
use robotd::store::{Store, StoreConfig};
use tempfile::TempDir;

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(30);
/// How often we look again while we wait.
pub const POLL: Duration = Duration::from_millis(10);

/// What a test's robot does.
pub type Work =
    fn(
        &Context,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Outcome, RobotError>> + Send + '_>>;

/// A robot made of a declaration and a function.
pub struct Made(pub RobotSpec, pub Work);

#[async_trait]
impl Robot for Made {
    fn definition(&self) -> Result<Definition, FieldError> {
        self.0.definition()
    }

    async fn run(&self, ctx: &Context) -> Result<Outcome, RobotError> {
        (self.1)(ctx).await
    }
}

/// A running runtime on SQLite.
pub struct Rig {
    pub runtime: Runtime,
    pub store: Store,
    _folder: TempDir,
}

/// Runs `test` inside an actix system with a runtime that has these robots.
pub fn with_robots<F: Future<Output = ()>>(
    robots: Vec<Made>,
    test: impl FnOnce(Arc<Rig>) -> F + 'static,
) {
    actix::System::new().block_on(async move {
        let folder = tempfile::tempdir().unwrap();
        let (store, started) = start(robots, &folder).await;
        let runtime = started.unwrap();
        let rig = Arc::new(Rig {
            runtime,
            store,
            _folder: folder,
        });
        test(Arc::clone(&rig)).await;
        if let Ok(rig) = Arc::try_unwrap(rig).map_err(drop) {
            rig.runtime.stop();
        }
    });
}

/// Starts a runtime that has these robots on a new database.
pub async fn start(robots: Vec<Made>, folder: &TempDir) -> (Store, anyhow::Result<Runtime>) {
    let store = Store::open(StoreConfig::Sqlite {
        path: folder.path().join("robotd.db"),
    })
    .await
    .unwrap();
    store.hold_exclusively().await.unwrap();
    let started = runtime::start(RuntimeConfig {
        store: store.clone(),
        safe: safe(&store, folder.path()).await,
        clock: Arc::new(SystemClock),
        robots: robots
            .into_iter()
            .map(|made| Arc::new(made) as Arc<dyn Robot>)
            .collect(),
        node_name: "test".to_owned(),
        data_dir: folder.path().to_owned(),
        mail: None,
        broker: None,
        syslog: None,
        retention: Retention {
            tasks: Duration::from_secs(86_400),
            events: Duration::from_secs(86_400),
            ticks: Duration::from_secs(86_400),
            views: Duration::from_secs(86_400),
        },
        terms: runtime::Terms::default(),
        job_threads: 4,
    })
    .await;
    (store, started)
}

impl Rig {
    pub fn id(&self, robot: &str) -> RobotId {
        self.runtime
            .handle()
            .registry()
            .get(robot)
            .expect("a robot of the test")
            .id
    }

    /// Registers a task of `robot`.
    pub async fn add(&self, robot: &str, max_attempts: i32) -> TaskId {
        let now = robotd::clock::Clock::now(&SystemClock);
        let task = NewTask {
            robot: self.id(robot),
            trigger: Trigger::Api,
            payload: serde_json::Value::Null,
            priority: PRIORITY_DEFAULT,
            run_at: None,
            deadline: None,
            unique_key: None,
            max_attempts,
            planned_at: None,
            event: None,
            requested_by: "test".to_owned(),
            for_node: None,
        };
        self.store.task_add(vec![task], now).await.unwrap()[0].id
    }

    /// Waits until the task has `status`.
    pub async fn until_status(&self, task: TaskId, status: TaskStatus) -> Task {
        let deadline = Instant::now() + LIMIT;
        loop {
            let now = self.store.task_get(task).await.unwrap().expect("the task");
            if now.status == status {
                return now;
            }
            assert!(Instant::now() < deadline, "the task stayed {now:#?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Processes of a task, newest first.
    pub async fn processes(&self, task: TaskId) -> Vec<Process> {
        let filter = ProcessFilter {
            task: Some(task),
            ..ProcessFilter::default()
        };
        self.store
            .process_list(
                filter,
                PageRequest {
                    limit: 100,
                    after: None,
                },
            )
            .await
            .unwrap()
            .items
    }

    /// Lines of a process's log.
    pub async fn log(&self, process: ProcessId) -> Vec<String> {
        let lines = self.store.log_read(process, 0, 1_000).await.unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Waits until `holds`.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "{what} did not come to hold: {:#?}",
                self.runtime.handle().health()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}
