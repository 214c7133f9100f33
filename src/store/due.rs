//! Credentials whose accounts are due for an operation, and what is told of a secret that has come to its end.
//!
//! An end is told of once: the credential remembers it in the transaction that publishes the event.

use std::time::Duration;

use crate::domain::id::InventoryId;
use crate::domain::operation::ChangeCause;
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::NewEvent;
use super::operation::OPERATIONS_MAX;
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Which credentials' secrets are at their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// Now.
    pub at: Timestamp,
    /// Accounts whose last change failed after this are left alone.
    pub failed_before: Timestamp,
    /// How long before its policy's `max_age` a password's time is over, in whole seconds; at most half of that age counts, or a
    /// password that was changed would be at its end again.
    pub head_start: Duration,
    /// Only on devices in the sites of these names; none: wherever they stand.
    pub sites: Vec<String>,
}

/// A credential whose password is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub credential: InventoryId,
    /// Why.
    pub cause: ChangeCause,
    /// Changes that failed, by no fault of the network, since the secret, the credential, its device or its policy was changed.
    pub failures: u32,
}

/// A credential whose secret has come to an end that nobody was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Which.
    pub credential: InventoryId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why.
    pub cause: ChangeCause,
    /// Whether robots change it.
    pub changed_by_robots: bool,
}

/// What a credential is to remember, and whom that is told to.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Which credential.
    pub credential: InventoryId,
    /// The instant it remembers, where that is later than what it remembers already.
    pub at: Timestamp,
    /// Published with it.
    pub event: NewEvent,
    /// Its audit entry.
    pub audit: Option<NewAudit>,
}

impl Store {
    /// Credentials whose password robots change and whose time is over, without an open change, at most `limit`: those under the
    /// policy of the highest priority first, then those longest over. Of several registrations of a domain's account one is answered.
    ///
    /// A password's time is over at `expires_at`, at its policy's `max_age`, `expires_after_view` after somebody first saw it, or
    /// `expires_after_use` after a session used it; one that was changed since is a new one. Left alone is one that somebody saw less
    /// than `wait_after_view` ago, until its time has been over for as long; and one that [`Store::credential_change_stop`] stopped
    /// and that, with its device and policy, is as it was then.
    pub async fn credential_due(&self, expiry: Expiry, limit: u32) -> StoreResult<Vec<Due>> {
        read!(self, due::due(&expiry, limit))
    }

    /// Enabled credentials of enabled devices whose secret has come to an end since the last one that was told of, at most `limit`.
    pub async fn credential_expired(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Expired>> {
        read!(self, due::expired(now, limit))
    }

    /// Tells of ends, at most 500, each once; answers of how many nobody had told.
    pub async fn credential_expiry_tell(
        &self,
        marks: Vec<Mark>,
        now: Timestamp,
    ) -> StoreResult<usize> {
        bounded("credentials", marks.len(), OPERATIONS_MAX)?;
        let events: Vec<NewEvent> = marks.iter().map(|mark| mark.event.clone()).collect();
        let ids = self.publication_ids(&events, now).await?;
        let (told, published) = write!(self, due::tell(&marks, &ids, now))?;
        self.tell(Signal::Syslog);
        self.tell_published(published);
        Ok(told)
    }

    /// Stops that changes are ordered for credentials, at most 500; answers for how many that is news.
    pub async fn credential_change_stop(
        &self,
        marks: Vec<Mark>,
        now: Timestamp,
    ) -> StoreResult<usize> {
        bounded("credentials", marks.len(), OPERATIONS_MAX)?;
        let events: Vec<NewEvent> = marks.iter().map(|mark| mark.event.clone()).collect();
        let ids = self.publication_ids(&events, now).await?;
        let (stopped, published) = write!(self, due::stop(&marks, &ids, now))?;
        self.tell(Signal::Inventory);
        self.tell(Signal::Syslog);
        self.tell_published(published);
        Ok(stopped)
    }
}
