//! Composition: builds everything in order, serves, and takes it down in the reverse order.

mod master_key;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::api::{self, ApiState};
use crate::clock::{Clock, ServerClock, SharedClock, SystemClock};
use crate::config::Config;
use crate::connect::nats::{Broker, NatsSettings};
use crate::domain::access::{Role, token_hash, token_text};
use crate::domain::iso_duration;
use crate::intake::nats::Listener;
use crate::panel::{self, Panel};
use crate::robot::Robot;
use crate::robot::safe::Safe;
use crate::robots;
use crate::runtime::{self, Runtime, RuntimeConfig, Terms};
use crate::store::Store;
use crate::store::node::NodeState;
use crate::vault::{MasterKey, secret_file};

pub use master_key::{Changed, change_master_key};

/// Where a started node can be reached, for whoever started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The address it listens on; the port is known even where 0 was asked for.
    pub listen: SocketAddr,
    /// Where the first admin token was written, at the first start only.
    pub admin_token: Option<PathBuf>,
}

/// Why a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was told to, and everything was recorded.
    Drained,
    /// It was told to a second time and left its runs to the next node.
    Hurried,
    /// Another node declared it dead.
    Fenced,
}

/// Where the first token is written, in the data directory.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";
/// Two threads serve HTTP: they only parse, check and wait for the store.
const HTTP_WORKERS: usize = 2;
/// A client that has not sent its head by then is hung up on.
const REQUEST_HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Open connections of one HTTP thread.
const CONNECTIONS_MAX: usize = 4_096;
/// How long requests in flight may go on when the node ends.
const HTTP_SHUTDOWN_SECS: u64 = 2;

/// Runs a node until a signal ends it. Must be called inside an actix system.
///
/// `robots` are all that it has, see [`all_robots`]. `told` is called once, when the node can be used.
///
/// # Errors
/// Whatever keeps the node from starting: a configuration, a key that does not fit, a database or an
/// address that is taken.
pub async fn serve(
    config: Config,
    robots: Vec<Arc<dyn Robot>>,
    told: impl FnOnce(&Started),
) -> anyhow::Result<Ending> {
    // First of all, so that a taken address changes nothing.
    let listener = TcpListener::bind(config.listen)
        .with_context(|| format!("failed to listen on `{}`", config.listen))?;
    let store = open_store(&config).await?;
    store
        .join()
        .await
        .context("failed to become a node of the database")?;
    look_at_others(&store, &config.node_name, config.node_timeout).await?;
    let (clock, server_clock) = clock_of(&store).await?;
    let safe = open_safe(&config.data_dir, &store, clock.as_ref()).await?;
    let panel =
        Panel::new(&MasterKey::read(&config.data_dir).context("failed to read the master key")?);
    let admin_token = first_token(&config.data_dir, &store, &clock).await?;
    let broker = match config.nats {
        Some(nats) => Some(connect_broker(nats, &config.node_name).await?),
        None => None,
    };
    let runtime = runtime::start(RuntimeConfig {
        store: store.clone(),
        safe: safe.clone(),
        clock: Arc::clone(&clock),
        robots,
        node_name: config.node_name,
        data_dir: config.data_dir,
        mail: config.mail,
        syslog: config.syslog,
        broker: broker.clone(),
        retention: config.retention,
        terms: Terms {
            timeout: config.node_timeout,
            clock: server_clock,
        },
        job_threads: config.job_threads,
    })
    .await?;
    if let Some(broker) = broker {
        take_in(broker, &runtime, store.clone(), Arc::clone(&clock));
    }
    let streams_end = CancellationToken::new();
    let state = ApiState::new(
        store,
        safe,
        runtime.handle().clone(),
        clock,
        streams_end.clone(),
    );
    beside(api::count_outcomes(state.clone()));
    beside(api::activity::keep(state.clone()));
    let (listen, server) = listen(listener, state, panel)?;
    told(&Started {
        listen,
        admin_token,
    });
    let ending = wait_for_end(runtime, config.drain_limit).await?;
    streams_end.cancel();
    server.stop(ending == Ending::Drained).await;
    Ok(ending)
}

/// Says so where another node seems to live that does not go with this one.
///
/// One of this node's name: people, alerts and figures, which are kept by the name, could not tell the two apart. One that takes
/// others for dead sooner or later than this one does: the sooner one takes nodes for dead that have not noticed it themselves. A
/// node that was killed seems to live until it is missed.
async fn look_at_others(store: &Store, name: &str, timeout: Duration) -> anyhow::Result<()> {
    if store.is_alone() {
        return Ok(());
    }
    let nodes = store.node_list().await;
    for node in nodes.context("failed to read the nodes")? {
        if node.name == name && node.state == NodeState::Alive {
            log::warn!(
                "node {} (process {}) has the name `{name}` too and was last heard of at {}: where it lives, give each its own by --node",
                node.id,
                node.pid,
                node.heartbeat_at
            );
        }
        let other = node.timeout.filter(|other| *other != timeout);
        if let Some(other) = other.filter(|_| node.state == NodeState::Alive) {
            let [own, other] = [timeout, other].map(iso_duration::format);
            log::warn!(
                "this node has the --node-timeout {own}, and node {} `{}` has {other}: give all the same",
                node.id,
                node.name
            );
        }
    }
    Ok(())
}

/// The clock that the database's nodes go by: the server's, where they may be on several machines.
async fn clock_of(store: &Store) -> anyhow::Result<(SharedClock, Option<Arc<ServerClock>>)> {
    let reading = store.clock_reading().await;
    let Some(reading) = reading.context("failed to read the database's clock")? else {
        return Ok((Arc::new(SystemClock), None));
    };
    let clock = Arc::new(ServerClock::new(&reading));
    Ok((Arc::clone(&clock) as SharedClock, Some(clock)))
}

/// Takes events in from the broker until no more work is to be taken in.
fn take_in(broker: Broker, runtime: &Runtime, store: Store, clock: SharedClock) {
    let listener = Listener {
        broker,
        store,
        registry: Arc::clone(runtime.handle().registry()),
        clock,
    };
    let draining = runtime.draining();
    beside(runtime::kept(
        draining.clone(),
        "NATS listener",
        move || listener.clone().listen(draining.clone()),
    ));
}

/// Begins to connect to the broker; one that is away keeps no node from starting.
async fn connect_broker(settings: NatsSettings, node: &str) -> anyhow::Result<Broker> {
    Broker::connect(settings, &format!("robotd {node}"))
        .await
        .map_err(|error| anyhow::anyhow!("failed to {error}"))
}

/// The catalogue and the operator's own robots.
///
/// # Errors
/// A declaration that cannot be carried out, e.g. a CA file that cannot be read.
pub fn all_robots(config: &Config) -> anyhow::Result<Vec<Arc<dyn Robot>>> {
    let mut all = robots::catalog();
    all.extend(
        robots::custom::robots(&config.robots).context("failed to make the operator's robots")?,
    );
    Ok(all)
}

/// Opens the configured database and makes sure that this node's master key is the database's; a new
/// database takes this node's key.
///
/// # Errors
/// A database that cannot be reached or is newer than this program, a key that does not fit.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    prepare_data_dir(&config.data_dir)?;
    let store = Store::open(config.database.clone())
        .await
        .context("failed to open the database")?;
    master_key::make_sure(&config.data_dir, &store).await?;
    Ok(store)
}

/// Opens the vault's keys of a database that [`open_store`] has opened.
///
/// # Errors
/// A master key that cannot be read, data keys that were tampered with, a database that cannot be reached.
pub async fn open_safe(data_dir: &Path, store: &Store, clock: &dyn Clock) -> anyhow::Result<Safe> {
    let key = MasterKey::read(data_dir).context("failed to read the master key")?;
    Safe::open(store.clone(), &key, clock.now())
        .await
        .context("failed to open the vault's data keys")
}

/// Makes the data directory where it is missing, for its owner only.
///
/// # Errors
/// What the system refuses.
pub fn prepare_data_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("failed to create the data directory `{}`", path.display()))
}

/// The first token of a database that knows none; it is written to a file and never shown.
async fn first_token(
    data_dir: &Path,
    store: &Store,
    clock: &SharedClock,
) -> anyhow::Result<Option<PathBuf>> {
    if !store
        .token_list()
        .await
        .context("failed to read the tokens")?
        .is_empty()
    {
        return Ok(None);
    }
    let text = token_text(rand::random());
    let path = data_dir.join(ADMIN_TOKEN_FILE);
    // The file first: a token that nobody can read would lock everybody out.
    secret_file::replace(&path, &text).context("failed to write the first token")?;
    store
        .token_create("admin", Role::Admin, token_hash(&text), clock.now())
        .await
        .context("failed to keep the first token")?;
    Ok(Some(path))
}

/// Runs `work` inside an actix system, as [`serve`] needs it.
pub fn in_system<F: Future>(work: F) -> F::Output {
    actix_web::rt::System::new().block_on(work)
}

fn listen(
    listener: TcpListener,
    state: ApiState,
    panel: Panel,
) -> anyhow::Result<(SocketAddr, ServerHandle)> {
    let bound = listener
        .local_addr()
        .context("failed to read the address")?;
    let server = HttpServer::new(move || {
        App::new()
            .configure(|app| api::configure(app, state.clone()))
            .configure(|app| panel::configure(app, panel.clone()))
            .default_service(web::to(panel::not_found))
    })
    .workers(HTTP_WORKERS)
    .client_request_timeout(REQUEST_HEAD_LIMIT)
    .keep_alive(KEEP_ALIVE)
    .max_connections(CONNECTIONS_MAX)
    .shutdown_timeout(HTTP_SHUTDOWN_SECS)
    .disable_signals()
    .listen(listener)
    .context("failed to serve HTTP")?;
    let server = server.run();
    let handle = server.handle();
    beside(async move {
        if let Err(error) = server.await {
            log::error!("the HTTP server failed: {error}");
        }
    });
    Ok((bound, handle))
}

/// Runs what the system's own thread does beside waiting for signals.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition is what starts such work"
)]
fn beside(work: impl Future<Output = ()> + 'static) {
    actix_web::rt::spawn(work);
}

/// Waits for a signal, drains, and ends the runtime; a second signal cuts the drain short.
async fn wait_for_end(runtime: Runtime, drain_limit: Duration) -> anyhow::Result<Ending> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let fenced = runtime.fenced();
    tokio::select! {
        () = either(&mut terminate, &mut interrupt) => {}
        () = fenced.cancelled() => {
            runtime.stop();
            return Ok(Ending::Fenced);
        }
    }
    log::info!("draining for at most {drain_limit:?}; a second signal ends at once");
    let ending = tokio::select! {
        drained = runtime.drain(drain_limit) => {
            log::info!("drained; {} runs were interrupted", drained.interrupted);
            Ending::Drained
        }
        () = either(&mut terminate, &mut interrupt) => Ending::Hurried,
    };
    runtime.stop();
    Ok(ending)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
