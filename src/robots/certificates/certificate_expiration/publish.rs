//! Publishing certificates, and settling what was cut off.
//!
//! A publication is written down, the link is led to the new version in one step, the service reads it, and we look from
//! outside. If it is not served, the link is led back, the service reads again, and we look again. Where the machine cannot be
//! reached in between, the publication stays open and the next run settles it first.

use serde_json::json;

use super::site::Site;
use super::{Run, Unfit, read};
use crate::connect::issuer::check_issued;
use crate::connect::target::Failure;
use crate::connect::version_folder::{Switched, Version};
use crate::domain::failure::Effect;
use crate::domain::id::InventoryId;
use crate::domain::inventory::{
    CertificateAutomationBody, CertificateBindingBody, Noun, chain, fingerprint,
};
use crate::domain::renewal::held;
use crate::robot::RobotError;
use crate::store::StoreError;
use crate::store::certificate::{DueBinding, Publication, PublicationEnd, PublicationState};

/// Bindings that are read at once.
const PAGE: u32 = 100;

/// What is to be served.
struct Wanted {
    due: DueBinding,
    automation: InventoryId,
    issue: i64,
    pem: String,
    fingerprint: String,
    /// The private key's id.
    key: i64,
}

/// Where a publication was left.
enum Left {
    /// The certificate is served.
    Published,
    /// What was there before is there again: why the new one is not; none where nothing was tried.
    Back(Option<String>),
    /// Neither could be proven: somebody must look.
    Broken(String),
    /// It is not known, and the next run finds out.
    Open(String),
}

impl Run<'_> {
    /// Settles publications that were cut off.
    pub(super) async fn settle_all(&mut self) -> Result<(), RobotError> {
        for publication in self.ctx.store().certificate_publication_open().await? {
            if self.is_over() {
                break;
            }
            let left = match self.settle(&publication).await {
                Ok(left) => left,
                Err(Unfit::Because(reason, _)) => Left::Open(reason),
                Err(Unfit::Store(error)) => return Err(error.into()),
            };
            self.tally.settled += usize::from(!matches!(left, Left::Open(_)));
            self.leave(publication, 0, left).await?;
        }
        Ok(())
    }

    async fn settle(&self, publication: &Publication) -> Result<Left, Unfit> {
        let body: CertificateBindingBody = serde_json::from_value(publication.place.clone())
            .map_err(|error| Unfit::Store(StoreError::Other(format!("a place: {error}"))))?;
        match self.inventory.get(Noun::Credential, body.credential).await {
            Err(StoreError::NotFound { .. }) => {
                let reason =
                    "settle a publication: its credential is gone; look what the machine has";
                return Ok(Left::Broken(reason.to_owned()));
            }
            found => drop(found?),
        }
        let site = self.site(body, &[]).await?;
        let left = settle_at(&site, publication).await;
        site.leave(self.ctx).await?;
        left
    }

    /// Publishes what is in force and not served yet.
    pub(super) async fn publish_all(&mut self) -> Result<(), RobotError> {
        let mut after = InventoryId(0);
        loop {
            let store = self.ctx.store();
            let due = store
                .certificate_binding_due(after, PAGE, self.now())
                .await?;
            let Some(last) = due.last() else {
                return Ok(());
            };
            after = last.binding;
            for due in due {
                if self.is_over() {
                    return Ok(());
                }
                match self.publish(due).await {
                    Ok(()) => {}
                    Err(Unfit::Store(error)) => return Err(error.into()),
                    Err(Unfit::Because(reason, least)) => {
                        self.tally.publications_failed += 1;
                        self.ctx.warn(format!("binding {}: {reason}", due.binding));
                        let setback = self.setback(due.binding, due.failures, (reason, least));
                        self.ctx.store().certificate_binding_failed(setback).await?;
                    }
                }
            }
        }
    }

    async fn publish(&mut self, due: DueBinding) -> Result<(), Unfit> {
        let began = self.now();
        let binding = self
            .inventory
            .get(Noun::CertificateBinding, due.binding)
            .await?;
        let body: CertificateBindingBody = read(&binding.body)?;
        let automation = body.automation;
        let item = self
            .inventory
            .get(Noun::CertificateAutomation, automation)
            .await?;
        let rules: CertificateAutomationBody = read(&item.body)?;
        if held(None, rules.window.as_ref(), began).is_some() {
            self.tally.held += 1;
            return Ok(());
        }
        let store = self.ctx.store();
        let issue = store.certificate_issue_get(due.issue).await?;
        let pem = issue.certificate.unwrap_or_default();
        let leaf = chain(&pem).ok().and_then(|ders| ders.into_iter().next());
        let print = leaf.map(|der| fingerprint(&der)).unwrap_or_default();
        let wanted = Wanted {
            due,
            automation,
            issue: issue.id,
            pem,
            fingerprint: print,
            key: issue.private_key,
        };
        let site = self.site(body, &issue.names).await?;
        let left = self.publish_at(&site, wanted).await;
        site.leave(self.ctx).await?;
        let Some((publication, left)) = left? else {
            self.tally.published += 1;
            self.touched.insert(automation);
            return Ok(());
        };
        self.leave(publication, due.failures, left)
            .await
            .map_err(Unfit::Store)
    }

    /// Brings a certificate to a machine, and has it served; none where it is served already.
    async fn publish_at(
        &self,
        site: &Site,
        wanted: Wanted,
    ) -> Result<Option<(Publication, Left)>, Unfit> {
        let (store, began) = (self.ctx.store(), self.now());
        let previous = site.folder().look().await.map_err(unreached)?;
        let served = site.served().await.ok();
        let version = wanted.issue.to_string();
        let print = wanted.fingerprint;
        if previous.as_deref() == Some(version.as_str()) && served.as_deref() == Some(&print) {
            store
                .certificate_binding_served(wanted.due, print, began)
                .await?;
            return Ok(None);
        }
        let key = self.inventory.private_key(wanted.key).await?;
        check_issued(&wanted.pem, &key, began).map_err(Unfit::because)?;
        let staged = Version {
            name: &version,
            certificate: &wanted.pem,
            key: &key,
            owner: site.body.owner.as_deref(),
            key_mode: site.body.key_mode.digits(),
        };
        site.folder().stage(&staged).await.map_err(unreached)?;
        let publication = Publication {
            id: self.inventory_id().await?,
            binding: wanted.due.binding,
            automation: wanted.automation,
            issue: wanted.issue,
            place: serde_json::to_value(&site.body).unwrap_or_default(),
            fingerprint: print,
            previous,
            served_before: served,
        };
        store
            .certificate_publication_begin(publication.clone(), began)
            .await?;
        let left = carry(site, &publication).await;
        Ok(Some((publication, left)))
    }

    async fn inventory_id(&self) -> Result<i64, Unfit> {
        let ids = self.ctx.store().inventory_ids(1, self.now()).await?;
        Ok(ids.0)
    }

    /// Writes down where a publication was left.
    async fn leave(
        &mut self,
        publication: Publication,
        failures: u32,
        left: Left,
    ) -> Result<(), StoreError> {
        let (binding, id) = (publication.binding, publication.id);
        let (state, why, served) = match left {
            Left::Open(reason) => {
                self.tally.publications_failed += 1;
                self.ctx
                    .warn(format!("publication {id} stays open: {reason}"));
                let setback = self.setback(binding, failures, (reason, std::time::Duration::ZERO));
                return self.ctx.store().certificate_binding_failed(setback).await;
            }
            Left::Published => (PublicationState::Published, None, None),
            Left::Back(why) => {
                let before = publication.served_before.clone();
                (PublicationState::RolledBack, why, before)
            }
            Left::Broken(why) => (PublicationState::Broken, Some(why), None),
        };
        let kind = match (state, &why) {
            (PublicationState::Published, _) => Some("certificate.published"),
            (_, Some(_)) => Some("certificate.publish_failed"),
            (_, None) => None,
        };
        if state == PublicationState::Published {
            self.tally.published += 1;
            self.touched.insert(publication.automation);
            self.ctx
                .info(format!("binding {binding} serves its certificate"));
        } else if let Some(why) = &why {
            self.tally.publications_failed += 1;
            self.ctx
                .warn(format!("binding {binding} is {}: {why}", state.as_str()));
        }
        let data = json!({
            "binding": binding, "automation": publication.automation, "issue": publication.issue,
            "state": state.as_str(), "reason": why, "sha256": publication.fingerprint,
        });
        let event = kind.map(|kind| self.event(&format!("{kind}:{id}"), kind, binding, data));
        let end = PublicationEnd {
            publication,
            state,
            served,
            setback: why
                .map(|why| self.setback(binding, failures, (why, std::time::Duration::ZERO))),
            events: event.into_iter().collect(),
        };
        let store = self.ctx.store();
        store
            .certificate_publication_end(end, self.now())
            .await
            .map(drop)
    }
}

/// Settles a publication by what its machine has.
async fn settle_at(site: &Site, publication: &Publication) -> Result<Left, Unfit> {
    let seen = site.folder().look().await.map_err(unreached)?;
    let version = publication.issue.to_string();
    if seen.as_deref() == Some(version.as_str()) {
        return Ok(prove(site, publication).await);
    }
    if seen == publication.previous {
        return Ok(settled_back(site, publication).await);
    }
    let seen = seen.unwrap_or_else(|| "nothing".to_owned());
    Ok(Left::Broken(format!(
        "settle a publication: the link leads to {seen}, where somebody else led it"
    )))
}

/// What could not be done left everything as it was.
fn unreached(failure: Failure) -> Unfit {
    Unfit::because(failure)
}

/// Leads the link to the new version and proves that it is served, or goes back.
async fn carry(site: &Site, publication: &Publication) -> Left {
    let version = publication.issue.to_string();
    let previous = publication.previous.as_deref();
    match site.folder().switch(previous, Some(&version)).await {
        Ok(Switched::Done) => prove(site, publication).await,
        Ok(Switched::Elsewhere) => {
            let reason =
                "lead the link to the new version: somebody else led it elsewhere meanwhile";
            Left::Back(Some(reason.to_owned()))
        }
        Err(failure) if failure.effect == Effect::None => Left::Back(Some(failure.to_string())),
        Err(failure) => Left::Open(failure.to_string()),
    }
}

/// The link leads to the new version: is it served?
async fn prove(site: &Site, publication: &Publication) -> Left {
    match site.prove(&publication.fingerprint).await {
        Ok(()) => {
            let version = publication.issue.to_string();
            let before = publication.previous.as_deref();
            if let Err(failure) = site.folder().tidy(&version, before).await {
                log::warn!("old versions are left: failed to {failure}");
            }
            Left::Published
        }
        Err(reason) => go_back(site, publication, reason).await,
    }
}

/// Leads the link back, and proves that what was served before is served again.
async fn go_back(site: &Site, publication: &Publication, reason: String) -> Left {
    let version = publication.issue.to_string();
    let previous = publication.previous.as_deref();
    match site.folder().switch(Some(&version), previous).await {
        Ok(Switched::Done) => {}
        Ok(Switched::Elsewhere) => {
            return Left::Broken(format!(
                "{reason}; the link was not led back: somebody else led it elsewhere"
            ));
        }
        Err(failure) => return Left::Open(format!("{reason}; then failed to {failure}")),
    }
    match restored(site, publication).await {
        Ok(()) => Left::Back(Some(reason)),
        Err(more) => Left::Broken(format!(
            "{reason}; the link was led back, then failed to {more}"
        )),
    }
}

/// The link leads where it led before a publication that was cut off.
async fn settled_back(site: &Site, publication: &Publication) -> Left {
    match restored(site, publication).await {
        Ok(()) => Left::Back(None),
        Err(reason) => Left::Broken(format!("settle a publication that was cut off: {reason}")),
    }
}

/// Has the service serve what it served before, where it served anything.
async fn restored(site: &Site, publication: &Publication) -> Result<(), String> {
    let Some(before) = &publication.served_before else {
        return Ok(());
    };
    // A service that does not take its configuration keeps what it has; what counts is what it shows.
    let reloaded = site.reload().await;
    site.shows(before).await.map_err(|shown| match reloaded {
        Ok(()) => shown,
        Err(error) => format!("{error}; {shown}"),
    })
}
