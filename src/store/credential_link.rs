//! Credentials whose secrets are changed after another one's.
//!
//! Whoever changes a secret, robot or person, marks those that follow it as due in the same transaction. The executor orders
//! their operations and takes the marks away in one transaction too, so that each change is followed once.

use crate::domain::id::{InventoryId, OperationId};
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::event::NewEvent;
use super::operation::{NewOperation, OPERATIONS_MAX};
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Credentials that may stand above one, each above the next.
pub const ABOVE_MAX: u32 = 8;

/// Credentials that may name the same parent: as many operations as are ordered in one call.
pub const BELOW_MAX: i64 = 500;

/// A credential that is due because the one that it follows has another secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// Which.
    pub credential: InventoryId,
    /// Since when.
    pub due: Timestamp,
    /// Whether its secret is a key.
    pub is_key: bool,
    /// Whether robots may change it.
    pub fits: bool,
}

impl Store {
    /// Credentials that are due, the longest first, at most `limit`.
    pub async fn credential_followers(&self, limit: u32) -> StoreResult<Vec<Follower>> {
        read!(self, credential_link::due(limit))
    }

    /// Takes up to 500 followers for done and orders these operations of theirs, as [`Store::operation_order`] does. One that
    /// was marked anew since it was read stays due.
    pub async fn credential_follow(
        &self,
        followers: Vec<Follower>,
        (first, orders): (OperationId, Vec<NewOperation>),
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<Vec<OperationId>> {
        bounded("followers", followers.len(), OPERATIONS_MAX)?;
        bounded("operations", orders.len(), OPERATIONS_MAX)?;
        let ids = self.publication_ids(&events, now).await?;
        let (made, published) = write!(
            self,
            credential_link::follow(&followers, (first, &orders), &events, &ids, now)
        )?;
        self.tell(Signal::Syslog);
        self.tell(Signal::Inventory);
        self.tell_published(published);
        Ok(made)
    }
}
