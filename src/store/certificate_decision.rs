//! What is decided on certificates: another one is asked for and agreed to, its issuer suggests when, one is revoked.

use crate::domain::id::InventoryId;
use crate::domain::inventory::RevocationReason;
use crate::domain::time::Timestamp;

use super::audit::NewAudit;
use super::backend::{read, write};
use super::event::NewEvent;
use super::signal::Signal;
use super::{Store, StoreResult};

/// Why another certificate is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The one in force is due.
    Due,
    /// Somebody asks for it, whatever the age of the one in force; its failures are forgotten.
    Asked,
}

/// What is written in the transaction of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its audit entry; the actor is who decides.
    pub audit: NewAudit,
    /// Published with it.
    pub events: Vec<NewEvent>,
}

/// A revocation that is asked for and not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Of which certificate.
    pub certificate: InventoryId,
    /// Who issued it.
    pub issuer: InventoryId,
    /// The certificate and its chain.
    pub pem: String,
    /// Why.
    pub reason: RevocationReason,
}

impl Store {
    /// Notes that another certificate of an automation is wanted; an approval of before counts no longer. `NotFound`.
    pub async fn certificate_renewal_request(
        &self,
        automation: InventoryId,
        cause: Cause,
        told: Told,
        now: Timestamp,
    ) -> StoreResult<()> {
        let ids = self.publication_ids(&told.events, now).await?;
        let published = write!(
            self,
            certificate_decision::request(automation, cause, &told, &ids, now)
        )?;
        self.tell_decided(published);
        Ok(())
    }

    /// Notes that somebody agrees to what was requested. `Conflict` where nothing is.
    pub async fn certificate_renewal_approve(
        &self,
        automation: InventoryId,
        told: Told,
        now: Timestamp,
    ) -> StoreResult<()> {
        let ids = self.publication_ids(&told.events, now).await?;
        let published = write!(
            self,
            certificate_decision::approve(automation, &told, &ids, now)
        )?;
        self.tell_decided(published);
        Ok(())
    }

    /// Notes when an issuer suggests that a certificate is renewed, and when it is asked again.
    pub async fn certificate_suggestion_note(
        &self,
        automation: InventoryId,
        suggested: Option<Timestamp>,
        next: Timestamp,
    ) -> StoreResult<()> {
        write!(
            self,
            certificate_decision::suggest(automation, suggested, next)
        )
    }

    /// Notes that a certificate is to be revoked. `Conflict` where it was not issued here, or that was asked before.
    pub async fn certificate_revocation_ask(
        &self,
        certificate: InventoryId,
        reason: RevocationReason,
        told: Told,
        now: Timestamp,
    ) -> StoreResult<()> {
        let ids = self.publication_ids(&told.events, now).await?;
        let published = write!(
            self,
            certificate_decision::revocation_ask(certificate, reason, &told, &ids, now)
        )?;
        self.tell_decided(published);
        Ok(())
    }

    /// The revocations that are asked for and not done, at most [`super::certificate::OPEN_MAX`].
    pub async fn certificate_revocations_open(&self) -> StoreResult<Vec<Revocation>> {
        read!(self, certificate_decision::revocations_open())
    }

    /// Notes that a certificate is revoked.
    pub async fn certificate_revoked(
        &self,
        certificate: InventoryId,
        told: Told,
        now: Timestamp,
    ) -> StoreResult<()> {
        let ids = self.publication_ids(&told.events, now).await?;
        let published = write!(
            self,
            certificate_decision::revoked(certificate, &told, &ids, now)
        )?;
        self.tell_decided(published);
        Ok(())
    }

    fn tell_decided(&self, published: super::event::Published) {
        self.tell(Signal::Inventory);
        self.tell(Signal::Syslog);
        self.tell_published(published);
    }
}
