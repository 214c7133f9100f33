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
pub mod change_report;
pub mod connectivity;
mod datum;
pub mod error;
pub mod event;
pub mod execution;
pub mod expiration;
mod id;
pub mod import;
pub mod inventory;
pub mod mail;
pub mod node;
pub mod operation;
pub mod outbox;
pub mod page;
pub mod private_key;
pub mod process;
pub mod report;
pub mod robot;
pub mod sample;
mod schema;
pub mod secret;
pub mod sign_in;
pub mod signal;
pub mod task;
pub mod tick;
pub mod token;
pub mod transfer;
pub mod upkeep;
pub mod vault_key;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{broadcast, oneshot};

use backend::{Backend, postgres, sqlite};
pub use error::{StoreError, StoreResult};
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
        /// `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`; `sslmode` is one of
        /// disable, prefer, require, verify-full (libpq's words); an unknown one is refused.
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
    exclusive: AtomicBool,
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
            exclusive: AtomicBool::new(false),
            keeps_changes: AtomicBool::new(false),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Makes this process the only node of the database until it ends: a lock on the file beside the SQLite
    /// database, a session's advisory lock on PostgreSQL. `Conflict` when another process holds it.
    pub async fn hold_exclusively(&self) -> StoreResult<()> {
        match &self.inner.backend {
            Backend::Sqlite(engine) => engine.hold_exclusively(),
            Backend::Postgres(engine) => engine.hold_exclusively().await,
        }?;
        self.inner.exclusive.store(true, Ordering::SeqCst);
        Ok(())
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

    /// Whether this process holds the database alone.
    fn is_exclusive(&self) -> bool {
        self.inner.exclusive.load(Ordering::SeqCst)
    }

    /// Tells what was committed to whoever listens.
    fn tell(&self, signal: Signal) {
        let to = if signal.is_change() {
            &self.inner.changes
        } else {
            &self.inner.signals
        };
        // An error only says that nobody listens.
        drop(to.send(signal));
    }
}
