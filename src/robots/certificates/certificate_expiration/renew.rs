//! Deciding which certificates are renewed, and ordering them.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::in_force::Facts;
use super::{Run, Unfit, read};
use crate::connect::issuer::{
    Acme, Authority, CertificateRequest, IssueError, Issuer, check_issued,
};
use crate::domain::id::InventoryId;
use crate::domain::inventory::{
    CertificateAutomationBody, CertificateIssuerBody, IssuerKind, Noun, is_host,
};
use crate::domain::renewal::{Hold, Quota, Renewal, Verdict, decide};
use crate::domain::time::Timestamp;
use crate::robot::RobotError;
use crate::robot::inventory::{KeyWanted, Ordered};
use crate::store::certificate::{Issue, IssueStep};
use crate::store::inventory::Item;
use crate::store::page::{PAGE_ROWS_MAX, PageRequest};

/// What robots know of an automation.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) current: Option<InventoryId>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    renewal_asked_at: Option<Timestamp>,
    failures: u32,
    next_attempt_at: Option<Timestamp>,
}

/// An issuer, read once a run.
struct Known {
    item: Item,
    body: CertificateIssuerBody,
    quota: Quota,
}

/// An automation on its way.
pub(super) struct Automation {
    pub(super) id: InventoryId,
    pub(super) body: CertificateAutomationBody,
    pub(super) state: State,
    /// The certificate that the first one renews.
    first: Option<Facts>,
    open: Option<Issue>,
}

impl Run<'_> {
    /// Renews what is due.
    pub(super) async fn renew_all(&mut self) -> Result<(), RobotError> {
        let open = self.ctx.store().certificate_issue_open().await?;
        let mut open: HashMap<InventoryId, Issue> = open
            .into_iter()
            .map(|issue| (issue.automation, issue))
            .collect();
        let mut issuers = HashMap::new();
        let mut after = None;
        loop {
            let page = PageRequest {
                limit: PAGE_ROWS_MAX,
                after,
            };
            let noun = Noun::CertificateAutomation;
            let found = self.inventory.list(noun, Vec::new(), page).await?;
            for item in found.items {
                if self.is_over() || self.tally.renewed >= self.settings.quota {
                    return Ok(());
                }
                let open = open.remove(&item.id);
                self.look_at(&item, open, &mut issuers).await?;
            }
            after = found.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn look_at(
        &mut self,
        item: &Item,
        open: Option<Issue>,
        issuers: &mut HashMap<InventoryId, Known>,
    ) -> Result<(), RobotError> {
        let looked = async {
            let body: CertificateAutomationBody = read(&item.body)?;
            let first = match body.certificate {
                Some(id) => {
                    let certificate = self.inventory.get(Noun::Certificate, id).await?;
                    Some(read(&certificate.state)?)
                }
                None => None,
            };
            Ok(Automation {
                id: item.id,
                body,
                state: read(&item.state)?,
                first,
                open,
            })
        };
        let automation = match looked.await {
            Ok(automation) => automation,
            Err(Unfit::Store(error)) => return Err(error.into()),
            Err(Unfit::Because(reason, _)) => {
                self.ctx
                    .warn(format!("automation {} is passed over: {reason}", item.id));
                return Ok(());
            }
        };
        if !automation.body.enabled {
            return Ok(());
        }
        let issuer = match issuers.entry(automation.body.issuer) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                unknown.insert(self.known(automation.body.issuer).await?)
            }
        };
        match decide(&automation.renewal(issuer.quota), self.now()) {
            Verdict::Keep(_) => Ok(()),
            Verdict::Hold(hold) => {
                self.tally.held += 1;
                if hold == Hold::Quota {
                    let name = &issuer.body.name;
                    self.ctx
                        .warn(format!("`{name}` has had all orders of its window"));
                }
                Ok(())
            }
            Verdict::Renew => self.renew(&automation, issuer).await,
        }
    }

    async fn known(&self, id: InventoryId) -> Result<Known, RobotError> {
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
        Ok(Known { item, body, quota })
    }

    async fn renew(
        &mut self,
        automation: &Automation,
        issuer: &mut Known,
    ) -> Result<(), RobotError> {
        let id = automation.id;
        match self.issue(automation, issuer).await {
            Ok(()) => {
                self.tally.renewed += 1;
                self.touched.insert(id);
                Ok(())
            }
            Err(Unfit::Store(error)) => Err(error.into()),
            Err(Unfit::Because(reason, least)) => {
                self.tally.renewals_failed += 1;
                self.ctx.warn(format!(
                    "the certificate of `{}` is not renewed: {reason}",
                    automation.body.name
                ));
                let setback = self.setback(id, automation.state.failures, (reason, least));
                self.ctx.store().certificate_renewal_failed(setback).await?;
                Ok(())
            }
        }
    }

    async fn issue(&self, automation: &Automation, issuer: &mut Known) -> Result<(), Unfit> {
        if !issuer.body.enabled {
            return Err(Unfit::because(
                "order a certificate: its issuer is disabled",
            ));
        }
        let mut issue = self.begun(automation, issuer).await?;
        let key = self.inventory.private_key(issue.private_key).await?;
        let pem = match issue.certificate.take() {
            Some(pem) => pem,
            None => {
                let request = CertificateRequest {
                    names: issue.names.clone(),
                    key,
                    lifetime: issuer.body.lifetime,
                    now: self.now(),
                };
                self.ordered(&issue, request, issuer).await?
            }
        };
        self.put_in_force(automation, &issue, pem).await
    }

    /// The issue that is on its way, or a new one; one that was begun for something else is given up.
    async fn begun(&self, automation: &Automation, issuer: &mut Known) -> Result<Issue, Unfit> {
        let store = self.ctx.store();
        let names = automation.names()?;
        if let Some(open) = &automation.open {
            let fits = open.issuer == automation.body.issuer && open.names == names;
            if fits || open.certificate.is_some() {
                return Ok(open.clone());
            }
            let step = IssueStep::Abandoned;
            store
                .certificate_issue_note(open.id, step, self.now())
                .await?;
        }
        let current = store.certificate_issue_current(automation.id).await?;
        let key = match current.filter(|_| automation.body.reuse_key) {
            Some(current) => KeyWanted::Same(current.private_key),
            None => KeyWanted::New(automation.body.key_algorithm),
        };
        let order = Ordered {
            automation: automation.id,
            issuer: automation.body.issuer,
            key,
            names,
        };
        let id = self.inventory.issue_begin(order, self.by()).await?;
        issuer.quota.used += 1;
        Ok(store.certificate_issue_get(id).await?)
    }

    /// Asks the issuer; each of its answers is written down before it is used.
    async fn ordered(
        &self,
        issue: &Issue,
        request: CertificateRequest,
        known: &Known,
    ) -> Result<String, Unfit> {
        let account;
        let issuer: Box<dyn Issuer + '_> = match (known.body.kind, &known.body.acme) {
            (IssuerKind::Acme, Some(rules)) => {
                account = self.inventory.account_key(known.item.id, self.by()).await?;
                Box::new(Acme::new(rules, &account))
            }
            _ => Box::new(self.authority(known).await?),
        };
        let store = self.ctx.store();
        let url = match &issue.order_url {
            Some(url) => Some(url.clone()),
            None => {
                let url = issuer.order(&issue.names).await.map_err(refused)?;
                let step = IssueStep::Order(url.clone());
                store
                    .certificate_issue_note(issue.id, step, self.now())
                    .await?;
                url
            }
        };
        let certified = issuer.certify(&request, url.as_deref()).await;
        let checked = certified.and_then(|pem| {
            check_issued(&pem, &request.key, request.now)?;
            Ok(pem)
        });
        let step = match &checked {
            Ok(pem) => Some(IssueStep::Certificate(pem.clone())),
            Err(error) => error.order_lost.then_some(IssueStep::Order(None)),
        };
        if let Some(step) = step {
            store
                .certificate_issue_note(issue.id, step, self.now())
                .await?;
        }
        checked.map_err(refused)
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

impl Automation {
    fn renewal(&self, quota: Quota) -> Renewal<'_> {
        let own = self.state.not_before.zip(self.state.not_after);
        let first = self.first.as_ref();
        Renewal {
            life: own.or_else(|| first.map(|facts| (facts.not_before, facts.not_after))),
            lead: self.body.renew_before,
            asked: self.state.renewal_asked_at.is_some(),
            begun: self.open.is_some(),
            next_attempt_at: self.state.next_attempt_at,
            window: self.body.window.as_ref(),
            quota,
        }
    }

    /// What the certificate shall be for.
    fn names(&self) -> Result<Vec<String>, Unfit> {
        if !self.body.names.is_empty() {
            return Ok(self.body.names.clone());
        }
        let first = self.first.iter().flat_map(|facts| &facts.names);
        let names: Vec<String> = first
            .map(|name| name.to_ascii_lowercase())
            .filter(|name| is_host(name))
            .collect();
        if names.is_empty() {
            return Err(Unfit::because(
                "order a certificate: the one to be renewed is for no host; set `names`",
            ));
        }
        Ok(names)
    }
}

fn refused(error: IssueError) -> Unfit {
    Unfit::Because(error.to_string(), error.wait.unwrap_or_default())
}
