//! What the last statements met, shared by an engine's threads.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::upkeep::Reachability;
use crate::store::{StoreError, StoreResult};

/// Whether the database answers, and whether this process still holds it alone where it must.
#[derive(Debug, Default)]
pub(super) struct Health {
    unreachable: AtomicBool,
    displaced: AtomicBool,
}

impl Health {
    /// Takes note of how a statement went. A refused statement is an answer too.
    pub(super) fn note<T>(&self, result: &StoreResult<T>) {
        let unreachable = matches!(
            result,
            Err(StoreError::Unavailable(_) | StoreError::Other(_))
        );
        // Relaxed: a lone flag that orders nothing.
        if self.unreachable.swap(unreachable, Ordering::Relaxed) != unreachable {
            match result {
                Err(error) => log::error!("{error}"),
                Ok(_) => log::info!("the database answers again"),
            }
        }
    }

    /// Takes note of whether another process holds the database that this one must hold alone.
    pub(super) fn set_displaced(&self, displaced: bool) {
        self.displaced.store(displaced, Ordering::Relaxed);
    }

    /// What the last statements met.
    pub(super) fn reachability(&self) -> Reachability {
        if self.unreachable.load(Ordering::Relaxed) || self.displaced.load(Ordering::Relaxed) {
            Reachability::Unreachable
        } else {
            Reachability::Reachable
        }
    }
}
