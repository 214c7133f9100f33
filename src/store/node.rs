//! Nodes: one row a start; its heartbeat is the lease of everything it has claimed.

use crate::domain::id::NodeId;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::{Store, StoreResult};

/// A start of robotd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The name given, or the host's.
    pub name: String,
    /// Program version.
    pub version: String,
    /// Process id on its host.
    pub pid: i32,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub heartbeat_at: Timestamp,
    /// Whether it runs, ended in order, or is declared dead.
    pub state: NodeState,
}

/// Standing of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Its heartbeat is fresh.
    Alive,
    /// It ended in order.
    Stopped,
    /// It was silent too long, or its place was taken; what it claimed is offered again.
    Dead,
}

impl NodeState {
    /// The number in the database (SMALLINT); never reused.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Alive => 0,
            Self::Stopped => 1,
            Self::Dead => 2,
        }
    }
}

impl Store {
    /// Registers a start and declares every other alive node dead **when this process holds the database
    /// alone** (see `Store::hold_exclusively`).
    pub async fn node_start(
        &self,
        name: &str,
        version: &str,
        pid: i32,
        now: Timestamp,
    ) -> StoreResult<NodeId> {
        let (name, version, alone) = (name.to_owned(), version.to_owned(), self.is_exclusive());
        write!(self, node::start(&name, &version, pid, alone, now))
    }

    /// Renews the lease, and declares others dead that were silent since before `silent_since`; answers which.
    /// None: the node was declared dead itself and must not record anything any more.
    pub async fn node_beat(
        &self,
        id: NodeId,
        now: Timestamp,
        silent_since: Timestamp,
    ) -> StoreResult<Option<Vec<NodeId>>> {
        write!(self, node::beat(id, now, silent_since))
    }

    /// Ends in order.
    pub async fn node_stop(&self, id: NodeId, now: Timestamp) -> StoreResult<()> {
        write!(self, node::stop(id, now))
    }

    /// All nodes, newest first, at most 500.
    pub async fn node_list(&self) -> StoreResult<Vec<Node>> {
        read!(self, node::list())
    }
}
