//! Shares: how many of a robot's instances each node may run. See `domain::share`.

use crate::domain::id::{NodeId, RobotId};

use super::backend::write;
use super::robot::ROBOTS_MAX;
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// What a node says of one robot when it asks for its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareClaim {
    /// Which.
    pub robot: RobotId,
    /// Its configuration as this node knows it: where it was changed since, the node gets no more than it has.
    pub revision: i64,
    /// The robot's instances in the whole cluster.
    pub instances: u32,
    /// The slots that the node cannot give back, because something runs in them; it starts nothing that would need more.
    pub busy: u32,
}

/// What a node may run of a robot from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub robot: RobotId,
    /// Runs at once on this node.
    pub slots: u32,
    /// What it would be if nothing stood against it.
    pub target: u32,
    /// Whether the robot's configuration was changed since the node learned it.
    pub stale: bool,
}

impl Store {
    /// Says that instances may have become free: those of a node whose runs were dealt with.
    pub fn share_freed(&self) {
        self.tell(Signal::Shares);
    }

    /// Exchanges what `node` has of each robot for what is its due, as far as others have left it: the slots of all nodes
    /// together never become more than the robot's instances. Slots of nodes that are gone are free once nothing of what
    /// they ran is left. None where the node is not alive.
    ///
    /// After an error the node may have been given more than it knows of, and never less.
    pub async fn share_exchange(
        &self,
        node: NodeId,
        claims: Vec<ShareClaim>,
    ) -> StoreResult<Option<Vec<Share>>> {
        bounded("robots", claims.len(), ROBOTS_MAX)?;
        let exchanged = write!(self, share::exchange(node, &claims))?;
        let Some((shares, given_back)) = exchanged else {
            return Ok(None);
        };
        if given_back {
            self.tell(Signal::Shares);
        }
        Ok(Some(shares))
    }
}
