//! Sealed private keys, of issuers and of the certificates of automations.

use crate::domain::id::InventoryId;
use crate::domain::sealed::{KeyId, Place, Sealed};
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::secret::{RESEAL_ROWS_MAX, SecretKept};
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Whose a private key is. It goes with its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// An authority's, or that of an account at one.
    Issuer(InventoryId),
    /// A certificate's.
    Automation(InventoryId),
}

impl KeyOwner {
    /// The id of the owner.
    #[must_use]
    pub const fn id(self) -> InventoryId {
        match self {
            Self::Issuer(id) | Self::Automation(id) => id,
        }
    }
}

/// A kept private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateKey {
    /// Its id, from [`Store::inventory_ids`].
    pub id: i64,
    /// Whose it is.
    pub owner: KeyOwner,
    /// The key as PEM, sealed for this row.
    pub sealed: Sealed,
}

impl PrivateKey {
    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of_private_key(self.id, self.owner.id())
    }
}

/// The key of an issuer, about to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuerKey {
    /// The key; its owner is the issuer.
    pub key: PrivateKey,
    /// An authority's own certificate with its end.
    pub certificate: Option<(String, Timestamp)>,
    /// Written in the same transaction.
    pub audit: NewAudit,
}

impl Store {
    /// Keeps the key of an issuer that has none. `NotFound`; `Conflict` where it has one.
    pub async fn issuer_key_keep(&self, new: IssuerKey, now: Timestamp) -> StoreResult<SecretKept> {
        let kept = write!(self, private_key::keep_issuer(&new, now))?;
        self.tell(Signal::Syslog);
        Ok(kept)
    }

    /// The key of an issuer.
    pub async fn issuer_key(&self, issuer: InventoryId) -> StoreResult<Option<PrivateKey>> {
        read!(self, private_key::of_issuer(issuer))
    }

    /// One key. `NotFound`.
    pub async fn private_key_get(&self, id: i64) -> StoreResult<PrivateKey> {
        read!(self, private_key::get(id))
    }

    /// Keys that lie under an older data key than `key`, from behind the id `after` on, at most `limit`.
    pub async fn private_key_under_older(
        &self,
        key: KeyId,
        after: i64,
        limit: u32,
    ) -> StoreResult<Vec<PrivateKey>> {
        read!(self, private_key::under_older(key, after, limit))
    }

    /// Replaces seals, each where it still lies under the data key it was opened with. Answers how many were.
    pub async fn private_key_reseal(&self, anew: Vec<(PrivateKey, Sealed)>) -> StoreResult<u64> {
        bounded("private keys", anew.len(), RESEAL_ROWS_MAX)?;
        write!(self, private_key::reseal(&anew))
    }
}
