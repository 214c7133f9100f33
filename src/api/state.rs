//! What every handler may use.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::activity::ActivityCache;
use super::auth::TokenCache;
use super::error::ApiError;
use super::metrics::Metrics;
use crate::clock::SharedClock;
use crate::domain::id::RobotId;
use crate::domain::time::Timestamp;
use crate::robot::inventory::Inventory;
use crate::robot::registry::Registry;
use crate::robot::safe::Safe;
use crate::runtime::Handle;
use crate::store::Store;

/// Open `/stream`s of one node: each holds a socket and a place among the listeners of the store.
pub const STREAMS_MAX: usize = 256;

/// Files that are taken at once: each is in memory whole until it is sealed.
const UPLOADS_MAX: usize = 4;

/// The node as its HTTP API sees it. Cheap to clone; clones share counters and caches.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// The database.
    pub store: Store,
    /// The runtime.
    pub handle: Handle,
    /// The vault's keys.
    pub safe: Safe,
    /// The inventory, with its secrets.
    pub inventory: Inventory,
    /// The time of day.
    pub clock: SharedClock,
    /// Fires when the node ends; open streams end with it.
    pub shutdown: CancellationToken,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    pub(super) tokens: Arc<TokenCache>,
    pub(super) activity: Arc<ActivityCache>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) uploads: Arc<Semaphore>,
}

impl ApiState {
    /// The state shared by all workers of a node's HTTP server.
    #[must_use]
    pub fn new(
        store: Store,
        safe: Safe,
        handle: Handle,
        clock: SharedClock,
        shutdown: CancellationToken,
    ) -> Self {
        let inventory = Inventory::new(store.clone(), safe.clone(), Arc::clone(handle.registry()));
        Self {
            store,
            handle,
            safe,
            inventory,
            clock,
            shutdown,
            metrics: Arc::new(Metrics::new()),
            tokens: Arc::default(),
            activity: Arc::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// All robots.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.handle.registry()
    }

    /// The name of `id`, as [`ApiState::names`] would answer it.
    pub(super) async fn name(&self, id: RobotId) -> Result<String, ApiError> {
        match self.registry().by_id(id) {
            Some(entry) => Ok(entry.name().to_owned()),
            None => Ok(self.names([id]).await?.of(id)),
        }
    }

    /// Names of `ids`, those of robots that are no longer declared included.
    pub(super) async fn names(
        &self,
        ids: impl IntoIterator<Item = RobotId>,
    ) -> Result<RobotNames, ApiError> {
        let mut names = HashMap::new();
        let mut vanished = BTreeSet::new();
        for id in ids {
            match self.registry().by_id(id) {
                Some(entry) => {
                    names.insert(id, entry.name().to_owned());
                }
                None => {
                    vanished.insert(id);
                }
            }
        }
        if !vanished.is_empty() {
            let rows = self.store.robot_list().await?;
            names.extend(rows.into_iter().map(|row| (row.id, row.name)));
        }
        Ok(RobotNames(names))
    }
}

/// Robots' names by id, for the views.
#[derive(Debug)]
pub(super) struct RobotNames(HashMap<RobotId, String>);

impl RobotNames {
    /// The name of `id`; a robot without even a row is shown by its number.
    pub(super) fn of(&self, id: RobotId) -> String {
        self.0
            .get(&id)
            .cloned()
            .unwrap_or_else(|| format!("removed.{id}"))
    }
}
