//! The secrets of credentials: shown to people, changed by robots.

use secrecy::SecretString;
use serde_json::json;

use super::{ATTEMPTS, By, Inventory, InventoryError, busy};
use crate::domain::event::CloudEvent;
use crate::domain::id::InventoryId;
use crate::domain::inventory::Noun;
use crate::domain::sealed::Place;
use crate::domain::secret::Secret;
use crate::robot::safe::SafeError;
use crate::store::StoreError;
use crate::store::audit::NewAudit;
use crate::store::event::NewEvent;
use crate::store::secret::{
    CandidateCommit, Registration, SecretKept, SecretState, SecretVersion, SecretView, Shared,
};
use crate::vault::SealError;

/// A secret that somebody may see now: the view is on disk.
#[derive(Debug)]
pub struct Viewed {
    /// The secret.
    pub secret: Secret,
    /// Its version.
    pub version: i64,
}

/// An opened secret.
#[derive(Debug)]
pub struct Revealed {
    /// Its version.
    pub version: i64,
    /// The secret.
    pub secret: SecretString,
    /// What opens it, where it is a key that is encrypted.
    pub passphrase: Option<SecretString>,
}

/// What a target may believe to be the secret.
#[derive(Debug, Default)]
pub struct Secrets {
    /// The one in force.
    pub current: Option<Revealed>,
    /// The one of a change that is not settled.
    pub candidate: Option<Revealed>,
    /// The one that was in force before.
    pub previous: Option<Revealed>,
}

impl Inventory {
    /// Shows the secret in force to a person: the view is in the audit trail, in `credential_views` and published as
    /// `credential.viewed` before this returns.
    ///
    /// # Errors
    /// [`InventoryError::Damaged`] where what is stored was tampered with, which goes to the trail and the log;
    /// [`InventoryError::NoSecret`]; the store's.
    pub async fn view_secret(
        &self,
        id: InventoryId,
        reason: Option<String>,
        by: By<'_>,
    ) -> Result<Viewed, InventoryError> {
        self.get(Noun::Credential, id).await?;
        for _ in 0..ATTEMPTS {
            let versions = self.store.credential_secret_list(id).await?;
            let current = of_state(&versions, SecretState::Current);
            let current = current.ok_or(InventoryError::NoSecret)?;
            let secret = match self.open(current).await {
                Err(InventoryError::Damaged) => {
                    self.note_damage(current, by).await?;
                    return Err(InventoryError::Damaged);
                }
                other => other?,
            };
            let view = self.view(current, reason.clone(), by).await?;
            if self.store.credential_view(view, by.now).await? {
                return Ok(Viewed {
                    secret,
                    version: current.version,
                });
            }
        }
        Err(busy(Noun::Credential.spec()))
    }

    async fn view(
        &self,
        shown: &SecretVersion,
        reason: Option<String>,
        by: By<'_>,
    ) -> Result<SecretView, InventoryError> {
        let view = self.store.inventory_ids(1, by.now).await?;
        let (id, version) = (shown.credential, shown.version);
        Ok(SecretView {
            id: view.0,
            credential: id,
            version,
            actor: by.actor.to_owned(),
            audit: NewAudit {
                actor: by.actor.to_owned(),
                action: "credential.view".to_owned(),
                object: format!("credential:{id}"),
                before: None,
                after: Some(json!({"secret_version": version, "reason": reason, "view": view})),
            },
            event: self.told(
                &format!("view:{view}"),
                "credential.viewed",
                id,
                json!({"id": id, "secret_version": version, "actor": by.actor, "view": view}),
            ),
            reason,
        })
    }

    pub(super) fn told(
        &self,
        event: &str,
        kind: &str,
        id: InventoryId,
        data: serde_json::Value,
    ) -> NewEvent {
        let event = CloudEvent::own("inventory", event, kind, Some(id.to_string()), data);
        self.registry.route(event)
    }

    /// Somebody wrote into the database beside robotd: that must not pass unseen.
    async fn note_damage(&self, found: &SecretVersion, by: By<'_>) -> Result<(), InventoryError> {
        let (id, version) = (found.credential, found.version);
        log::error!(
            "version {version} of the secret of credential `{id}` was tampered with in the database; it was not shown"
        );
        let entry = NewAudit {
            actor: by.actor.to_owned(),
            action: "credential.damaged".to_owned(),
            object: format!("credential:{id}"),
            before: None,
            after: Some(json!({"secret_version": version, "key": found.sealed.key})),
        };
        self.store.audit_append(entry, by.now).await?;
        Ok(())
    }

    async fn open(&self, version: &SecretVersion) -> Result<Secret, InventoryError> {
        let place = Place::of_secret(version.credential, version.version);
        match self.safe.reveal(&place, &version.sealed).await {
            Ok(kept) => Ok(Secret::of_kept(kept)),
            // A key that is nowhere is one that somebody invented or removed.
            Err(SafeError::Seal(SealError::Broken | SealError::UnknownKey(_))) => {
                Err(InventoryError::Damaged)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The secrets that a target may know, for a robot that talks to it.
    ///
    /// # Errors
    /// [`InventoryError::Damaged`] where any of them was tampered with; the store's.
    pub async fn secrets(&self, id: InventoryId) -> Result<Secrets, InventoryError> {
        let versions = self.store.credential_secret_list(id).await?;
        Ok(Secrets {
            current: self.revealed(&versions, SecretState::Current).await?,
            candidate: self.revealed(&versions, SecretState::Candidate).await?,
            previous: self.revealed(&versions, SecretState::Old).await?,
        })
    }

    async fn revealed(
        &self,
        versions: &[SecretVersion],
        state: SecretState,
    ) -> Result<Option<Revealed>, InventoryError> {
        let Some(found) = of_state(versions, state) else {
            return Ok(None);
        };
        let Secret { text, passphrase } = self.open(found).await?;
        Ok(Some(Revealed {
            version: found.version,
            secret: text,
            passphrase,
        }))
    }

    /// Keeps a candidate before its target is told; answers its version.
    ///
    /// # Errors
    /// `Conflict` where there is one already, `NotFound`, and the store's others.
    pub async fn candidate_set(
        &self,
        id: InventoryId,
        candidate: &Secret,
        by: By<'_>,
    ) -> Result<i64, InventoryError> {
        for _ in 0..ATTEMPTS {
            let version = self.store.credential_secret_latest(id).await? + 1;
            let sealed = self.sealed(id, version, candidate)?;
            match self
                .store
                .credential_candidate_set(id, sealed, by.now)
                .await?
            {
                SecretKept::Kept => return Ok(version),
                SecretKept::Moved => {}
                SecretKept::KeyRetired => self.safe.refresh().await?,
            }
        }
        Err(busy(Noun::Credential.spec()))
    }

    /// Puts a candidate in force that its target has confirmed; `current` is the version in force when the change
    /// began. An account of a domain has it by that for whatever devices it is registered: its other credentials get it in the same
    /// transaction. Published as `credential.password_changed` of each.
    ///
    /// # Errors
    /// `Conflict` where the candidate is gone or another secret is in force by now, and the store's others.
    pub async fn candidate_commit(
        &self,
        id: InventoryId,
        candidate: i64,
        current: Option<i64>,
        by: By<'_>,
    ) -> Result<(), InventoryError> {
        for _ in 0..ATTEMPTS {
            let shared = self.shared(id, candidate, by).await?;
            let mut events = Vec::from([self.changed_event(id, candidate, None, by)]);
            events.extend(shared.iter().map(|one| {
                self.changed_event(one.with.credential, one.secret.version, Some(id), by)
            }));
            let commit = CandidateCommit {
                credential: id,
                candidate,
                current,
                audit: change_entry(id, current, candidate, None, by),
                shared,
                events,
            };
            let kept = self.store.credential_candidate_commit(commit, by.now);
            match kept.await? {
                SecretKept::Kept => return Ok(()),
                SecretKept::Moved => {}
                SecretKept::KeyRetired => self.safe.refresh().await?,
            }
        }
        Err(busy(Noun::Credential.spec()))
    }

    /// A candidate as the other registrations of its account get it.
    async fn shared(
        &self,
        id: InventoryId,
        candidate: i64,
        by: By<'_>,
    ) -> Result<Vec<Shared>, InventoryError> {
        let others = self.store.credential_registrations(id).await?;
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let versions = self.store.credential_secret_list(id).await?;
        let found = versions.iter().find(|version| version.version == candidate);
        let Some(found) = found else {
            let what = format!("credential `{id}` has no candidate of version {candidate}");
            return Err(StoreError::Conflict { what }.into());
        };
        let secret = self.open(found).await?;
        let share = |with: Registration| {
            let version = with.latest + 1;
            let (other, before) = (with.credential, Some(with.current));
            Ok(Shared {
                with,
                secret: self.sealed(other, version, &secret)?,
                audit: change_entry(other, before, version, Some(id), by),
            })
        };
        others.into_iter().map(share).collect()
    }

    /// That a robot has changed a password, `with` that of the credential whose account it is too.
    fn changed_event(
        &self,
        id: InventoryId,
        version: i64,
        with: Option<InventoryId>,
        by: By<'_>,
    ) -> NewEvent {
        self.told(
            &format!("secret:{id}:{version}"),
            "credential.password_changed",
            id,
            json!({"id": id, "secret_version": version, "actor": by.actor, "changed_with": with}),
        )
    }

    /// Removes a candidate that its target certainly does not know; answers whether there was one.
    ///
    /// # Errors
    /// The store's.
    pub async fn candidate_drop(
        &self,
        id: InventoryId,
        candidate: i64,
    ) -> Result<bool, InventoryError> {
        Ok(self.store.credential_candidate_drop(id, candidate).await?)
    }
}

fn change_entry(
    id: InventoryId,
    before: Option<i64>,
    after: i64,
    with: Option<InventoryId>,
    by: By<'_>,
) -> NewAudit {
    NewAudit {
        actor: by.actor.to_owned(),
        action: "credential.password_change".to_owned(),
        object: format!("credential:{id}"),
        before: Some(json!({"secret_version": before})),
        after: Some(json!({"secret_version": after, "changed_with": with})),
    }
}

/// The newest version of a state; versions stand newest first.
fn of_state(versions: &[SecretVersion], state: SecretState) -> Option<&SecretVersion> {
    versions.iter().find(|version| version.state == state)
}
