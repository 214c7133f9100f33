//! What is ordered of certificates on their pages: another one, that somebody agrees to it, and that one is revoked, after a caution.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::form::Posted;
use super::inventory::PathThing;
use super::shell::{Place, Shell, Visit, answer, see_and_tell};
use super::{plain, text as t, words};
use crate::api::inventory;
use crate::api::query::Query;
use crate::api::{Admin, ApiError, ApiState, Caller, Code, Operator};
use crate::domain::access::Role;
use crate::domain::id::InventoryId;
use crate::domain::inventory::{Noun, RevocationReason};
use crate::domain::time::Timestamp;

/// Characters of whom a certificate is made out to.
const SUBJECT_CHARS: usize = 1_024;

/// What the viewer may order of a thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// To agree to the certificate that waits for that.
    pub(super) approve: bool,
    /// To ask for another certificate.
    pub(super) renew: bool,
    /// To have it revoked.
    pub(super) revoke: bool,
}

impl Orders {
    /// Those of a thing of the inventory, as it is shown.
    pub(super) fn of(noun: Noun, thing: &Value, caller: &Caller, now: Timestamp) -> Self {
        match noun {
            Noun::CertificateAutomation => Self {
                approve: caller.role >= Role::Operator && inventory::may_agree(thing, caller, now),
                renew: caller.role >= Role::Operator,
                revoke: false,
            },
            Noun::Certificate => Self {
                revoke: caller.role >= Role::Admin
                    && thing.get("revocation_asked_at").is_none_or(Value::is_null),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// Where a thing is shown.
fn place(noun: Noun, id: InventoryId) -> String {
    format!("/inventory/{}/{id}", noun.spec().path)
}

/// Asks for another certificate of an automation.
pub(super) async fn renew(
    Operator(caller): Operator,
    PathThing(id): PathThing,
    _: Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    inventory::order_renewal(&state, id, &caller).await?;
    let back = place(Noun::CertificateAutomation, id);
    Ok(see_and_tell(&back, "renewal_asked", &id.to_string()))
}

/// Agrees to the certificate that is requested of an automation.
pub(super) async fn approve(
    Operator(caller): Operator,
    PathThing(id): PathThing,
    _: Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    inventory::agree(&state, id, &caller).await?;
    let back = place(Noun::CertificateAutomation, id);
    Ok(see_and_tell(&back, "renewal_approved", &id.to_string()))
}

#[derive(Template)]
#[template(path = "revoke.html")]
struct RevokePage {
    shell: Shell,
    id: String,
    subject: String,
}

/// What is to be thought of before a certificate is revoked.
pub(super) async fn caution(
    Admin(caller): Admin,
    PathThing(id): PathThing,
    _: Query<()>,
    visit: Visit,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let thing = inventory::one(&state, Noun::Certificate.spec(), id).await?;
    let subject = thing.get("subject").unwrap_or(&Value::Null);
    answer(&RevokePage {
        subject: plain::value(subject, SUBJECT_CHARS),
        id: id.to_string(),
        shell: visit.shell(Some(&caller), Place::Inventory, t::REVOKE, ""),
    })
}

/// Has a certificate revoked.
pub(super) async fn revoke(
    Admin(caller): Admin,
    PathThing(id): PathThing,
    Posted(fields): Posted,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let reason = fields.text("reason").parse::<RevocationReason>();
    let reason =
        reason.map_err(|error| ApiError::field(Code::Invalid, "reason", error.to_string()))?;
    inventory::order_revocation(&state, id, reason, &caller).await?;
    let back = place(Noun::Certificate, id);
    Ok(see_and_tell(&back, "revocation_ordered", &id.to_string()))
}
