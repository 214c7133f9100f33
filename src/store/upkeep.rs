//! Pruning, the key check, and being the only node.

use std::time::Duration;

use crate::domain::time::Timestamp;

use super::backend::{Backend, read, write};
use super::{Store, StoreResult};

/// How long finished things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished tasks with their keys, their processes and logs; operations, issues of certificates and publications that ended; imports, with
    /// files that nobody took in hand.
    pub tasks: Duration,
    /// Events (and with them the memory of duplicates).
    pub events: Duration,
    /// Ticks.
    pub ticks: Duration,
    /// Who viewed which secret.
    pub views: Duration,
}

/// Is the database what it should be?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// The last statement succeeded.
    Reachable,
    /// It cannot be reached; the store tries again by itself.
    Unreachable,
}

impl Store {
    /// Removes what is older than its retention, at most `limit` rows of each kind; answers how many went.
    pub async fn prune(
        &self,
        retention: Retention,
        limit: u32,
        now: Timestamp,
    ) -> StoreResult<u64> {
        write!(self, upkeep::prune(retention, limit, now))
    }

    /// The check value of the master key in this database; `None` on a new one.
    pub async fn key_check_get(&self) -> StoreResult<Option<String>> {
        read!(self, upkeep::key_check())
    }

    /// Keeps the check value; `Conflict` when there is another one already.
    pub async fn key_check_set(&self, check: &str) -> StoreResult<()> {
        let check = check.to_owned();
        write!(self, upkeep::set_key_check(&check))
    }

    /// A cheap statement that must succeed for the node to be ready.
    pub async fn ping(&self) -> StoreResult<()> {
        write!(self, upkeep::ping())
    }

    /// What the last statements met.
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        match self.backend_ref() {
            Backend::Sqlite(engine) => engine.reachability(),
            Backend::Postgres(engine) => engine.reachability(),
        }
    }
}
