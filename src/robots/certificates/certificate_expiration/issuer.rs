//! Issuers as a run knows them.

use serde_json::Value;

use super::{Run, Unfit, read};
use crate::connect::issuer::{Acme, Authority, Issuer};
use crate::domain::id::InventoryId;
use crate::domain::inventory::{CertificateIssuerBody, IssuerKind, Noun};
use crate::domain::renewal::Quota;
use crate::robot::RobotError;
use crate::store::inventory::Item;

/// An issuer, read once a run.
pub(super) struct Known {
    item: Item,
    pub(super) body: CertificateIssuerBody,
    pub(super) quota: Quota,
    /// Whether it did not answer a question that can wait.
    pub(super) is_silent: bool,
}

impl Run<'_> {
    pub(super) async fn known(&self, id: InventoryId) -> Result<Known, RobotError> {
        let item = self.inventory.get(Noun::CertificateIssuer, id).await?;
        let body: CertificateIssuerBody = match read(&item.body) {
            Ok(body) => body,
            Err(Unfit::Store(error)) => return Err(error.into()),
            Err(Unfit::Because(reason, _)) => return Err(RobotError::fail("issuer", reason)),
        };
        let since = self.now() - body.orders_window;
        let used = self.ctx.store().certificate_issues_since(id, since).await?;
        let quota = Quota {
            used,
            max: body.orders_max,
        };
        Ok(Known {
            item,
            body,
            quota,
            is_silent: false,
        })
    }

    /// Who issues; nobody is spoken to yet.
    pub(super) async fn signer(&self, known: &Known) -> Result<Box<dyn Issuer>, Unfit> {
        Ok(match (known.body.kind, &known.body.acme) {
            (IssuerKind::Acme, Some(rules)) => {
                let account = self.inventory.account_key(known.item.id, self.by());
                Box::new(Acme::new(rules.clone(), account.await?))
            }
            _ => Box::new(self.authority(known).await?),
        })
    }

    async fn authority(&self, known: &Known) -> Result<Authority, Unfit> {
        let certificate = known.item.state.get("certificate").and_then(Value::as_str);
        let not_after = known
            .item
            .state
            .get("not_after")
            .cloned()
            .unwrap_or_default();
        let key = self.inventory.issuer_key(known.item.id).await?;
        match (certificate, serde_json::from_value(not_after).ok(), key) {
            (Some(certificate), Some(not_after), Some(key)) => Ok(Authority {
                certificate: certificate.to_owned(),
                key,
                not_after,
            }),
            _ => Err(Unfit::because(
                "order a certificate: its issuer has no key yet; make or import it",
            )),
        }
    }
}
