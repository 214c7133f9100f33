//! What people decide on certificates: another one is asked for, agreed to, or one is revoked.

use serde_json::{Value, json};

use super::{By, Inventory};
use crate::domain::id::InventoryId;
use crate::domain::inventory::{Noun, RevocationReason};
use crate::domain::time::to_micros;
use crate::store::StoreError;
use crate::store::audit::NewAudit;
use crate::store::certificate_decision::{Cause, Told};
use crate::store::inventory::Item;

impl Inventory {
    /// Notes that another certificate is wanted: published as `certificate.renewal_requested`.
    ///
    /// # Errors
    /// `NotFound`; the store's.
    pub async fn renewal_request(
        &self,
        automation: InventoryId,
        cause: Cause,
        by: By<'_>,
    ) -> Result<(), StoreError> {
        let kind = "certificate.renewal_requested";
        let told = self.decided(
            (Noun::CertificateAutomation, automation),
            "renew",
            kind,
            None,
            by,
        );
        let store = &self.store;
        store
            .certificate_renewal_request(automation, cause, told, by.now)
            .await
    }

    /// Agrees to another certificate that was requested: published as `certificate.renewal_approved`. Answers the automation. Who
    /// may is the caller's to ask.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where none was requested; the store's.
    pub async fn renewal_approve(
        &self,
        automation: InventoryId,
        by: By<'_>,
    ) -> Result<Item, StoreError> {
        let noun = Noun::CertificateAutomation;
        let kind = "certificate.renewal_approved";
        let told = self.decided((noun, automation), "approve", kind, None, by);
        let store = &self.store;
        store
            .certificate_renewal_approve(automation, told, by.now)
            .await?;
        self.get(noun, automation).await
    }

    /// Orders that a certificate is revoked: published as `certificate.revocation_requested`. Answers the certificate.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where it was not issued here, or that was ordered before; the store's.
    pub async fn revocation_ask(
        &self,
        certificate: InventoryId,
        reason: RevocationReason,
        by: By<'_>,
    ) -> Result<Item, StoreError> {
        let noun = Noun::Certificate;
        self.get(noun, certificate).await?;
        let kind = "certificate.revocation_requested";
        let told = self.decided((noun, certificate), "revoke", kind, Some(reason), by);
        let store = &self.store;
        store
            .certificate_revocation_ask(certificate, reason, told, by.now)
            .await?;
        self.get(noun, certificate).await
    }

    /// Notes that a certificate is revoked: published as `certificate.revoked`.
    ///
    /// # Errors
    /// The store's.
    pub async fn revoked(
        &self,
        certificate: InventoryId,
        reason: RevocationReason,
        by: By<'_>,
    ) -> Result<(), StoreError> {
        let of = (Noun::Certificate, certificate);
        let told = self.decided(of, "revoked", "certificate.revoked", Some(reason), by);
        self.store
            .certificate_revoked(certificate, told, by.now)
            .await
    }

    /// The audit entry and the event of a decision. Both are of this instant: nobody decides the same twice within one.
    fn decided(
        &self,
        (noun, id): (Noun, InventoryId),
        verb: &str,
        kind: &str,
        reason: Option<RevocationReason>,
        by: By<'_>,
    ) -> Told {
        let word = noun.spec().word;
        let mut data = json!({"id": id, "actor": by.actor});
        if let (Some(reason), Value::Object(fields)) = (reason, &mut data) {
            fields.insert("reason".to_owned(), json!(reason));
        }
        let event = format!("{word}:{id}:{verb}:{}", to_micros(by.now));
        Told {
            audit: NewAudit {
                actor: by.actor.to_owned(),
                action: format!("{word}.{verb}"),
                object: format!("{word}:{id}"),
                before: None,
                after: reason.map(|reason| json!({"revocation_reason": reason})),
            },
            events: Vec::from([self.told(&event, kind, id, data)]),
        }
    }
}
