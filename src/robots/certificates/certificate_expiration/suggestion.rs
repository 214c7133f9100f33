//! Asking issuers when certificates are best renewed (RFC 9773).

use std::time::Duration;

use super::issuer::Known;
use super::renew::Automation;
use super::{Run, Unfit};
use crate::connect::issuer::Suggestion;
use crate::domain::inventory::{IssuerKind, chain};
use crate::domain::renewal::within;
use crate::domain::time::Timestamp;
use crate::robot::RobotError;
use crate::store::StoreError;

/// How long an issuer is not asked again that has no opinion.
const UNOFFERED: Duration = Duration::from_hours(24);
/// How long one is not asked again that did not answer (RFC 9773, section 4.3.3).
const UNANSWERED: Duration = Duration::from_hours(6);

impl Run<'_> {
    /// When the certificate in force is best renewed, as far as its issuer says so; the issuer is asked where it is time to.
    ///
    /// One that does not answer is not asked for others in this run, and what it said before stays.
    pub(super) async fn suggested(
        &self,
        automation: &Automation,
        issuer: &mut Known,
    ) -> Result<Option<Timestamp>, RobotError> {
        let (state, now) = (&automation.state, self.now());
        let known = state.renewal_suggested_at;
        let is_time = state.suggestion_next_at.is_none_or(|next| next <= now);
        let asks = issuer.body.kind == IssuerKind::Acme && issuer.body.enabled && !issuer.is_silent;
        if !is_time || !asks || automation.open.is_some() {
            return Ok(known);
        }
        let Some(certificate) = self.issued(automation).await? else {
            return Ok(known);
        };
        let (suggested, wait) = match self.ask(issuer, &certificate).await {
            Ok(Some(suggestion)) => {
                let at = within(suggestion.window, seed(state.serial.as_deref()));
                (Some(at), suggestion.again_after)
            }
            Ok(None) => (None, UNOFFERED),
            Err(Unfit::Store(error)) => return Err(error.into()),
            Err(Unfit::Because(reason, _)) => {
                issuer.is_silent = true;
                self.ctx.warn(format!("`{}`: {reason}", issuer.body.name));
                (known, UNANSWERED)
            }
        };
        let store = self.ctx.store();
        store
            .certificate_suggestion_note(automation.id, suggested, now + wait)
            .await?;
        Ok(suggested)
    }

    async fn ask(&self, issuer: &Known, certificate: &[u8]) -> Result<Option<Suggestion>, Unfit> {
        let signer = self.signer(issuer).await?;
        let told = signer.suggestion(certificate).await;
        told.map_err(super::renew::refused)
    }

    /// The certificate in force (DER), where the automation's issuer issued it.
    pub(super) async fn issued(
        &self,
        automation: &Automation,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let current = self.ctx.store().certificate_issue_current(automation.id);
        let issue = current
            .await?
            .filter(|issue| issue.issuer == automation.body.issuer);
        let pem = issue.and_then(|issue| issue.certificate);
        let ders = pem.and_then(|pem| chain(&pem).ok());
        Ok(ders.and_then(|ders| ders.into_iter().next()))
    }
}

/// A number that is another one for each certificate, and always the same for one.
fn seed(serial: Option<&str>) -> u64 {
    let digits = serial.unwrap_or_default();
    let last = digits.len().saturating_sub(15);
    let last = digits.get(last..).unwrap_or_default();
    u64::from_str_radix(last, 16).unwrap_or(0)
}
