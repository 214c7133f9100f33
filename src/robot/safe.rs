//! The vault's keys together with the database that keeps them: what seals, opens, and changes the data key.
//!
//! The vault knows no table and the store no key; here they meet. Each node keeps the opened data keys in memory. Another
//! node, or `robotd vault rotate-key` beside it, may make a new one at any time: a seal under a key that is not the newest
//! is refused by the store and made anew, and a seal under an unknown key makes the keys be read again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::domain::id::ImportId;
use crate::domain::sealed::{KeyId, Place, Sealed};
use crate::domain::time::Timestamp;
use crate::store::vault_key::WrappedKey;
use crate::store::{Store, StoreError};
use crate::vault::{KeyRing, MasterKey, SealError, Wrapping};

mod master_key;
mod rotation;

pub use rotation::{Resealing, Rotation};

/// Sealing and opening for one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Safe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    wrapping: Wrapping,
    /// The check value of the master key.
    master: String,
    ring: RwLock<Arc<KeyRing>>,
    /// See [`Safe::seals_left`].
    left: AtomicU64,
}

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SafeError {
    /// It cannot be trusted, or its key cannot.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Safe {
    /// Opens the data keys of a database; the first one is made where there is none.
    ///
    /// # Errors
    /// [`SealError::Broken`] where a data key was tampered with or belongs to another master key; the store's errors.
    pub async fn open(store: Store, master: &MasterKey, now: Timestamp) -> Result<Self, SafeError> {
        let safe = Self(Arc::new(Inner {
            store,
            wrapping: Wrapping::of(master),
            master: master.check_value(),
            ring: RwLock::new(Arc::new(Wrapping::of(master).ring([])?)),
            left: AtomicU64::new(0),
        }));
        safe.refresh().await?;
        if safe.ring().newest().is_none() {
            safe.make(KeyId(1), now, Some(now)).await?;
        }
        Ok(safe)
    }

    /// Seals a secret for a place with the newest key that is known here.
    ///
    /// # Errors
    /// None that lasts: a safe that is open has a key.
    pub fn seal(&self, place: &Place, secret: &SecretString) -> Result<Sealed, SafeError> {
        Ok(self.ring().seal(place, secret)?)
    }

    /// Opens what was sealed for a place.
    ///
    /// # Errors
    /// [`SealError::Broken`] for what was tampered with: never a wrong secret.
    pub async fn reveal(&self, place: &Place, sealed: &Sealed) -> Result<SecretString, SafeError> {
        if !self.ring().knows(sealed.key) {
            self.refresh().await?;
        }
        Ok(self.ring().open(place, sealed)?)
    }

    /// Seals the file of an import.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_file(&self, import: ImportId, file: &[u8]) -> Result<Sealed, SafeError> {
        Ok(self.ring().seal_bytes(&Place::of_import(import), file)?)
    }

    /// Opens the file of an import.
    ///
    /// # Errors
    /// As [`Self::reveal`].
    pub async fn reveal_file(
        &self,
        import: ImportId,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SafeError> {
        if !self.ring().knows(sealed.key) {
            self.refresh().await?;
        }
        Ok(self.ring().open_bytes(&Place::of_import(import), sealed)?)
    }

    /// See [`KeyRing::fingerprint`].
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn fingerprint(&self, text: &[u8]) -> Result<String, SafeError> {
        Ok(self.ring().fingerprint(text)?)
    }

    /// Reads the data keys again.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn refresh(&self) -> Result<(), SafeError> {
        let keys = self.0.store.vault_key_list().await?;
        let wrapped = keys.iter().map(|key| (key.id, key.wrapped.as_slice()));
        let ring = Arc::new(self.0.wrapping.ring(wrapped)?);
        *self.0.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// How many secrets lay under older data keys when they were last counted here: 0 where no rotation goes on.
    #[must_use]
    pub fn seals_left(&self) -> u64 {
        self.0.left.load(Ordering::Relaxed)
    }

    async fn make(
        &self,
        id: KeyId,
        created_at: Timestamp,
        finished_at: Option<Timestamp>,
    ) -> Result<(), SafeError> {
        let key = WrappedKey {
            id,
            wrapped: self.0.wrapping.make(id)?,
            created_at,
            finished_at,
        };
        match self.0.store.vault_key_add(key, &self.0.master).await {
            // Another one was faster; its key serves as well.
            Ok(()) | Err(StoreError::Conflict { .. }) => self.refresh().await,
            Err(error) => Err(error.into()),
        }
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}
