//! Data keys of the vault, wrapped: the store cannot open them.

use crate::domain::sealed::KeyId;
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::signal::Signal;
use super::{Store, StoreResult};

/// A wrapped data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Its id; the highest seals.
    pub id: KeyId,
    /// The key, wrapped by the master key.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When all secrets lay under it; none: a rotation to it goes on, or was broken off.
    pub finished_at: Option<Timestamp>,
}

/// The data keys of a database, wrapped anew for another master key.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewrapping {
    /// The check value of the master key in force.
    pub from: String,
    /// That of the other one.
    pub to: String,
    /// All data keys as they were read, and as they are to be.
    pub keys: Vec<(WrappedKey, Vec<u8>)>,
    /// Its audit entry.
    pub audit: NewAudit,
}

/// What lies under a data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub id: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// See [`WrappedKey::finished_at`].
    pub finished_at: Option<Timestamp>,
    /// Secrets of credentials, private keys and files of imports that are sealed with it.
    pub seals: u64,
}

impl Store {
    /// All data keys with what lies under each, oldest first. Counts every seal.
    pub async fn vault_key_uses(&self) -> StoreResult<Vec<KeyUse>> {
        read!(self, vault_key::uses())
    }

    /// How many secrets of credentials and private keys lie under older keys than this.
    pub async fn vault_seals_before(&self, key: KeyId) -> StoreResult<u64> {
        read!(self, vault_key::seals_before(key))
    }

    /// Removes a data key for ever. `NotFound`; `Conflict` where it is the newest, a rotation goes on, or something lies
    /// under it.
    pub async fn vault_key_remove(&self, id: KeyId) -> StoreResult<()> {
        write!(self, vault_key::remove(id))
    }

    /// All data keys, oldest first.
    pub async fn vault_key_list(&self) -> StoreResult<Vec<WrappedKey>> {
        read!(self, vault_key::list())
    }

    /// Keeps a new data key, whose id must follow the newest one's, and which the master key with the check value
    /// `master` wraps. `Conflict` where somebody was faster, or the database's master key is another one by now.
    pub async fn vault_key_add(&self, key: WrappedKey, master: &str) -> StoreResult<()> {
        let master = master.to_owned();
        write!(self, vault_key::add(&key, &master))
    }

    /// Gives a database another master key: its check value, all data keys, and an audit entry at once. `Conflict` where
    /// the master key in force or a data key is not what was seen.
    pub async fn vault_rewrap(&self, rewrapping: Rewrapping, now: Timestamp) -> StoreResult<()> {
        write!(self, vault_key::rewrap(&rewrapping, now))?;
        self.tell(Signal::Syslog);
        Ok(())
    }

    /// Notes that all secrets lie under a key.
    pub async fn vault_key_finish(&self, id: KeyId, now: Timestamp) -> StoreResult<()> {
        write!(self, vault_key::finish(id, now))
    }
}
