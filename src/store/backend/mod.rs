//! The two engines, and what both have in common: how a call reaches a thread that owns a connection.
//!
//! Every query is written once, as a synchronous function in `queries`, and compiled for each
//! engine's connection type: `sqlite::queries` and `postgres::queries` are the same files. What
//! differs in SQL stands in each engine's `dialect`.

pub(in crate::store) mod call;
pub(super) mod error;
pub(super) mod health;
pub(super) mod migrate;
pub(super) mod postgres;
pub(super) mod sqlite;

use super::{StoreError, StoreResult};
pub(super) use error::{QueryError, QueryResult};
use migrate::Schema;

/// The engine in use.
#[derive(Debug)]
pub(super) enum Backend {
    /// The embedded database.
    Sqlite(sqlite::Engine),
    /// A server.
    Postgres(postgres::Engine),
}

impl Backend {
    /// Refuses a schema that a newer program has added to, for work that must see all of it.
    pub(super) fn knows_all(&self) -> StoreResult<()> {
        let schema = match self {
            Self::Sqlite(engine) => engine.schema(),
            Self::Postgres(engine) => engine.schema(),
        };
        match schema {
            Schema::Known => Ok(()),
            Schema::Newer => Err(StoreError::Conflict {
                what: "a newer robotd has added to this database: use that one".to_owned(),
            }),
        }
    }
}

/// Runs `queries::$noun::$query(conn, $args…)` of the engine in use, in one read-only snapshot.
///
/// Arguments are evaluated inside the closure that travels to the thread, which therefore owns what
/// they name: write `&filter`, not `filter`.
macro_rules! read {
    ($store:expr, $noun:ident :: $query:ident ( $($arg:expr),* $(,)? )) => {
        match $store.backend_ref() {
            $crate::store::backend::Backend::Sqlite(engine) => engine
                .read(move |conn| $crate::store::backend::sqlite::queries::$noun::$query(conn, $($arg),*))
                .await,
            $crate::store::backend::Backend::Postgres(engine) => engine
                .read(move |conn| $crate::store::backend::postgres::queries::$noun::$query(conn, $($arg),*))
                .await,
        }
    };
}

/// Runs `queries::$noun::$query(conn, $args…)` of the engine in use, in one write transaction.
///
/// As in [`read!`]; the closure may be run more than once (PostgreSQL repeats after a deadlock), so
/// that arguments are borrowed.
macro_rules! write {
    ($store:expr, $noun:ident :: $query:ident ( $($arg:expr),* $(,)? )) => {
        match $store.backend_ref() {
            $crate::store::backend::Backend::Sqlite(engine) => engine
                .write(move |conn| $crate::store::backend::sqlite::queries::$noun::$query(conn, $($arg),*))
                .await,
            $crate::store::backend::Backend::Postgres(engine) => engine
                .write(move |conn| $crate::store::backend::postgres::queries::$noun::$query(conn, $($arg),*))
                .await,
        }
    };
}

pub(super) use {read, write};
