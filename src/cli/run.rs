//! `robotd run`: one process of one robot, here, without a node.
//!
//! It is recorded like any other: a task of its own, a process, its log. The database must be free,
//! because a second program that holds leases would have to prove that it lives.

use std::sync::Arc;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure, Ran};
use super::journal::Echo;
use super::node::runtime;
use super::task::payload;
use super::{catalogue, print};
use crate::app;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::connect::command::GuardProgram;
use crate::domain::task::{AfterRun, Attempted, PRIORITY_MAX, RunEnd, Trigger, after_run};
use crate::robot::context::Tools;
use crate::robot::outcome::Report;
use crate::robot::registry::{Entry, PoolHealth, Registry, effective};
use crate::robot::{Context, Robot};
use crate::store::task::{Claimed, Completion, ERROR_CHARS_MAX, NewTask};
use crate::store::{Store, StoreError};

/// Who ordered such a task, in the report.
const REQUESTED_BY: &str = "robotd run";

/// Queued tasks of the robot that may stand before ours; they are given back untouched.
const QUEUE_LOOKED_AT: u32 = 1_000;

pub(super) fn run(config: Config, name: &str, written: Option<&str>) -> Ran {
    catalogue::find(&config, name)?;
    let payload = payload(written)?.unwrap_or(Value::Null);
    let report = runtime()?.block_on(async {
        let (tools, mut robots) = prepare(config).await?;
        let robot = robots
            .remove(name)
            .ok_or_else(|| catalogue::unknown(name))?;
        let report = process(&tools, name, &robot, payload).await;
        tools.store.node_stop(tools.node, tools.clock.now()).await?;
        report
    })?;
    if let Some(error) = &report.error {
        print::say(&format!(
            "{}: {}",
            report.end.outcome(),
            print::plain(error)
        ));
    }
    verdict(&report)
}

/// What the end of the run means for the exit status.
fn verdict(report: &Report) -> Ran {
    // The operator's program said how it failed: only its own "try again" is one.
    let own = ["exit_status", "signal", "http_status"];
    let class = report.error_class.as_deref().unwrap_or_default();
    match report.end {
        RunEnd::Succeeded | RunEnd::Skipped => Ok(()),
        RunEnd::FailedTemporarily if own.contains(&class) => Err(Failure::quiet(Exit::Failed)),
        RunEnd::Snoozed(_) | RunEnd::FailedTemporarily | RunEnd::Unverified => {
            Err(Failure::quiet(Exit::TryAgain))
        }
        _ => Err(Failure::quiet(Exit::Failed)),
    }
}

type Robots = std::collections::BTreeMap<String, Arc<dyn Robot>>;

/// Takes the database and makes what a run is given.
async fn prepare(config: Config) -> Result<(Arc<Tools>, Robots), Failure> {
    let robots = app::all_robots(&config)?;
    let store = app::open_store(&config).await?;
    match store.hold_exclusively().await {
        Err(StoreError::Conflict { .. }) => {
            return Err(Failure::text(
                Exit::Unavailable,
                "run here: a node runs on this database; order the run from it with `robotd task add NAME`, or stop it first",
            ));
        }
        held => held?,
    }
    let clock: SharedClock = Arc::new(SystemClock);
    let now = clock.now();
    let registry = Arc::new(Registry::default());
    let robots = enrol(&store, &registry, robots, &clock).await?;
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let version = env!("CARGO_PKG_VERSION");
    let node = store
        .node_start(&config.node_name, version, pid, now)
        .await?;
    let safe = app::open_safe(&config.data_dir, &store, clock.as_ref()).await?;
    let tools = Tools {
        store,
        safe,
        clock,
        registry,
        node,
        node_name: config.node_name,
        node_started_at: now,
        data_dir: config.data_dir,
        mail: config.mail,
        guard: GuardProgram::this_program(),
    };
    Ok((Arc::new(tools), robots))
}

/// Enters every robot with its configuration in force: some robots look at the others.
async fn enrol(
    store: &Store,
    registry: &Registry,
    robots: Vec<Arc<dyn Robot>>,
    clock: &SharedClock,
) -> Result<Robots, Failure> {
    let wrong = |text: String| Failure::text(Exit::Config, text);
    let mut definitions = Vec::new();
    for robot in &robots {
        let definition = robot
            .definition()
            .map_err(|error| wrong(format!("read a robot: {}: {}", error.field, error.detail)))?;
        definitions.push(definition);
    }
    let now = clock.now();
    let names = definitions.iter().map(|d| (d.identity.name.clone(), now));
    let rows = store.robot_register(names.collect()).await?;
    let mut entered = Robots::new();
    for ((robot, definition), row) in robots.into_iter().zip(definitions).zip(rows) {
        let name = definition.identity.name.clone();
        let config = effective(&definition, &row.overrides).map_err(|errors| {
            let fields: Vec<_> = errors
                .iter()
                .map(|e| format!("{}: {}", e.field, e.detail))
                .collect();
            wrong(format!(
                "use the stored changes of `{name}`: {}",
                fields.join("; ")
            ))
        })?;
        registry.put(Entry {
            id: row.id,
            definition: Arc::new(definition),
            overrides: row.overrides,
            revision: row.revision,
            anchor: row.anchor,
            config: Arc::new(config),
            health: watch::channel(PoolHealth::default()).1,
        });
        entered.insert(name, robot);
    }
    Ok(entered)
}

/// Registers the task, runs it and records its end.
async fn process(
    tools: &Arc<Tools>,
    name: &str,
    robot: &Arc<dyn Robot>,
    payload: Value,
) -> Result<Report, Failure> {
    let entry = tools
        .registry
        .get(name)
        .ok_or_else(|| catalogue::unknown(name))?;
    let run = Arc::new(claim(tools, &entry, payload).await?);
    let journals = Arc::default();
    let ctx = Context::new(
        Arc::clone(tools),
        Arc::clone(&entry),
        Arc::clone(&run),
        journals,
    );
    let (journal, cancel) = (ctx.journal().clone(), ctx.cancelled().clone());
    let mut echo = Echo::new(tools.store.clone(), journal);
    let work = execute(Arc::clone(robot), ctx, &entry, &cancel);
    let report = echo.until(work).await?;
    echo.flush().await?;
    complete(tools, &entry, &run, &report).await?;
    Ok(report)
}

async fn claim(tools: &Tools, entry: &Entry, payload: Value) -> Result<Claimed, Failure> {
    let (store, now) = (&tools.store, tools.clock.now());
    let task = NewTask {
        robot: entry.id,
        trigger: Trigger::Manual,
        payload,
        priority: PRIORITY_MAX,
        run_at: None,
        deadline: None,
        unique_key: None,
        max_attempts: 1,
        planned_at: None,
        event: None,
        requested_by: REQUESTED_BY.to_owned(),
        for_node: None,
    };
    let added = store.task_add(vec![task], now).await?;
    let id = added.first().map(|added| added.id);
    let demand = vec![(entry.id, QUEUE_LOOKED_AT)];
    let claimed = store.task_claim(tools.node, demand, now).await?;
    let (ours, others): (Vec<_>, Vec<_>) =
        claimed.into_iter().partition(|run| Some(run.task) == id);
    let others: Vec<_> = others.iter().map(|run| (run.task, run.process)).collect();
    if !others.is_empty() {
        store.task_release(others).await?;
    }
    if let Some(run) = ours.into_iter().next() {
        return Ok(run);
    }
    if let Some(id) = id {
        store.task_cancel(id, now).await?;
    }
    Err(Failure::text(
        Exit::TryAgain,
        "start: too many tasks of this robot wait before this one",
    ))
}

/// Runs the robot until it ends, its time is over or a signal comes. It has a task of its own, as in a node: while it
/// waits for its log to be kept, what it said is passed on, and its time runs.
async fn execute(
    robot: Arc<dyn Robot>,
    ctx: Context,
    entry: &Entry,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::Software, error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut work = JoinSet::new();
    work.spawn(async move { robot.run(&ctx).await });
    let limit = entry.config.timeout;
    let ended = tokio::select! {
        Some(answer) = work.join_next() => return Ok(answer.map_or_else(
            |_| Report::of_runtime(RunEnd::Panicked, "panicked", "it panicked"),
            Report::from,
        )),
        () = tokio::time::sleep(limit) => Report::of_runtime(
            RunEnd::TimedOut, "timed_out", format!("ran longer than its time limit of {limit:?}"),
        ),
        _ = terminate.recv() => Report::of_runtime(RunEnd::Cancelled, "cancelled", "cancelled by SIGTERM"),
        _ = interrupt.recv() => Report::of_runtime(RunEnd::Cancelled, "cancelled", "cancelled by SIGINT"),
    };
    cancel.cancel();
    // Whatever it answers now: it was told to end, and that is what counts.
    let _late = tokio::time::timeout(entry.definition.cancel_grace, work.join_next()).await;
    Ok(ended)
}

/// Records the end. What asks to run again does not: nobody would be there.
async fn complete(tools: &Tools, entry: &Entry, run: &Claimed, report: &Report) -> Ran {
    let now = tools.clock.now();
    let attempted = Attempted {
        attempt: run.attempt,
        max_attempts: run.max_attempts,
        deaths: run.deaths,
        deadline: run.deadline,
    };
    let after = after_run(
        attempted,
        &report.end,
        &entry.config.retry,
        now,
        rand::random(),
    );
    let counters = report
        .counters
        .iter()
        .map(|(k, v)| (k.clone(), Value::from(*v)));
    let completion = Completion {
        task: run.task,
        process: run.process,
        outcome: report.end.outcome(),
        error_class: report.error_class.clone(),
        error: report
            .error
            .as_ref()
            .map(|text| text.chars().take(ERROR_CHARS_MAX).collect()),
        counters: counters.collect(),
        finished_at: now,
        after,
    };
    tools.store.task_complete(vec![completion]).await?;
    if matches!(after, AfterRun::Again { .. }) {
        tools.store.task_cancel(run.task, now).await?;
    }
    Ok(())
}
