//! What expires, and who was told of it.
//!
//! A notice is remembered in the transaction that queues its mail and publishes its event: after a crash nobody is told
//! twice and nobody is forgotten.

use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::event::NewEvent;
use super::mail::NewMail;
use super::task::bounded;
use super::{Store, StoreResult};

/// Most things of one page.
pub const EXPIRING_PAGE_MAX: usize = 500;
/// Most notices of one call: two pages of things, each told to fifty people and to programs.
pub const NOTICES_MAX: usize = 2 * EXPIRING_PAGE_MAX * 51;

/// The level of an end that has passed.
pub const PASSED: i64 = -1;

/// What can expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expirable {
    /// A credential that has an end, is enabled, and whose device is.
    Credential,
    /// A certificate.
    Certificate,
}

impl Expirable {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Credential, Self::Certificate];

    /// The number in the database (SMALLINT); never reused.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Credential => 0,
            Self::Certificate => 1,
        }
    }

    /// In events and texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Certificate => "certificate",
        }
    }
}

/// A thing that expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Its id.
    pub id: InventoryId,
    /// When its life began; none: nobody knows, as of an end that a person set.
    pub begins_at: Option<Timestamp>,
    /// When it ends; it has ended at that instant.
    pub ends_at: Timestamp,
    /// What people know it by.
    pub known_as: KnownAs,
    /// Who was told of this very end: the recipient, empty for programs, with the lowest level.
    pub told: Vec<(String, i64)>,
}

/// What people know a thing by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownAs {
    /// Of a credential.
    Account {
        /// The account.
        username: String,
        /// Its directory, where it has one.
        domain: Option<String>,
        /// The host name of its device.
        device: String,
    },
    /// Of a certificate.
    Subject {
        /// Its subject; empty where only its names say whose it is.
        subject: String,
        /// Its alternative names.
        names: Vec<String>,
        /// When the last of the inventory's certificates ends that may have issued it; none: none is there, or it
        /// issued itself.
        issuer_ends_at: Option<Timestamp>,
    },
}

impl Expiring {
    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(&self) -> Expirable {
        match self.known_as {
            KnownAs::Account { .. } => Expirable::Credential,
            KnownAs::Subject { .. } => Expirable::Certificate,
        }
    }
}

/// That a recipient is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Of which thing.
    pub object: InventoryId,
    /// At which level: days before the end, or [`PASSED`].
    pub level: i64,
    /// A mail address; empty: programs, by an event.
    pub recipient: String,
    /// Of which end.
    pub ends_at: Timestamp,
    /// What kind of thing it is, by its code.
    kind: i16,
}

impl Notice {
    /// Of `thing`, at `level`, to `recipient`.
    #[must_use]
    pub fn new(thing: &Expiring, level: i64, recipient: &str) -> Self {
        Self {
            object: thing.id,
            level,
            recipient: recipient.to_owned(),
            ends_at: thing.ends_at,
            kind: thing.kind().code(),
        }
    }

    /// The number of its thing's kind.
    pub(super) const fn kind(&self) -> i16 {
        self.kind
    }

    /// Whether programs hear by it that the end of a credential has passed: they hear that once, of whoever tells it first
    /// (`store::due`).
    pub(super) fn is_of_passed_credential(&self) -> bool {
        let passed = self.level == PASSED && self.recipient.is_empty();
        passed && self.kind == Expirable::Credential.code()
    }
}

impl Store {
    /// Things that end before `until`, by their end, at most `limit` and [`EXPIRING_PAGE_MAX`]; those behind `after`, the
    /// end and the id of the last page's last thing.
    pub async fn expiring_list(
        &self,
        kind: Expirable,
        until: Timestamp,
        after: Option<(Timestamp, InventoryId)>,
        limit: usize,
    ) -> StoreResult<Vec<Expiring>> {
        bounded("things of a page", limit, EXPIRING_PAGE_MAX)?;
        read!(self, expiration::list(kind, until, after, limit))
    }

    /// Remembers notices, queues mails and publishes events in one transaction. `Conflict`, and nothing is written, when
    /// one of the notices was given already: another run was faster.
    pub async fn expiration_tell(
        &self,
        mut notices: Vec<Notice>,
        mails: Vec<NewMail>,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> StoreResult<()> {
        bounded("notices", notices.len(), NOTICES_MAX)?;
        // In one order, so that two runs cannot wait for each other.
        notices.sort_unstable();
        let ids = self.publication_ids(&events, now).await?;
        let published = write!(self, expiration::tell(&notices, &mails, &events, &ids, now))?;
        self.tell_published(published);
        Ok(())
    }

    /// Forgets notices of ends that are no more: the thing was renewed, or is gone. At most `limit`; answers how many
    /// were forgotten.
    pub async fn expiration_forget(&self, limit: u32) -> StoreResult<usize> {
        write!(self, expiration::forget(limit))
    }
}
