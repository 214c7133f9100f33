//! PostgreSQL, spoken to without libpq: N threads, each with a connection of its own.

pub(in crate::store) mod connect;
pub(in crate::store) mod dialect;
mod key_survey;
mod line;
pub(in crate::store) mod membership;
pub(in crate::store) mod outside;
mod thread_runtime;
mod threads;
mod time;
mod tls;
pub(in crate::store) mod transfer;
pub(in crate::store) mod url;

#[path = "../queries/mod.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same queries for each back end's connection type"
)]
pub(in crate::store) mod queries;

use std::sync::Arc;

use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio::sync::mpsc;

use super::QueryResult;
use super::call::{CALLS_MAX, Extent, Job, job, submit};
use super::health::Health;
use super::migrate::Schema;
use crate::clock::ClockReading;
use crate::store::StoreResult;
use crate::store::upkeep::Reachability;

/// The connection the queries speak to.
pub(in crate::store) type Conn =
    AsyncConnectionWrapper<AsyncPgConnection, thread_runtime::ThreadRuntime>;

/// Every step of the schema, in order.
pub(in crate::store) const MIGRATIONS: EmbeddedMigrations =
    embed_migrations!("migrations/postgres");

/// Fewest and most connections of one node: writers must not starve readers, and a server has 100
/// by default for all its clients.
const CONNECTIONS: std::ops::RangeInclusive<u32> = 2..=100;

/// A database server: its threads, and perhaps the session that holds the lock.
#[derive(Debug)]
pub(in crate::store) struct Engine {
    target: Arc<connect::Target>,
    calls: mpsc::Sender<Job<Conn>>,
    looks: mpsc::Sender<Job<Conn>>,
    health: Arc<Health>,
    membership: tokio::sync::Mutex<Option<membership::Held>>,
    schema: Schema,
}

impl Engine {
    /// Connects, migrates and starts the threads. Blocks; must not run on a thread of a runtime.
    pub(in crate::store) fn open(url: &str, connections: u32) -> StoreResult<Self> {
        let target = Arc::new(connect::Target::new(url)?);
        let schema = connect::migrate(&target)?;
        let health = Arc::new(Health::default());
        let count = connections.clamp(*CONNECTIONS.start(), *CONNECTIONS.end());
        // Reports and look-ups keep a third of the connections, so that neither kind waits for the other.
        let readers = (count / 3).max(1);
        let shared = threads::Shared {
            target: Arc::clone(&target),
            health: Arc::clone(&health),
        };
        let (calls, writes) = mpsc::channel(CALLS_MAX);
        let (looks, reads) = mpsc::channel(CALLS_MAX);
        threads::start(
            "store-writer",
            count - readers,
            threads::Kind::Write,
            writes,
            &shared,
        )?;
        threads::start("store-reader", readers, threads::Kind::Read, reads, &shared)?;
        Ok(Self {
            target,
            calls,
            looks,
            health,
            membership: tokio::sync::Mutex::default(),
            schema,
        })
    }

    /// How the schema compares with the one this program knows.
    pub(in crate::store) const fn schema(&self) -> Schema {
        self.schema
    }

    /// Runs `work` in a transaction; repeats it after a deadlock.
    pub(in crate::store) async fn write<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        submit(&self.calls, work).await
    }

    /// Has `work` run in the next transaction without waiting for anything; `reply` is called with its end.
    /// False where too many calls wait: then neither will be called.
    pub(in crate::store) fn write_soon<T, E, F, R>(&self, extent: E, work: F, reply: R) -> bool
    where
        T: Send + 'static,
        E: FnMut() -> Extent + Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
        R: FnOnce(StoreResult<T>) + Send + 'static,
    {
        self.calls.try_send(job(extent, work, reply)).is_ok()
    }

    /// Runs `work` in a snapshot.
    pub(in crate::store) async fn read<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        submit(&self.looks, work).await
    }

    /// Takes the database's lock in a session that is kept until this engine is dropped.
    pub(in crate::store) async fn hold_exclusively(&self) -> StoreResult<()> {
        self.hold(membership::Purpose::Alone).await.map(drop)
    }

    /// Becomes one of the database's nodes, which hear each other; answers whether it is the only one so far. Then no
    /// other one comes before [`Engine::registered`].
    pub(in crate::store) async fn join(&self, talk: membership::Talk) -> StoreResult<bool> {
        self.hold(membership::Purpose::Member(talk)).await
    }

    async fn hold(&self, purpose: membership::Purpose) -> StoreResult<bool> {
        let mut held = self.membership.lock().await;
        if held.is_some() {
            return Ok(false);
        }
        let (target, health) = (Arc::clone(&self.target), Arc::clone(&self.health));
        let (taken, alone) = membership::hold(target, health, purpose).await?;
        *held = Some(taken);
        Ok(alone)
    }

    /// This node's row is there for others to see.
    pub(in crate::store) async fn registered(&self) {
        if let Some(held) = self.membership.lock().await.as_ref() {
            held.registered();
        }
    }

    /// The server's clock beside this machine's.
    pub(in crate::store) async fn clock_reading(&self) -> StoreResult<ClockReading> {
        self.read(time::reading).await
    }

    /// What the last statements met.
    pub(in crate::store) fn reachability(&self) -> Reachability {
        self.health.reachability()
    }
}
