//! Sealed secrets of credentials: versions, the candidate of a change, and who viewed what.
//!
//! A change of a password at its target has three steps, each committed before the next: the candidate is kept
//! ([`Store::credential_candidate_set`]), the target is told, the candidate takes the current one's place
//! ([`Store::credential_candidate_commit`]) or goes ([`Store::credential_candidate_drop`]). Whoever dies in between finds the
//! candidate again, and the current and the previous secret beside it.

use crate::domain::id::InventoryId;
use crate::domain::sealed::{KeyId, Sealed};
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::NewEvent;
use super::signal::Signal;
use super::task::bounded;
use super::{Store, StoreResult};

/// Old versions of a secret that are kept: what a target may still believe after a change that went wrong.
pub const OLD_VERSIONS_MAX: i64 = 10;

/// Registrations of one account that get its new secret with it; what is beyond them is found by its reconciliation.
pub const REGISTRATIONS_MAX: i64 = 1_000;

/// Most versions that are sealed anew in one transaction.
pub const RESEAL_ROWS_MAX: usize = 500;

/// A secret about to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// Its version: the highest given out so far, and one.
    pub version: i64,
    /// The secret, sealed for this version of this credential.
    pub sealed: Sealed,
}

/// What a version is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretState {
    /// About to be told to the target, or told and not confirmed.
    Candidate,
    /// In force.
    Current,
    /// Was in force.
    Old,
}

impl SecretState {
    /// The number in the database, as the partial indexes have it.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Candidate => 0,
            Self::Current => 1,
            Self::Old => 2,
        }
    }

    pub(super) const fn of(code: i16) -> Self {
        match code {
            0 => Self::Candidate,
            1 => Self::Current,
            _ => Self::Old,
        }
    }
}

/// A kept secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// Whose.
    pub credential: InventoryId,
    /// Its version.
    pub version: i64,
    /// What it is for.
    pub state: SecretState,
    /// The secret, sealed for this version of this credential.
    pub sealed: Sealed,
    /// When it was kept.
    pub created_at: Timestamp,
}

/// What became of an attempt to keep a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKept {
    /// It is kept.
    Kept,
    /// It is sealed with a data key that is not the newest: read the keys again and seal anew.
    KeyRetired,
    /// Its version was given to another one meanwhile: seal anew for the next.
    Moved,
}

/// Another credential of the same account of a domain, for another device: it has the same secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Which.
    pub credential: InventoryId,
    /// The version that is in force.
    pub current: i64,
    /// The highest version given out.
    pub latest: i64,
}

/// What another registration gets with the account's new secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Which, as it was seen.
    pub with: Registration,
    /// The secret, sealed for it.
    pub secret: NewSecret,
    /// Written in the same transaction.
    pub audit: NewAudit,
}

/// A candidate that takes the current secret's place.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateCommit {
    /// Whose.
    pub credential: InventoryId,
    /// The candidate.
    pub candidate: i64,
    /// The version in force when the change began; another one now is a `Conflict`.
    pub current: Option<i64>,
    /// The same secret for all of [`Store::credential_registrations`].
    pub shared: Vec<Shared>,
    /// Written in the same transaction.
    pub audit: NewAudit,
    /// Published in the same transaction.
    pub events: Vec<NewEvent>,
}

/// A view of a secret, about to be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretView {
    /// Its id, from [`Store::inventory_ids`].
    pub id: i64,
    /// Whose secret.
    pub credential: InventoryId,
    /// Which version.
    pub version: i64,
    /// Who views it.
    pub actor: String,
    /// Why, in the viewer's words.
    pub reason: Option<String>,
    /// Written in the same transaction.
    pub audit: NewAudit,
    /// Published in the same transaction.
    pub event: NewEvent,
}

impl Store {
    /// Where the next secret of a credential goes: the highest version given out so far. `NotFound`.
    pub async fn credential_secret_latest(&self, credential: InventoryId) -> StoreResult<i64> {
        read!(self, secret::latest_of(credential))
    }

    /// The kept secrets of a credential, newest version first: at most a candidate, the current one and 10 old ones.
    pub async fn credential_secret_list(
        &self,
        credential: InventoryId,
    ) -> StoreResult<Vec<SecretVersion>> {
        read!(self, secret::list(credential))
    }

    /// Keeps a candidate, before the target is touched. `NotFound`; `Conflict` where there is a candidate already: a
    /// change that was interrupted goes on with the secret it began with.
    pub async fn credential_candidate_set(
        &self,
        credential: InventoryId,
        candidate: NewSecret,
        now: Timestamp,
    ) -> StoreResult<SecretKept> {
        write!(self, candidate::set(credential, &candidate, now))
    }

    /// The other registrations of an account of a domain, by their ids, at most [`REGISTRATIONS_MAX`]; none of an account that
    /// belongs to its device.
    pub async fn credential_registrations(
        &self,
        credential: InventoryId,
    ) -> StoreResult<Vec<Registration>> {
        read!(self, candidate::registrations(credential))
    }

    /// Puts the candidate in force and keeps the current one as old, for the other registrations of its account too. Nothing is written
    /// where what is shared is not sealed for these, as they are, under the newest key. `Conflict` where the candidate is gone, or
    /// where another version than the expected one is in force by now.
    pub async fn credential_candidate_commit(
        &self,
        commit: CandidateCommit,
        now: Timestamp,
    ) -> StoreResult<SecretKept> {
        let ids = self.publication_ids(&commit.events, now).await?;
        let (kept, published) = write!(self, candidate::commit(&commit, &ids, now))?;
        if kept == SecretKept::Kept {
            self.tell(Signal::Inventory);
            self.tell(Signal::Syslog);
            self.tell_published(published);
        }
        Ok(kept)
    }

    /// Removes a candidate that the target certainly does not know. Answers whether there was one of this version.
    pub async fn credential_candidate_drop(
        &self,
        credential: InventoryId,
        candidate: i64,
    ) -> StoreResult<bool> {
        write!(self, candidate::discard(credential, candidate))
    }

    /// Records a view; it must not be answered before this returns `true`. `false`: another version is in force by now.
    pub async fn credential_view(&self, view: SecretView, now: Timestamp) -> StoreResult<bool> {
        let event = std::slice::from_ref(&view.event);
        let ids = self.publication_ids(event, now).await?;
        let published = write!(self, secret::view(&view, &ids, now))?;
        let Some(published) = published else {
            return Ok(false);
        };
        self.tell(Signal::Syslog);
        self.tell_published(published);
        Ok(true)
    }

    /// Notes that a session used an account at an instant; answers whether that is news: whether the credential is there, and was
    /// not used later.
    pub async fn credential_used(
        &self,
        credential: InventoryId,
        at: Timestamp,
    ) -> StoreResult<bool> {
        write!(self, secret::used(credential, at))
    }

    /// Secrets that lie under an older key than `key`, from behind `after` on (credential, version), at most `limit`.
    pub async fn secret_under_older(
        &self,
        key: KeyId,
        after: (InventoryId, i64),
        limit: u32,
    ) -> StoreResult<Vec<SecretVersion>> {
        read!(self, secret::under_older(key, after, limit))
    }

    /// Replaces seals, each where it still lies under the key it was opened with. Answers how many were.
    pub async fn secret_reseal(&self, anew: Vec<(SecretVersion, Sealed)>) -> StoreResult<u64> {
        bounded("secrets", anew.len(), RESEAL_ROWS_MAX)?;
        write!(self, secret::reseal(&anew))
    }
}
