//! Issuers with their keys, and certificates on their way: what the API and the robot do to them.

use secrecy::SecretString;
use serde_json::json;

use super::{ATTEMPTS, By, Inventory, InventoryError, Reason, busy};
use crate::connect::issuer::{Authority, AuthorityError, new_key};
use crate::domain::id::InventoryId;
use crate::domain::inventory::{KeyAlgorithm, Noun};
use crate::domain::robot::FieldError;
use crate::robot::safe::SafeError;
use crate::store::audit::NewAudit;
use crate::store::certificate::{IssueKey, NewIssue};
use crate::store::inventory::Item;
use crate::store::private_key::{IssuerKey, KeyOwner, PrivateKey};
use crate::store::secret::SecretKept;
use crate::vault::SealError;

/// An authority from elsewhere.
#[derive(Debug)]
pub struct Imported {
    /// Its certificate and, behind it, those of who vouches for it: PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 in PEM.
    pub private_key: SecretString,
}

/// Which private key a certificate gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWanted {
    /// A new one.
    New(KeyAlgorithm),
    /// One that is kept.
    Same(i64),
}

/// A certificate about to be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// For which automation.
    pub automation: InventoryId,
    /// Of whom.
    pub issuer: InventoryId,
    /// Its private key.
    pub key: KeyWanted,
    /// What it is for.
    pub names: Vec<String>,
}

impl Inventory {
    /// Gives an internal issuer its key and certificate: new ones, or those of an authority from elsewhere. Answers the
    /// issuer.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] for an issuer of another kind and for what cannot be an authority; `Conflict` where it has
    /// a key; the store's.
    pub async fn authority_found(
        &self,
        issuer: InventoryId,
        import: Option<Imported>,
        by: By<'_>,
    ) -> Result<Item, InventoryError> {
        let item = self.get(Noun::CertificateIssuer, issuer).await?;
        let text = |field: &str| item.body.get(field).and_then(|value| value.as_str());
        if text("kind") != Some("internal") {
            let detail = "must be `internal`: the key of an ACME account is made when it is needed";
            return Err(invalid("kind", detail));
        }
        let (authority, action) = match import {
            None => {
                let name = text("name").unwrap_or_default();
                let made = Authority::make(name, by.now);
                let made = made.map_err(|error| invalid("name", &error.to_string()))?;
                (made, "certificate_issuer.key_make")
            }
            Some(import) => {
                let taken = Authority::import(&import.certificate, import.private_key, by.now);
                let taken = taken.map_err(|error| match error {
                    AuthorityError::Certificate(detail) => invalid("certificate", &detail),
                    AuthorityError::Key(detail) => invalid("private_key", &detail),
                })?;
                (taken, "certificate_issuer.key_import")
            }
        };
        let certificate = Some((authority.certificate, authority.not_after));
        self.keep_issuer_key(issuer, &authority.key, certificate, action, by)
            .await?;
        Ok(self.get(Noun::CertificateIssuer, issuer).await?)
    }

    /// The private key of an issuer; none where it has none yet.
    ///
    /// # Errors
    /// [`InventoryError::Damaged`]; the store's.
    pub async fn issuer_key(
        &self,
        issuer: InventoryId,
    ) -> Result<Option<SecretString>, InventoryError> {
        match self.store.issuer_key(issuer).await? {
            Some(key) => self.opened(&key).await.map(Some),
            None => Ok(None),
        }
    }

    /// The key of the account at an ACME issuer; it is made, and kept before the issuer sees it, where there is none.
    ///
    /// # Errors
    /// As [`Self::issuer_key`].
    pub async fn account_key(
        &self,
        issuer: InventoryId,
        by: By<'_>,
    ) -> Result<SecretString, InventoryError> {
        if let Some(key) = self.issuer_key(issuer).await? {
            return Ok(key);
        }
        // ACME's accounts of this library have keys of this kind only.
        let key = made(KeyAlgorithm::EcdsaP256).await?;
        let action = "certificate_issuer.key_make";
        self.keep_issuer_key(issuer, &key, None, action, by).await?;
        Ok(key)
    }

    async fn keep_issuer_key(
        &self,
        issuer: InventoryId,
        key: &SecretString,
        certificate: Option<(String, crate::domain::time::Timestamp)>,
        action: &str,
        by: By<'_>,
    ) -> Result<(), InventoryError> {
        let id = self.store.inventory_ids(1, by.now).await?.0;
        let after =
            json!({"private_key": id, "certificate": certificate.as_ref().map(|(pem, _)| pem)});
        for _ in 0..ATTEMPTS {
            let new = IssuerKey {
                key: self.sealed_key(id, KeyOwner::Issuer(issuer), key)?,
                certificate: certificate.clone(),
                audit: NewAudit {
                    actor: by.actor.to_owned(),
                    action: action.to_owned(),
                    object: format!("certificate_issuer:{issuer}"),
                    before: None,
                    after: Some(after.clone()),
                },
            };
            match self.store.issuer_key_keep(new, by.now).await? {
                SecretKept::Kept => return Ok(()),
                SecretKept::Moved | SecretKept::KeyRetired => self.safe.refresh().await?,
            }
        }
        Err(busy(Noun::CertificateIssuer.spec()))
    }

    /// A private key that is kept.
    ///
    /// # Errors
    /// [`InventoryError::Damaged`]; `NotFound`; the store's.
    pub async fn private_key(&self, id: i64) -> Result<SecretString, InventoryError> {
        let key = self.store.private_key_get(id).await?;
        self.opened(&key).await
    }

    /// Writes down that a certificate is about to be ordered, with its private key; answers the issue's id.
    ///
    /// # Errors
    /// `Conflict` where one is on its way; the store's.
    pub async fn issue_begin(&self, order: Ordered, by: By<'_>) -> Result<i64, InventoryError> {
        let id = self.store.inventory_ids(2, by.now).await?.0;
        let new = match order.key {
            KeyWanted::New(algorithm) => Some(made(algorithm).await?),
            KeyWanted::Same(_) => None,
        };
        for _ in 0..ATTEMPTS {
            let owner = KeyOwner::Automation(order.automation);
            let key = match (&new, order.key) {
                (None, KeyWanted::Same(key)) => IssueKey::Same(key),
                (Some(key), _) => IssueKey::New(self.sealed_key(id + 1, owner, key)?),
                (None, KeyWanted::New(_)) => return Err(InventoryError::NoSecret),
            };
            let issue = NewIssue {
                id,
                automation: order.automation,
                issuer: order.issuer,
                key,
                names: order.names.clone(),
            };
            match self.store.certificate_issue_begin(issue, by.now).await? {
                SecretKept::Kept => return Ok(id),
                SecretKept::Moved | SecretKept::KeyRetired => self.safe.refresh().await?,
            }
        }
        Err(busy(Noun::CertificateAutomation.spec()))
    }

    fn sealed_key(
        &self,
        id: i64,
        owner: KeyOwner,
        key: &SecretString,
    ) -> Result<PrivateKey, InventoryError> {
        let place = crate::domain::sealed::Place::of_private_key(id, owner.id());
        let sealed = self.safe.seal(&place, key)?;
        Ok(PrivateKey { id, owner, sealed })
    }

    async fn opened(&self, key: &PrivateKey) -> Result<SecretString, InventoryError> {
        match self.safe.reveal(&key.place(), &key.sealed).await {
            Ok(secret) => Ok(secret),
            Err(SafeError::Seal(SealError::Broken | SealError::UnknownKey(_))) => {
                log::error!(
                    "private key `{}` of `{}` was tampered with in the database; it was not used",
                    key.id,
                    key.owner.id()
                );
                Err(InventoryError::Damaged)
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn made(algorithm: KeyAlgorithm) -> Result<SecretString, InventoryError> {
    // The system has no randomness: nothing of the caller's is wrong.
    let failed = |error: String| InventoryError::Store(crate::store::StoreError::Other(error));
    // It computes: for RSA primes are looked for.
    let made = tokio::task::spawn_blocking(move || new_key(algorithm)).await;
    made.map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))
}

fn invalid(field: &str, detail: &str) -> InventoryError {
    InventoryError::one(Reason::Invalid(Vec::from([FieldError::new(field, detail)])))
}
