//! Deciding which certificates are renewed, and ordering them.

use std::collections::HashMap;

use serde::Deserialize;

use super::in_force::Facts;
use super::issuer::Known;
use super::{Run, Unfit, read};
use crate::connect::issuer::{CertificateRequest, IssueError, check_issued};
use crate::domain::id::InventoryId;
use crate::domain::inventory::{CertificateAutomationBody, Noun, is_host};
use crate::domain::renewal::{Hold, Quota, Renewal, Verdict, decide};
use crate::domain::time::Timestamp;
use crate::robot::RobotError;
use crate::robot::inventory::{KeyWanted, Ordered};
use crate::store::certificate::{Issue, IssueStep};
use crate::store::certificate_decision::Cause;
use crate::store::inventory::Item;
use crate::store::page::{PAGE_ROWS_MAX, PageRequest};

/// What robots know of an automation.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) current: Option<InventoryId>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    pub(super) serial: Option<String>,
    revoked_at: Option<Timestamp>,
    renewal_asked_at: Option<Timestamp>,
    renewal_requested_at: Option<Timestamp>,
    renewal_approved_at: Option<Timestamp>,
    pub(super) renewal_suggested_at: Option<Timestamp>,
    pub(super) suggestion_next_at: Option<Timestamp>,
    failures: u32,
    next_attempt_at: Option<Timestamp>,
}

/// An automation on its way.
pub(super) struct Automation {
    pub(super) id: InventoryId,
    updated_at: Timestamp,
    pub(super) body: CertificateAutomationBody,
    pub(super) state: State,
    /// The certificate that the first one renews.
    first: Option<Facts>,
    pub(super) open: Option<Issue>,
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
                updated_at: item.updated_at,
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
        let suggested = self.suggested(&automation, issuer).await?;
        match decide(&automation.renewal(issuer.quota, suggested), self.now()) {
            Verdict::Keep(_) => Ok(()),
            Verdict::Hold(hold) => {
                self.tally.held += 1;
                self.hold(hold, &automation, issuer).await
            }
            Verdict::Renew => self.renew(&automation, issuer).await,
        }
    }

    /// Says why a renewal waits where people can do something about it; asks for their approval once.
    async fn hold(
        &self,
        hold: Hold,
        automation: &Automation,
        issuer: &Known,
    ) -> Result<(), RobotError> {
        let (name, issuer) = (&automation.body.name, &issuer.body.name);
        match hold {
            Hold::Quota => {
                self.ctx
                    .warn(format!("`{issuer}` has had all orders of its window"));
            }
            Hold::Approval => {
                self.ctx.info(format!("`{name}` waits for an approval"));
                if automation.state.renewal_requested_at.is_none() {
                    self.inventory
                        .renewal_request(automation.id, Cause::Due, self.by())
                        .await?;
                }
            }
            Hold::Revoked => {
                self.ctx
                    .info(format!("the certificate of `{name}` is revoked"));
            }
            Hold::BackOff(_) | Hold::Window => {}
        }
        Ok(())
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
                self.ordered(automation, &issue, request, issuer).await?
            }
        };
        self.put_in_force(automation, &issue, pem).await
    }

    /// The issue that is on its way, or a new one; one that was begun for something else is given up.
    async fn begun(&self, automation: &Automation, issuer: &mut Known) -> Result<Issue, Unfit> {
        let store = self.ctx.store();
        let names = automation.names()?;
        let current = store.certificate_issue_current(automation.id).await?;
        // Whatever it was revoked for, its key may be the reason.
        let is_revoked = automation.state.revoked_at.is_some();
        let old_key = current.as_ref().map(|issue| issue.private_key);
        if let Some(open) = &automation.open {
            let fits = open.issuer == automation.body.issuer && open.names == names;
            let is_spoilt = is_revoked && old_key == Some(open.private_key);
            if !is_spoilt && (fits || open.certificate.is_some()) {
                return Ok(open.clone());
            }
            let step = IssueStep::Abandoned;
            store
                .certificate_issue_note(open.id, step, self.now())
                .await?;
        }
        let reuses = automation.body.reuse_key && !is_revoked;
        let key = match current.filter(|_| reuses) {
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
        automation: &Automation,
        issue: &Issue,
        request: CertificateRequest,
        known: &Known,
    ) -> Result<String, Unfit> {
        let issuer = self.signer(known).await?;
        let store = self.ctx.store();
        let url = match &issue.order_url {
            Some(url) => Some(url.clone()),
            None => {
                let replaced = self.issued(automation).await?;
                let ordered = issuer.order(&issue.names, replaced.as_deref()).await;
                let url = ordered.map_err(refused)?;
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
}

impl Automation {
    fn renewal(&self, quota: Quota, suggested: Option<Timestamp>) -> Renewal<'_> {
        let own = self.state.not_before.zip(self.state.not_after);
        let first = self.first.as_ref();
        Renewal {
            life: own.or_else(|| first.map(|facts| (facts.not_before, facts.not_after))),
            lead: self.body.renew_before,
            suggested,
            revoked: self.state.revoked_at.is_some(),
            unapproved: self.body.approval_role.is_some() && !self.is_approved(),
            asked: self.state.renewal_asked_at.is_some(),
            begun: self.open.is_some(),
            next_attempt_at: self.state.next_attempt_at,
            window: self.body.window.as_ref(),
            quota,
        }
    }

    /// Whether somebody agreed to what it says now.
    fn is_approved(&self) -> bool {
        let approved = self.state.renewal_approved_at;
        approved.is_some_and(|at| at >= self.updated_at)
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

pub(super) fn refused(error: IssueError) -> Unfit {
    Unfit::Because(error.to_string(), error.wait.unwrap_or_default())
}
