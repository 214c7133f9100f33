//! Putting certificates in force that were issued.

use serde::Deserialize;
use serde_json::{Value, json};

use super::renew::Automation;
use super::{Run, Unfit, read};
use crate::domain::inventory::{Noun, chain, fingerprint};
use crate::domain::time::Timestamp;
use crate::robot::inventory::{InventoryError, NewItem, Reason};
use crate::store::audit::NewAudit;
use crate::store::certificate::{Issue, IssueEnd};
use crate::store::inventory::{Item, Narrow, Wanted};
use crate::store::page::PageRequest;

/// What is known of a certificate.
#[derive(Debug, Deserialize)]
pub(super) struct Facts {
    pub(super) serial: String,
    pub(super) names: Vec<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Run<'_> {
    /// Files a certificate that was issued, and makes it the one of its automation.
    pub(super) async fn put_in_force(
        &self,
        automation: &Automation,
        issue: &Issue,
        pem: String,
    ) -> Result<(), Unfit> {
        let certificate = self.filed(automation, pem).await?;
        let facts: Facts = read(&certificate.state)?;
        let replaces = automation.state.current.or(automation.body.certificate);
        let data = json!({
            "certificate": certificate.id, "automation": automation.id, "replaces": replaces,
            "serial": facts.serial, "not_after": facts.not_after,
        });
        let event = format!("certificate.renewed:{}", issue.id);
        let end = IssueEnd {
            issue: issue.id,
            automation: automation.id,
            certificate: certificate.id,
            serial: facts.serial,
            life: (facts.not_before, facts.not_after),
            audit: NewAudit {
                actor: self.ctx.robot().to_owned(),
                action: "certificate_automation.renewed".to_owned(),
                object: format!("certificate_automation:{}", automation.id),
                before: Some(json!({"certificate": replaces})),
                after: Some(json!({"certificate": certificate.id})),
            },
            events: Vec::from([self.event(&event, "certificate.renewed", certificate.id, data)]),
        };
        self.ctx
            .store()
            .certificate_issue_end(end, self.now())
            .await?;
        let (name, end) = (&automation.body.name, facts.not_after);
        self.ctx.info(format!(
            "the certificate of `{name}` is renewed until {end}"
        ));
        Ok(())
    }

    /// The certificate in the inventory; a run that was cut off may have laid it there.
    async fn filed(&self, automation: &Automation, pem: String) -> Result<Item, Unfit> {
        let leaf = chain(&pem).ok().and_then(|ders| ders.into_iter().next());
        let print = leaf.map(|der| fingerprint(&der)).unwrap_or_default();
        let description = format!("Issued for `{}`.", automation.body.name);
        let Value::Object(fields) = json!({"certificate": pem, "description": description}) else {
            return Err(Unfit::because("keep the certificate"));
        };
        let new = NewItem {
            fields,
            secret: None,
        };
        let made = self
            .inventory
            .create(Noun::Certificate, Vec::from([new]), self.by())
            .await;
        let found = match made {
            Ok(made) => made,
            Err(InventoryError::Refused(reasons))
                if matches!(reasons.as_slice(), [(_, Reason::Taken(_))]) =>
            {
                self.by_fingerprint(print).await?
            }
            Err(InventoryError::Refused(reasons)) => {
                return Err(unkept(&reasons));
            }
            Err(error) => return Err(error.into()),
        };
        let gone = || Unfit::because("keep the certificate: somebody removed it");
        found.into_iter().next().ok_or_else(gone)
    }

    async fn by_fingerprint(&self, print: String) -> Result<Vec<Item>, Unfit> {
        let filters = Noun::Certificate.spec().filters.iter();
        let narrow = filters
            .filter(|filter| filter.name == "fingerprint")
            .map(|filter| Narrow {
                filter,
                value: Wanted::Text(print.clone()),
            });
        let page = PageRequest {
            limit: 1,
            after: None,
        };
        let listed = self
            .inventory
            .list(Noun::Certificate, narrow.collect(), page)
            .await?;
        Ok(listed.items)
    }
}

/// What the inventory has against a certificate, such as a chain that is too long.
fn unkept(reasons: &[(usize, Reason)]) -> Unfit {
    let details = reasons.iter().flat_map(|(_, reason)| match reason {
        Reason::Invalid(errors) => errors.as_slice(),
        _ => &[],
    });
    let details: Vec<&str> = details.map(|error| error.detail.as_str()).collect();
    Unfit::because(format!("keep the certificate: it {}", details.join(", ")))
}
