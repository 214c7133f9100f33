//! The vault's keys together with the database that keeps them: what seals, opens, and changes the data key.
//!
//! The vault knows no table and the store no key; here they meet. Each node keeps the opened data keys in memory. Another
//! node, or `robotd vault rotate-key` beside it, may make a new one at any time: a seal under a key that is not the newest
//! is refused by the store and made anew, and a seal under an unknown key makes the keys be read again.

use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::clock::Clock;
use crate::domain::id::{ImportId, InventoryId};
use crate::domain::sealed::{KeyId, Place, Sealed};
use crate::domain::time::Timestamp;
use crate::store::vault_key::WrappedKey;
use crate::store::{Store, StoreError};
use crate::vault::{KeyRing, MasterKey, SealError, Wrapping};

/// Secrets sealed anew in one transaction: a few milliseconds of the database's one writer.
const RESEAL_ROWS: u32 = 200;

/// Sealing and opening for one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Safe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    wrapping: Wrapping,
    ring: RwLock<Arc<KeyRing>>,
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

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The data key that seals now.
    pub key: KeyId,
    /// Whether it went on with one that was broken off.
    pub resumed: bool,
    /// Secrets sealed anew.
    pub resealed: u64,
    /// Secrets that could not be opened, as credential and version; they stay as they are.
    pub damaged: Vec<(InventoryId, i64)>,
    /// Private keys that could not be opened, by their id and owner; they stay as they are.
    pub damaged_keys: Vec<(i64, InventoryId)>,
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
            ring: RwLock::new(Arc::new(Wrapping::of(master).ring([])?)),
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

    /// Makes a new data key and seals all secrets with it, 200 a transaction; goes on with a rotation that was broken off
    /// instead of beginning another. Nodes may run meanwhile. `told` hears how many were sealed anew so far.
    ///
    /// # Errors
    /// The store's; a call after that goes on where this one stopped.
    pub async fn rotate(
        &self,
        clock: &dyn Clock,
        mut told: impl FnMut(u64),
    ) -> Result<Rotation, SafeError> {
        let newest = self.0.store.vault_key_list().await?.pop();
        let unfinished = newest.as_ref().filter(|key| key.finished_at.is_none());
        let resumed = unfinished.is_some();
        let key = match unfinished {
            Some(key) => key.id,
            None => {
                let next = KeyId(newest.map_or(1, |key| key.id.0 + 1));
                self.make(next, clock.now(), None).await?;
                next
            }
        };
        self.refresh().await?;
        let mut rotation = Rotation {
            key,
            resumed,
            resealed: 0,
            damaged: Vec::new(),
            damaged_keys: Vec::new(),
        };
        // A write that was on its way when the key was made may have slipped behind a pass: the last one finds nothing.
        while self.pass(&mut rotation, &mut told).await? > 0 {}
        while self.pass_keys(&mut rotation, &mut told).await? > 0 {}
        self.0.store.vault_key_finish(key, clock.now()).await?;
        Ok(rotation)
    }

    /// Goes once over all secrets that lie under other keys; answers how many it sealed anew.
    async fn pass(
        &self,
        rotation: &mut Rotation,
        told: &mut impl FnMut(u64),
    ) -> Result<u64, SafeError> {
        let store = &self.0.store;
        let mut after = (InventoryId(0), 0);
        let mut resealed = 0;
        rotation.damaged.clear();
        loop {
            let batch = store
                .secret_under_others(rotation.key, after, RESEAL_ROWS)
                .await?;
            let Some(last) = batch.last() else {
                return Ok(resealed);
            };
            after = (last.credential, last.version);
            let mut anew = Vec::with_capacity(batch.len());
            for old in batch {
                let place = Place::of_secret(old.credential, old.version);
                match self.reveal(&place, &old.sealed).await {
                    Ok(secret) => {
                        let sealed = self.seal(&place, &secret)?;
                        anew.push((old, sealed));
                    }
                    Err(SafeError::Seal(error)) => {
                        log::error!(
                            "version {} of the secret of credential `{}` stays as it is: {error}",
                            old.version,
                            old.credential
                        );
                        rotation.damaged.push((old.credential, old.version));
                    }
                    Err(error) => return Err(error),
                }
            }
            let replaced = store.secret_reseal(anew).await?;
            resealed += replaced;
            rotation.resealed += replaced;
            told(rotation.resealed);
        }
    }

    /// Goes once over all private keys that lie under other data keys; answers how many it sealed anew.
    async fn pass_keys(
        &self,
        rotation: &mut Rotation,
        told: &mut impl FnMut(u64),
    ) -> Result<u64, SafeError> {
        let store = &self.0.store;
        let mut after = 0;
        let mut resealed = 0;
        rotation.damaged_keys.clear();
        loop {
            let batch = store
                .private_key_under_others(rotation.key, after, RESEAL_ROWS)
                .await?;
            let Some(last) = batch.last() else {
                return Ok(resealed);
            };
            after = last.id;
            let mut anew = Vec::with_capacity(batch.len());
            for old in batch {
                let (id, owner, place) = (old.id, old.owner.id(), old.place());
                match self.reveal(&place, &old.sealed).await {
                    Ok(secret) => {
                        let sealed = self.seal(&place, &secret)?;
                        anew.push((old, sealed));
                    }
                    Err(SafeError::Seal(error)) => {
                        log::error!("private key `{id}` of `{owner}` stays as it is: {error}");
                        rotation.damaged_keys.push((id, owner));
                    }
                    Err(error) => return Err(error),
                }
            }
            let replaced = store.private_key_reseal(anew).await?;
            resealed += replaced;
            rotation.resealed += replaced;
            told(rotation.resealed);
        }
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
        match self.0.store.vault_key_add(key).await {
            // Another one was faster; its key serves as well.
            Ok(()) | Err(StoreError::Conflict { .. }) => self.refresh().await,
            Err(error) => Err(error.into()),
        }
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}
