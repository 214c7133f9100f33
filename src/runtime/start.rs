//! Starting and ending a node's runtime.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::configuration::{stored, told};
use super::core::{Core, Ended};
use super::crossing::{self, Crossing, Piers};
use super::dispatch::Dispatcher;
use super::handle::Handle;
use super::membership::Terms;
use super::supervisor::{DrainAll, InterruptAll, Supervisor};
use super::{
    announcer, courier, feeder, follower, pruner, recorder, rescuer, resealer, scheduler, scribe,
    service, sharer,
};
use crate::clock::SharedClock;
use crate::connect::command::GuardProgram;
use crate::connect::nats::Broker;
use crate::connect::smtp::SmtpAccount;
use crate::connect::syslog::SyslogTarget;
use crate::domain::id::RobotId;
use crate::domain::schedule::Schedule;
use crate::domain::time::Timestamp;
use crate::robot::context::Tools;
use crate::robot::registry::{Entry, PoolHealth, Registry};
use crate::robot::safe::Safe;
use crate::robot::{Definition, Robot};
use crate::store::Store;
use crate::store::robot::RobotRow;
use crate::store::upkeep::Retention;

/// What a node's runtime is made of.
pub struct RuntimeConfig {
    /// The database.
    pub store: Store,
    /// The vault's keys, for that database.
    pub safe: Safe,
    /// The time of day.
    pub clock: SharedClock,
    /// All robots, of the catalogue and of the operator.
    pub robots: Vec<Arc<dyn Robot>>,
    /// This node's name, which outlives restarts.
    pub node_name: String,
    /// Where it keeps its files.
    pub data_dir: PathBuf,
    /// The mail account.
    pub mail: Option<SmtpAccount>,
    /// The collector, where there is one.
    pub syslog: Option<SyslogTarget>,
    /// The broker that changes go to, where there is one.
    pub broker: Option<Broker>,
    /// How long finished things are kept.
    pub retention: Retention,
    /// How it lives with other nodes.
    pub terms: Terms,
    /// Threads for robots' code; more than cores, because one that never yields holds its thread.
    pub job_threads: usize,
}

/// A running runtime.
pub struct Runtime {
    handle: Handle,
    core: Arc<Core>,
    supervisor: Addr<Supervisor>,
    control: Arbiter,
    _jobs: JobThreads,
}

/// The threads for robots' code, until this is dropped: `None` afterwards.
struct JobThreads(Option<tokio::runtime::Runtime>);

impl Drop for JobThreads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            // A run that does not end must not keep the process from ending, nor a start that failed from saying why.
            threads.shutdown_background();
        }
    }
}

/// `every` robots of a new database fire within this time, spread so that they do not all start at once.
const FIRST_TICK_SPREAD: Duration = Duration::from_secs(20);
/// What is left of the drain's time for recording.
const RECORD_RESERVE: Duration = Duration::from_secs(2);
/// How often the drain looks whether all runs have ended.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Registers the node and starts its actors and services. Must be called inside an actix system.
///
/// # Errors
/// A robot's declaration or stored configuration that cannot be read, a database that refuses, a thread
/// that cannot be started.
pub async fn start(config: RuntimeConfig) -> anyhow::Result<Runtime> {
    let jobs = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.job_threads)
        .thread_name("robot")
        .enable_all()
        .build()
        .context("failed to start the threads for robots")?;
    let threads = jobs.handle().clone();
    let jobs = JobThreads(Some(jobs));
    let now = config.clock.now();
    config.store.keep_changes(config.broker.is_some());
    let registry = Arc::new(Registry::default());
    let (robots, health) = enrol(&config, &registry, now).await?;
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let (store, version) = (&config.store, env!("CARGO_PKG_VERSION"));
    let started = store.node_start(&config.node_name, version, pid, now);
    let node = started.await?;
    store.node_timeout_note(node, config.terms.timeout).await?;
    let tools = Arc::new(Tools {
        store: config.store,
        safe: config.safe,
        clock: config.clock,
        registry,
        node,
        node_name: config.node_name,
        node_started_at: now,
        data_dir: config.data_dir,
        mail: config.mail,
        guard: GuardProgram::this_program(),
    });
    let (ends, inbox) = mpsc::unbounded_channel();
    let (crossing, piers) = Crossing::new();
    let core = Core::new(
        tools,
        robots,
        threads,
        crossing,
        config.broker,
        ends,
        config.terms,
    );
    let core = Arc::new(core);
    let control = Arbiter::new();
    let supervisor = start_control(
        &control,
        &core,
        health,
        piers,
        inbox,
        config.syslog,
        config.retention,
    )
    .await?;
    let dispatcher = Arc::new(Dispatcher::new(&core, &supervisor));
    core.store().set_starter(Some((node, dispatcher)));
    let handle = Handle::new(Arc::clone(&core), supervisor.clone());
    Ok(Runtime {
        handle,
        core,
        supervisor,
        control,
        _jobs: jobs,
    })
}

type Robots = HashMap<RobotId, Arc<dyn Robot>>;
type Healths = HashMap<RobotId, watch::Sender<PoolHealth>>;

/// Gives every robot its row and enters it into the registry with its configuration in force.
async fn enrol(
    config: &RuntimeConfig,
    registry: &Registry,
    now: Timestamp,
) -> anyhow::Result<(Robots, Healths)> {
    let mut definitions = Vec::new();
    for robot in &config.robots {
        let definition = robot
            .definition()
            .map_err(|error| anyhow::anyhow!("{}: {}", error.field, error.detail))?;
        let name = definition.identity.name.clone();
        definition
            .check(&definition.defaults)
            .map_err(|errors| anyhow::anyhow!("robot {name}: {}", told(&errors)))?;
        definitions.push((Arc::clone(robot), definition));
    }
    let names = definitions
        .iter()
        .map(|(_, d)| (d.identity.name.clone(), first_tick(d, now)))
        .collect();
    let rows = config.store.robot_register(names).await?;
    let (mut robots, mut healths) = (HashMap::new(), HashMap::new());
    for ((robot, definition), row) in definitions.into_iter().zip(rows) {
        let (sender, receiver) = watch::channel(PoolHealth::default());
        robots.insert(row.id, robot);
        healths.insert(row.id, sender);
        registry.put(entry(definition, row, receiver));
    }
    Ok((robots, healths))
}

fn entry(definition: Definition, row: RobotRow, health: watch::Receiver<PoolHealth>) -> Entry {
    let config = stored(&definition, &row.overrides);
    Entry {
        id: row.id,
        definition: Arc::new(definition),
        overrides: row.overrides,
        revision: row.revision,
        anchor: row.anchor,
        config: Arc::new(config),
        health,
    }
}

/// When a robot that this database has never seen fires first.
fn first_tick(definition: &Definition, now: Timestamp) -> Timestamp {
    let Some(Schedule::Every { interval }) = &definition.defaults.schedule else {
        return now;
    };
    let spread = FIRST_TICK_SPREAD.min(*interval / 2);
    let hash = definition
        .identity
        .name
        .bytes()
        .fold(5381_u32, |h, b| h.wrapping_mul(33) ^ u32::from(b));
    now + spread.mul_f64(f64::from(hash % 1000) / 1000.0)
}

async fn start_control(
    control: &Arbiter,
    core: &Arc<Core>,
    health: Healths,
    piers: Piers,
    inbox: mpsc::UnboundedReceiver<Ended>,
    syslog: Option<SyslogTarget>,
    retention: Retention,
) -> anyhow::Result<Addr<Supervisor>> {
    let (started, supervisor) = oneshot::channel();
    let core = Arc::clone(core);
    let accepted = control.spawn_fn(move || {
        let root = {
            let core = Arc::clone(&core);
            Supervisor::create(|ctx| Supervisor::new(core, health, ctx))
        };
        feeder::keep(&core, &root);
        crossing::keep(&core, piers);
        let (inbox, backlog) = (Rc::new(RefCell::new(inbox)), recorder::Backlog::default());
        service::keep(&core, "recorder", move |core| {
            recorder::run(core, Rc::clone(&inbox), Rc::clone(&backlog))
        });
        service::keep(&core, "scribe", scribe::run);
        service::keep(&core, "scheduler", scheduler::run);
        service::keep(&core, "rescuer", rescuer::run);
        if core.store().is_shared() {
            sharer::keep(&core, &root);
            follower::keep(&core, &root);
        }
        service::keep(&core, "pruner", move |core| pruner::run(core, retention));
        service::keep(&core, "resealer", resealer::run);
        service::keep(&core, "queue counter", pruner::count_queues);
        announcer::keep(&core);
        if let Some(target) = syslog {
            service::keep(&core, "courier", move |core| {
                courier::run(core, target.clone())
            });
        }
        // Nobody waits any more when the start was given up.
        let _unheard = started.send(root);
    });
    anyhow::ensure!(accepted, "failed to start the control thread");
    supervisor
        .await
        .context("the control thread ended at its start")
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.core.store().set_starter(None);
        self.core.stopping.cancel();
        self.control.stop();
    }
}

/// What a drain came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Runs that had to be ended; their tasks are offered again.
    pub interrupted: u32,
}

impl Runtime {
    /// What the API works with.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Fires when this node was declared dead by another one: the process must end.
    #[must_use]
    pub fn fenced(&self) -> CancellationToken {
        self.core.fenced.clone()
    }

    /// Fires when no more work is to be taken in.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.core.draining.clone()
    }

    /// Claims nothing more, lets runs finish for `limit`, interrupts the rest, records everything.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.core.draining.cancel();
        self.supervisor.do_send(DrainAll);
        if let Err(error) = self.core.store().node_drain(self.core.tools.node).await {
            log::warn!("failed to hand over to other nodes early: {error}");
        }
        self.wait_for_ends(limit.saturating_sub(RECORD_RESERVE))
            .await;
        let interrupted = self.running();
        if interrupted > 0 {
            log::info!("{interrupted} runs are interrupted; their tasks are offered again");
            self.supervisor.do_send(InterruptAll);
            self.wait_for_ends(RECORD_RESERVE).await;
        }
        self.core.leaving.cancel();
        let (node, now) = (self.core.tools.node, self.core.now());
        if let Err(error) = self.core.store().node_stop(node, now).await {
            log::warn!("failed to sign the node off: {error}");
        }
        Drained { interrupted }
    }

    /// Ends actors, services and threads.
    pub fn stop(self) {
        drop(self);
    }

    async fn wait_for_ends(&self, limit: Duration) {
        let deadline = tokio::time::Instant::now() + limit;
        while self.running() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    /// Runs that have not ended, or whose end is not recorded.
    fn running(&self) -> u32 {
        let unrecorded: u32 = {
            let capacities = self.core.capacity.values();
            capacities.map(|capacity| capacity.unrecorded()).sum()
        };
        let robots = self.core.tools.registry.all();
        let running = robots.iter().map(|entry| entry.health.borrow().running);
        running.sum::<u32>() + unrecorded
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::robot::RobotSpec;
    use crate::robot::spec::Wakes;

    fn delay(name: &'static str, wakes: Wakes) -> Duration {
        let spec = RobotSpec {
            name,
            wakes,
            ..RobotSpec::DEFAULT
        };
        let now = DateTime::UNIX_EPOCH;
        let first = first_tick(&spec.definition().unwrap(), now);
        (first - now).to_std().unwrap()
    }

    #[test]
    fn the_first_ticks_are_spread_within_half_an_interval_and_always_alike() {
        const NAMES: [&str; 4] = ["mail.one", "mail.two", "session.three", "storage.four"];
        for interval in [Duration::from_secs(2), Duration::from_secs(86_400)] {
            let wakes = Wakes::Every(interval);
            let delays = NAMES.map(|name| delay(name, wakes));
            for found in delays {
                assert!(found < FIRST_TICK_SPREAD.min(interval / 2), "{found:?}");
            }
            assert!(delays.iter().any(|found| *found != delays[0]), "{delays:?}");
            assert_eq!(delays, NAMES.map(|name| delay(name, wakes)));
        }
    }

    #[test]
    fn only_an_interval_has_a_first_tick_of_its_own() {
        assert_eq!(delay("mail.one", Wakes::OnDemand), Duration::ZERO);
        assert_eq!(delay("mail.one", Wakes::Cron("5 * * * *")), Duration::ZERO);
    }
}
