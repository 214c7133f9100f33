//! Another data key, and the secrets of the old ones sealed anew with it, a batch a transaction.
//!
//! Until the last secret lies under the new key both open what they sealed. Whoever is stopped half-way has lost nothing: a rotation
//! is open in the database until somebody has found nothing left, and several may work on one.

use std::sync::atomic::Ordering;

use super::{Safe, SafeError};
use crate::clock::Clock;
use crate::domain::id::InventoryId;
use crate::domain::sealed::{KeyId, Place, Sealed};
use crate::domain::time::Timestamp;

/// Secrets sealed anew in one transaction: a few milliseconds of the database's one writer.
const RESEAL_ROWS: u32 = 200;

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The data key that seals now.
    pub key: KeyId,
    /// Whether it went on with one that was broken off.
    pub resumed: bool,
    /// Secrets sealed anew here.
    pub resealed: u64,
    /// Secrets that could not be opened, as credential and version; they stay as they are.
    pub damaged: Vec<(InventoryId, i64)>,
    /// Private keys that could not be opened, by their id and owner; they stay as they are.
    pub damaged_keys: Vec<(i64, InventoryId)>,
}

/// A rotation on its way.
#[derive(Debug)]
pub struct Resealing {
    safe: Safe,
    rotation: Rotation,
    at: Position,
    /// Sealed anew since the pass began. A write that was on its way when the key was made may slip behind a pass: the
    /// last one finds nothing.
    moved: u64,
}

/// What was looked at last in a pass.
#[derive(Debug, Clone, Copy)]
enum Position {
    Secrets((InventoryId, i64)),
    PrivateKeys(i64),
    End,
}

impl Position {
    const FIRST_SECRET: Self = Self::Secrets((InventoryId(0), 0));
    const FIRST_PRIVATE_KEY: Self = Self::PrivateKeys(0);
}

impl Safe {
    /// Makes a new data key, which seals from now on, unless a rotation to one goes on or was broken off. The secrets under older ones are
    /// for [`Safe::unfinished`]. Nodes may run meanwhile.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin_rotation(&self, now: Timestamp) -> Result<Resealing, SafeError> {
        if let Some(open) = self.unfinished().await? {
            return Ok(open);
        }
        let newest = self.0.store.vault_key_list().await?.pop();
        let next = KeyId(newest.map_or(1, |key| key.id.0 + 1));
        self.make(next, now, None).await?;
        self.resealing(next, false).await
    }

    /// The rotation that goes on or was broken off, where there is one. Reads the keys again where somebody made a new one.
    ///
    /// # Errors
    /// As [`Safe::open`].
    pub async fn unfinished(&self) -> Result<Option<Resealing>, SafeError> {
        let Some(newest) = self.0.store.vault_key_list().await?.pop() else {
            return Ok(None);
        };
        if newest.finished_at.is_none() {
            return Ok(Some(self.resealing(newest.id, true).await?));
        }
        if !self.ring().knows(newest.id) {
            self.refresh().await?;
        }
        Ok(None)
    }

    async fn resealing(&self, key: KeyId, resumed: bool) -> Result<Resealing, SafeError> {
        self.refresh().await?;
        self.count_left(key).await?;
        Ok(Resealing {
            safe: self.clone(),
            rotation: Rotation {
                key,
                resumed,
                resealed: 0,
                damaged: Vec::new(),
                damaged_keys: Vec::new(),
            },
            at: Position::FIRST_SECRET,
            moved: 0,
        })
    }

    /// Begins a rotation, or goes on with one, and ends it. `told` hears how many were sealed anew here so far.
    ///
    /// # Errors
    /// The store's; a call after that goes on where this one stopped.
    pub async fn rotate(
        &self,
        clock: &dyn Clock,
        mut told: impl FnMut(u64),
    ) -> Result<Rotation, SafeError> {
        let mut resealing = self.begin_rotation(clock.now()).await?;
        let mut last = 0;
        while resealing.step().await? {
            let resealed = resealing.rotation.resealed;
            if resealed > last {
                told(resealed);
            }
            last = resealed;
        }
        resealing.finish(clock.now()).await
    }

    async fn count_left(&self, key: KeyId) -> Result<(), SafeError> {
        let left = self.0.store.vault_seals_before(key).await?;
        self.0.left.store(left, Ordering::Relaxed);
        Ok(())
    }
}

impl Resealing {
    /// The data key that seals now.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.rotation.key
    }

    /// Seals the next batch anew; answers whether there may be more.
    ///
    /// # Errors
    /// The store's; what was not sealed anew is found by the next rotation's first pass.
    pub async fn step(&mut self) -> Result<bool, SafeError> {
        let (next, replaced) = match self.at {
            Position::Secrets(after) => self.secrets(after).await?,
            Position::PrivateKeys(after) => self.private_keys(after).await?,
            Position::End => return Ok(false),
        };
        self.moved += replaced;
        self.rotation.resealed += replaced;
        let left = self.safe.seals_left().saturating_sub(replaced);
        self.safe.0.left.store(left, Ordering::Relaxed);
        if let Some(next) = next {
            self.at = next;
            return Ok(true);
        }
        let again = std::mem::take(&mut self.moved) > 0;
        self.at = match (self.at, again) {
            (Position::Secrets(_), true) => {
                self.rotation.damaged.clear();
                Position::FIRST_SECRET
            }
            (Position::PrivateKeys(_), true) => {
                self.rotation.damaged_keys.clear();
                Position::FIRST_PRIVATE_KEY
            }
            (Position::Secrets(_), false) => Position::FIRST_PRIVATE_KEY,
            (Position::PrivateKeys(_) | Position::End, _) => Position::End,
        };
        Ok(true)
    }

    /// Notes that nothing is left to be sealed anew but what is damaged. For after [`Self::step`] has answered `false`.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish(self, now: Timestamp) -> Result<Rotation, SafeError> {
        let key = self.rotation.key;
        self.safe.0.store.vault_key_finish(key, now).await?;
        self.safe.count_left(key).await?;
        Ok(self.rotation)
    }

    /// A batch of secrets behind `after`; answers where it ends, none at the end of the pass, and how many were sealed anew.
    async fn secrets(
        &mut self,
        after: (InventoryId, i64),
    ) -> Result<(Option<Position>, u64), SafeError> {
        let store = &self.safe.0.store;
        let batch = store
            .secret_under_older(self.rotation.key, after, RESEAL_ROWS)
            .await?;
        let last = batch.last().map(|last| (last.credential, last.version));
        let mut anew = Vec::with_capacity(batch.len());
        for old in batch {
            let place = Place::of_secret(old.credential, old.version);
            match self.safe.anew(&place, &old.sealed).await {
                Ok(sealed) => anew.push((old, sealed)),
                Err(SafeError::Seal(error)) => {
                    log::error!(
                        "version {} of the secret of credential `{}` stays as it is: {error}",
                        old.version,
                        old.credential
                    );
                    self.rotation.damaged.push((old.credential, old.version));
                }
                Err(error) => return Err(error),
            }
        }
        let replaced = store.secret_reseal(anew).await?;
        Ok((last.map(Position::Secrets), replaced))
    }

    /// The same of private keys.
    async fn private_keys(&mut self, after: i64) -> Result<(Option<Position>, u64), SafeError> {
        let store = &self.safe.0.store;
        let batch = store
            .private_key_under_older(self.rotation.key, after, RESEAL_ROWS)
            .await?;
        let last = batch.last().map(|last| last.id);
        let mut anew = Vec::with_capacity(batch.len());
        for old in batch {
            let (id, owner) = (old.id, old.owner.id());
            match self.safe.anew(&old.place(), &old.sealed).await {
                Ok(sealed) => anew.push((old, sealed)),
                Err(SafeError::Seal(error)) => {
                    log::error!("private key `{id}` of `{owner}` stays as it is: {error}");
                    self.rotation.damaged_keys.push((id, owner));
                }
                Err(error) => return Err(error),
            }
        }
        let replaced = store.private_key_reseal(anew).await?;
        Ok((last.map(Position::PrivateKeys), replaced))
    }
}

impl Safe {
    async fn anew(&self, place: &Place, sealed: &Sealed) -> Result<Sealed, SafeError> {
        let secret = self.reveal(place, sealed).await?;
        self.seal(place, &secret)
    }
}
