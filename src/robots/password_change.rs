//! The change of a password at its target, so that the recorded secret opens the account whenever it is cut off.
//!
//! 1. A candidate is made and kept, sealed, before the target is touched.
//! 2. The target is told.
//! 3. The candidate is tried on a fresh connection.
//! 4. The candidate takes the current secret's place.
//!
//! Whoever is cut off leaves the candidate beside the current secret, and one of the two opens the account. So a change that
//! finds a candidate first finds out which: the candidate, then the current one. It goes on with the same candidate, and
//! drops it only where the target certainly did not get it (the robots' specification, section 0, points 5 and 6).
//!
//! Each refused sign-in brings the account nearer to its lock: there are only as many as [`Tries`] allows.

pub use super::ended::Ended;
pub(super) use super::ended::no_secret;
pub use super::tries::Tries;
use crate::clock::Clock;
use crate::connect::target::{Credential, Failure, Login, PasswordChange, Target};
use crate::domain::failure::{Effect, FailureClass};
use crate::domain::id::InventoryId;
use crate::domain::inventory::CredentialKind;
use crate::domain::operation::AttemptEnd;
use crate::domain::password::PasswordPolicy;
use crate::domain::secret::Secret;
use crate::robot::inventory::{By, Inventory, InventoryError, Revealed, Secrets};

/// New secrets that a change offers: a word of the target's list may be in one, but hardly in three.
const CANDIDATES_MAX: u32 = 3;

/// Whose secret, and how it is reached.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where secrets are kept.
    pub inventory: &'a Inventory,
    /// The time of day.
    pub clock: &'a dyn Clock,
    /// Where the account is.
    pub target: &'a dyn Target,
    /// The credential.
    pub credential: InventoryId,
    /// The account's name as the target knows it.
    pub account: &'a str,
    /// What its secret is.
    pub kind: CredentialKind,
    /// The actor in the audit trail.
    pub actor: &'a str,
}

/// Which of two secrets the target believes.
pub(super) enum Believed {
    Candidate,
    Current,
    /// Nobody knows yet, or it is neither.
    Open(Ended),
}

impl Place<'_> {
    /// Gives the account a new secret by `policy`, or brings a change to its end that was cut off.
    ///
    /// # Errors
    /// The inventory's. Whatever the target knows by then is recorded, as current or as candidate.
    pub async fn change(
        &self,
        policy: &PasswordPolicy,
        tries: &mut Tries,
    ) -> Result<Ended, InventoryError> {
        let Secrets {
            current, candidate, ..
        } = self.inventory.secrets(self.credential).await?;
        let Some(current) = current else {
            return Ok(no_secret());
        };
        let reused = candidate.is_some();
        let candidate = match candidate {
            Some(candidate) => match self.find_out(&current, &candidate, tries).await {
                Believed::Candidate => return self.commit(&candidate, &current).await,
                Believed::Current => candidate,
                Believed::Open(ended) => return Ok(ended),
            },
            None => match self.make(policy).await? {
                Ok(made) => made,
                Err(ended) => return Ok(ended),
            },
        };
        let by = self.login(&current);
        let candidate = match self.set(&by, candidate, reused, policy).await? {
            Ok(taken) => taken,
            Err((candidate, failure)) => {
                tries.note(&failure).await;
                return self.not_changed(&candidate, reused, &failure).await;
            }
        };
        match self.opens(&candidate, tries).await {
            Ok(()) => self.commit(&candidate, &current).await,
            Err(failure) => Ok(Ended::unverified(candidate.version, failure.class, failure)),
        }
    }

    /// Gives the account a new secret by the privileged account `by`, whose refused sign-ins are counted in `by_tries`: none
    /// that is recorded opens it. It is proven where the account may be asked once more, else by the next attempt.
    ///
    /// # Errors
    /// The inventory's. Whatever the target knows by then is recorded, as current or as candidate.
    pub async fn reset(
        &self,
        by: &Login,
        policy: &PasswordPolicy,
        (tries, by_tries): (&mut Tries, &mut Tries),
    ) -> Result<Ended, InventoryError> {
        let Secrets {
            current, candidate, ..
        } = self.inventory.secrets(self.credential).await?;
        let Some(current) = current else {
            return Ok(no_secret());
        };
        let reused = candidate.is_some();
        let candidate = match candidate {
            Some(candidate) => candidate,
            None => match self.make(policy).await? {
                Ok(made) => made,
                Err(ended) => return Ok(ended),
            },
        };
        let candidate = match self.set(by, candidate, reused, policy).await? {
            Ok(taken) => taken,
            Err((candidate, failure)) => {
                by_tries.note(&failure).await;
                let mut ended = self.not_changed(&candidate, reused, &failure).await?;
                ended.detail = Some(format!("by the account `{}`: {failure}", by.account));
                return Ok(ended);
            }
        };
        if !tries.are_left() {
            let detail =
                "set by the privileged account; it is proven when the account may be asked again";
            let class = FailureClass::AuthFailed;
            return Ok(Ended::unverified(candidate.version, class, detail));
        }
        match self.opens(&candidate, tries).await {
            Ok(()) => self.commit(&candidate, &current).await,
            Err(failure) => Ok(Ended::unverified(candidate.version, failure.class, failure)),
        }
    }

    /// Gives the account the candidate by the account `by`. A new one that the target does not want for what it is like is dropped, and
    /// another one made in its place, [`CANDIDATES_MAX`] in all. Answers the one that was taken, or the last one and why not.
    async fn set(
        &self,
        by: &Login,
        mut candidate: Revealed,
        reused: bool,
        policy: &PasswordPolicy,
    ) -> Result<Result<Revealed, (Revealed, Failure)>, InventoryError> {
        let mut left = if reused { 0 } else { CANDIDATES_MAX - 1 };
        loop {
            let order = PasswordChange {
                login: by.clone(),
                account: self.account.to_owned(),
                secret: candidate.secret.clone(),
            };
            let Err(failure) = self.target.change_password(&order).await else {
                return Ok(Ok(candidate));
            };
            let is_unwanted = failure.class == FailureClass::PasswordPolicy
                && failure.effect == Effect::None
                && left > 0;
            if !is_unwanted {
                return Ok(Err((candidate, failure)));
            }
            left -= 1;
            let version = candidate.version;
            self.inventory
                .candidate_drop(self.credential, version)
                .await?;
            candidate = match self.make(policy).await? {
                Ok(made) => made,
                Err(_) => return Ok(Err((candidate, failure))),
            };
        }
    }

    /// Finds out which recorded secret opens the account, and records that: a candidate is put in force, or dropped.
    ///
    /// # Errors
    /// The inventory's.
    pub async fn reconcile(&self, tries: &mut Tries) -> Result<Ended, InventoryError> {
        let Secrets {
            current, candidate, ..
        } = self.inventory.secrets(self.credential).await?;
        let (Some(current), Some(candidate)) = (current, candidate) else {
            return self.test(tries).await;
        };
        match self.find_out(&current, &candidate, tries).await {
            Believed::Candidate if self.kind == CredentialKind::SshKey => {
                self.take_over(&candidate, &current, tries).await
            }
            Believed::Current if self.kind == CredentialKind::SshKey => {
                self.take_back(&candidate, &current, tries).await
            }
            Believed::Candidate => self.commit(&candidate, &current).await,
            Believed::Current => self.abandon(&candidate).await,
            Believed::Open(ended) => Ok(ended),
        }
    }

    /// Drops a candidate that the target does not believe.
    pub(super) async fn abandon(&self, candidate: &Revealed) -> Result<Ended, InventoryError> {
        let version = candidate.version;
        self.inventory
            .candidate_drop(self.credential, version)
            .await?;
        Ok(Ended::done(None))
    }

    /// Signs in with the secret in force, once.
    ///
    /// # Errors
    /// The inventory's.
    pub async fn test(&self, tries: &mut Tries) -> Result<Ended, InventoryError> {
        let secrets = self.inventory.secrets(self.credential).await?;
        let Some(current) = secrets.current else {
            return Ok(no_secret());
        };
        Ok(match self.opens(&current, tries).await {
            Ok(()) => Ended::done(None),
            Err(failure) => Ended::failed(failure.class, failure),
        })
    }

    pub(super) async fn find_out(
        &self,
        current: &Revealed,
        candidate: &Revealed,
        tries: &mut Tries,
    ) -> Believed {
        let open = |failure: &Failure| {
            Believed::Open(Ended::unverified(candidate.version, failure.class, failure))
        };
        match self.opens(candidate, tries).await {
            Ok(()) => return Believed::Candidate,
            // An account that is locked refuses the right secret too: this says nothing of the candidate.
            Err(failure) if failure.class != FailureClass::AuthFailed || !tries.are_left() => {
                return open(&failure);
            }
            Err(_) => {}
        }
        match self.opens(current, tries).await {
            Ok(()) => Believed::Current,
            Err(failure) if failure.class == FailureClass::AuthFailed => {
                // Somebody else has changed it. The candidate is kept all the same: it was never proven false alone.
                Believed::Open(Ended {
                    end: AttemptEnd::Failed(FailureClass::AuthFailed),
                    candidate: Some(candidate.version),
                    detail: Some(format!(
                        "neither the candidate nor the secret in force opens the account: {failure}"
                    )),
                })
            }
            Err(failure) => open(&failure),
        }
    }

    /// Whether a secret signs in. One that must be changed first is the right one.
    pub(super) async fn opens(&self, secret: &Revealed, tries: &mut Tries) -> Result<(), Failure> {
        match self.target.probe(&self.login(secret)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.class == FailureClass::PasswordExpired => Ok(()),
            Err(failure) => {
                tries.note(&failure).await;
                Err(failure)
            }
        }
    }

    pub(super) fn login(&self, secret: &Revealed) -> Login {
        login(self.account, self.kind, secret)
    }

    /// Makes a candidate and keeps it; the end of the attempt where the policy allows none.
    async fn make(
        &self,
        policy: &PasswordPolicy,
    ) -> Result<Result<Revealed, Ended>, InventoryError> {
        // The generator belongs to its thread: it is gone before we wait.
        let made = policy.generate(&mut rand::rng());
        let secret = match made {
            Ok(secret) => secret,
            Err(error) => return Ok(Err(Ended::failed(FailureClass::Invalid, error))),
        };
        self.keep(secret.into()).await.map(Ok)
    }

    /// Keeps a candidate.
    pub(super) async fn keep(&self, candidate: Secret) -> Result<Revealed, InventoryError> {
        let kept = self
            .inventory
            .candidate_set(self.credential, &candidate, self.by());
        let version = kept.await?;
        Ok(Revealed {
            version,
            secret: candidate.text,
            passphrase: candidate.passphrase,
        })
    }

    /// The target gave no yes. A new candidate that it certainly did not get goes; one of an earlier attempt stays, for
    /// what that attempt sent may still arrive.
    pub(super) async fn not_changed(
        &self,
        candidate: &Revealed,
        reused: bool,
        failure: &Failure,
    ) -> Result<Ended, InventoryError> {
        let version = candidate.version;
        if failure.effect == Effect::Possible || reused {
            return Ok(Ended::unverified(version, failure.class, failure));
        }
        self.inventory
            .candidate_drop(self.credential, version)
            .await?;
        Ok(Ended::failed(failure.class, failure))
    }

    pub(super) async fn commit(
        &self,
        candidate: &Revealed,
        current: &Revealed,
    ) -> Result<Ended, InventoryError> {
        let (id, version) = (self.credential, candidate.version);
        self.inventory
            .candidate_commit(id, version, Some(current.version), self.by())
            .await?;
        Ok(Ended::done(Some(version)))
    }

    fn by(&self) -> By<'_> {
        By {
            actor: self.actor,
            now: self.clock.now(),
        }
    }
}

/// How an account signs in by a secret.
pub(super) fn login(account: &str, kind: CredentialKind, secret: &Revealed) -> Login {
    let text = secret.secret.clone();
    Login {
        account: account.to_owned(),
        credential: match kind {
            CredentialKind::Password => Credential::Password(text),
            CredentialKind::SshKey => Credential::PrivateKey {
                key: text,
                passphrase: secret.passphrase.clone(),
            },
        },
    }
}
