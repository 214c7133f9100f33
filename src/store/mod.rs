//! The database: the only place that knows diesel.
//!
//! Methods of [`Store`] are named noun first (`task_claim`, `robot_list`). Each is one transaction.
//! Two back ends behave alike: SQLite (one writer thread with group commit, readers apart) and
//! PostgreSQL (without libpq). Rows come out as values of `domain` or of the noun's file here.

pub mod alert;
pub mod audit;
mod backend;
pub mod bench;
pub mod certificate;
pub mod certificate_decision;
pub mod change_report;
pub mod connectivity;
pub mod credential_link;
pub mod credential_view;
mod datum;
pub mod due;
pub mod error;
pub mod event;
pub mod execution;
pub mod expiration;
mod id;
pub mod import;
pub mod inventory;
pub mod mail;
pub mod node;
mod note;
pub mod operation;
pub mod operation_wait;
pub mod outbox;
pub mod page;
pub mod private_key;
pub mod process;
pub mod reconciliation;
pub mod report;
pub mod robot;
pub mod sample;
mod schema;
pub mod secret;
pub mod share;
pub mod sign_in;
pub mod signal;
pub mod task;
pub mod task_approval;
pub mod task_definition;
pub mod tick;
pub mod token;
pub mod transfer;
pub mod upkeep;
pub mod vault_key;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{broadcast, mpsc, oneshot};

use backend::{Backend, postgres, sqlite};
pub use error::{StoreError, StoreResult};
use note::Reach;
use signal::Signal;

/// Which database, and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A file.
    Sqlite {
        /// Path of the database file; its folder exists.
        path: PathBuf,
    },
    /// A server.
    Postgres {
        /// `postgres://user:password@host:port,host:port/database?sslmode=…&sslrootcert=…&target_session_attrs=read-write`;
        /// `sslmode` is one of disable, prefer, require, verify-full (libpq's words); an unknown one is refused. The first
        /// of the hosts that takes changes is used.
        url: String,
        /// Connections, 2..=100.
        connections: u32,
    },
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => f.debug_struct("Sqlite").field("path", path).finish(),
            // The URL holds a password.
            Self::Postgres { connections, .. } => f
                .debug_struct("Postgres")
                .field("connections", connections)
                .finish_non_exhaustive(),
        }
    }
}

/// The database. Cheap to clone; all clones share connections and signals.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    backend: Backend,
    ids: id::Ids,
    signals: broadcast::Sender<Signal>,
    changes: broadcast::Sender<Signal>,
    orders: task::Orders,
    floors: task::Floors,
    dispatch: task::Dispatch,
    /// Whether nobody else works on the database when this process starts.
    alone: AtomicBool,
    /// The way to the other nodes, where there can be any.
    others: OnceLock<mpsc::Sender<Signal>>,
    /// Whether others are known to live.
    peers: AtomicBool,
    /// Whether the others are to be told that tasks and processes changed here.
    stirred: Arc<AtomicBool>,
    keeps_changes: AtomicBool,
}

impl Store {
    /// Connects, refuses a schema newer than this program knows, and brings an older one up to date.
    pub async fn open(config: StoreConfig) -> StoreResult<Self> {
        // A thread of its own, not one of the caller's runtime: opening blocks, and PostgreSQL's
        // connection brings its own runtime.
        let (reply, answer) = oneshot::channel();
        let work = move || {
            let backend = match config {
                StoreConfig::Sqlite { path } => sqlite::Engine::open(&path).map(Backend::Sqlite),
                StoreConfig::Postgres { url, connections } => {
                    postgres::Engine::open(&url, connections).map(Backend::Postgres)
                }
            };
            if reply.send(backend).is_err() {
                log::debug!("nobody waits for the database any more");
            }
        };
        std::thread::Builder::new()
            .name("store-open".to_owned())
            .spawn(work)
            .map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))?;
        let backend = answer
            .await
            .map_err(|_| StoreError::Other("opening it panicked".to_owned()))??;
        let (signals, _) = broadcast::channel(signal::SIGNALS_MAX);
        let (changes, _) = broadcast::channel(signal::SIGNALS_MAX);
        let inner = Inner {
            backend,
            ids: id::Ids::default(),
            signals,
            changes,
            orders: task::Orders::default(),
            floors: task::Floors::default(),
            dispatch: task::Dispatch::default(),
            alone: AtomicBool::new(false),
            others: OnceLock::new(),
            peers: AtomicBool::new(false),
            stirred: Arc::default(),
            keeps_changes: AtomicBool::new(false),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Keeps all other processes from working on the database until this one ends: a lock on the file beside the SQLite
    /// database, a session's advisory lock on PostgreSQL. `Conflict` when another process works on it.
    pub async fn hold_exclusively(&self) -> StoreResult<()> {
        match &self.inner.backend {
            Backend::Sqlite(engine) => engine.hold_exclusively(),
            Backend::Postgres(engine) => engine.hold_exclusively().await,
        }?;
        self.inner.alone.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Makes this process a node of the database until it ends: the only one on SQLite; on PostgreSQL one of several,
    /// which hear each other's signals. Where it finds itself alone, no other one comes before [`Store::node_start`].
    /// `Conflict` when another process has the database for itself.
    pub async fn join(&self) -> StoreResult<()> {
        let Backend::Postgres(engine) = &self.inner.backend else {
            return self.hold_exclusively().await;
        };
        let (signals, changes) = (self.inner.signals.clone(), self.inner.changes.clone());
        let deliver = move |signal: Signal| {
            let to = if signal.is_change() {
                &changes
            } else {
                &signals
            };
            drop(to.send(signal));
        };
        let (others, told) = mpsc::channel(postgres::membership::WAITING_MAX);
        let talk = postgres::membership::Talk {
            deliver: Box::new(deliver),
            told,
            stirred: Arc::clone(&self.inner.stirred),
        };
        let alone = engine.join(talk).await?;
        self.inner.alone.store(alone, Ordering::SeqCst);
        // Refused where it had joined before.
        drop(self.inner.others.set(others));
        Ok(())
    }

    /// Whether other nodes may work on the database beside this one.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.others.get().is_some()
    }

    /// Whether other nodes are known to live: only then are they told of each thing to do, and claims take care not to
    /// meet theirs. A node that starts looks by itself.
    pub fn set_peers(&self, peers: bool) {
        self.inner.peers.store(peers, Ordering::Relaxed);
    }

    fn has_peers(&self) -> bool {
        self.inner.peers.load(Ordering::Relaxed)
    }

    /// What there is to do from now on: tasks that are ready or due, messages for the collector. Whoever works on
    /// them is not made to look again by a flood of what became of them.
    #[must_use]
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.inner.signals.subscribe()
    }

    /// What becomes of tasks, processes and robots from now on: whoever tells people of that is not woken for work
    /// that is only due.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Signal> {
        self.inner.changes.subscribe()
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        match &self.inner.backend {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgres",
        }
    }

    /// The engine, for the macros `read!` and `write!`.
    fn backend_ref(&self) -> &Backend {
        &self.inner.backend
    }

    /// The ids reserved.
    fn ids_ref(&self) -> &id::Ids {
        &self.inner.ids
    }

    /// Where claims may begin.
    fn floors(&self) -> &task::Floors {
        &self.inner.floors
    }

    /// Orders that wait for the next commit.
    fn orders(&self) -> &task::Orders {
        &self.inner.orders
    }

    /// Who starts what is registered.
    fn dispatch(&self) -> &task::Dispatch {
        &self.inner.dispatch
    }

    /// Whether nobody else worked on the database when this process began to.
    pub fn is_alone(&self) -> bool {
        self.inner.alone.load(Ordering::SeqCst)
    }

    /// Tells what was committed to whoever listens, here and on other nodes.
    fn tell(&self, signal: Signal) {
        if let Some(others) = self.inner.others.get() {
            self.tell_others(others, &signal);
        }
        self.tell_here(signal);
    }

    /// What is refused because too many wait is lost; the others look by themselves.
    fn tell_others(&self, others: &mpsc::Sender<Signal>, signal: &Signal) {
        let stirred = &self.inner.stirred;
        match signal.reach() {
            Reach::All => drop(others.try_send(signal.clone())),
            Reach::Peers if self.has_peers() => drop(others.try_send(signal.clone())),
            // Once until it is told.
            Reach::Digest if self.has_peers() && !stirred.load(Ordering::Relaxed) => {
                stirred.store(true, Ordering::Relaxed);
                if others.try_send(Signal::Elsewhere).is_err() {
                    stirred.store(false, Ordering::Relaxed);
                }
            }
            Reach::Peers | Reach::Digest | Reach::Here => {}
        }
    }

    fn tell_here(&self, signal: Signal) {
        let to = if signal.is_change() {
            &self.inner.changes
        } else {
            &self.inner.signals
        };
        // An error only says that nobody listens.
        drop(to.send(signal));
    }
}
