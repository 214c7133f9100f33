//! Nodes: one row a start; its heartbeat is the lease of everything it has claimed.

use std::time::Duration;

use crate::clock::ClockReading;
use crate::domain::id::NodeId;
use crate::domain::time::Timestamp;

use super::backend::{Backend, read, write};
use super::signal::Signal;
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
    /// How it stands.
    pub state: NodeState,
    /// How far its machine's clock was ahead of the database's at its last heartbeat, in microseconds; negative where it
    /// was behind.
    pub clock_offset: i64,
    /// Within how long it takes others for dead; none: it is of a version that does not say so, or has just started.
    pub timeout: Option<Duration>,
}

/// Standing of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Its heartbeat is fresh.
    Alive,
    /// The same, but it starts nothing more and is about to end.
    Draining,
    /// It ended in order.
    Stopped,
    /// It was silent too long, or its place was taken; what it claimed is offered again.
    Dead,
}

/// What a node says of itself with each heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When, by the clock that all nodes compare.
    pub at: Timestamp,
    /// A node that was not heard of since before this is dead.
    pub silent_since: Timestamp,
    /// See [`Node::clock_offset`].
    pub clock_offset: i64,
}

/// What a node learns with each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The nodes that this heartbeat declared dead.
    pub dead: Vec<NodeId>,
    /// The nodes that live and are not about to end, in the order of their starts.
    pub alive: Vec<NodeId>,
    /// The term in which this node leads, where it does.
    pub term: Option<Term>,
    /// All robots' revisions together: another number than before says that a configuration was changed.
    pub revisions: i64,
}

/// Counts how often the leadership changed. A decision is written only while its term lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(pub i64);

impl Store {
    /// Registers a start and declares every other living node dead **when this process is known to be alone** on the
    /// database (see `Store::hold_exclusively` and `Store::join`).
    pub async fn node_start(
        &self,
        name: &str,
        version: &str,
        pid: i32,
        now: Timestamp,
    ) -> StoreResult<NodeId> {
        let (name, version, alone) = (name.to_owned(), version.to_owned(), self.is_alone());
        let id = write!(self, node::start(&name, &version, pid, alone, now))?;
        if let Backend::Postgres(engine) = self.backend_ref() {
            engine.registered().await;
        }
        self.tell(Signal::Nodes);
        Ok(id)
    }

    /// Notes within how long a node takes others for dead, for people to compare.
    pub async fn node_timeout_note(&self, id: NodeId, timeout: Duration) -> StoreResult<()> {
        write!(self, node::note_timeout(id, timeout))
    }

    /// Renews the lease and the leadership, or takes it where nobody living has it, and declares others dead that were
    /// silent for too long. None: the node was declared dead itself and must not record anything any more.
    pub async fn node_beat(&self, id: NodeId, beat: Beat) -> StoreResult<Option<Heard>> {
        let heard = write!(self, node::beat(id, beat))?;
        if heard.as_ref().is_some_and(|heard| !heard.dead.is_empty()) {
            self.tell(Signal::Nodes);
        }
        Ok(heard)
    }

    /// Says that the node starts nothing more: others take over what it leads and holds.
    pub async fn node_drain(&self, id: NodeId) -> StoreResult<()> {
        write!(self, node::drain(id))?;
        self.tell(Signal::Nodes);
        Ok(())
    }

    /// Ends in order.
    pub async fn node_stop(&self, id: NodeId, now: Timestamp) -> StoreResult<()> {
        write!(self, node::stop(id, now))?;
        self.tell(Signal::Nodes);
        Ok(())
    }

    /// All nodes, newest first, at most 500.
    pub async fn node_list(&self) -> StoreResult<Vec<Node>> {
        read!(self, node::list())
    }

    /// The server's clock beside this machine's; none on SQLite, where there is one clock only.
    pub async fn clock_reading(&self) -> StoreResult<Option<ClockReading>> {
        match self.backend_ref() {
            Backend::Sqlite(_) => Ok(None),
            Backend::Postgres(engine) => engine.clock_reading().await.map(Some),
        }
    }
}
