//! `/certificate-issuers/{id}/key`, `/certificate-automations/{id}/renew` and `/approve`, `/certificates/{id}/revoke`: what is ordered of
//! them.

use actix_web::{HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::auth::{Admin, Caller, Operator};
use super::super::error::{ApiError, Code};
use super::super::query::Query;
use super::super::state::ApiState;
use super::target::{Body, PathItem};
use super::{one, shown};
use crate::domain::access::Role;
use crate::domain::approval::{ApprovalState, Question};
use crate::domain::id::InventoryId;
use crate::domain::inventory::{Noun, RevocationReason};
use crate::domain::time::Timestamp;
use crate::robot::inventory::{By, Imported};
use crate::store::certificate_decision::Cause;
use crate::store::inventory::Item;

/// The key of an internal issuer: both fields to import an authority, none to have one made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct KeyBody {
    /// The authority's certificate and, behind it, those of who vouches for it: PEM.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 16384)]
    certificate: Option<String>,
    /// Its private key, PKCS#8 in PEM, unencrypted. Goes to the vault and is not shown again.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 16384, write_only)]
    private_key: Option<SecretString>,
}

/// Makes or imports the key of an issuer.
pub(in crate::api) async fn key(
    Admin(caller): Admin,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    body: Body,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let KeyBody {
        certificate,
        private_key,
    } = body.reading()?;
    let import = match (certificate, private_key) {
        (None, None) => None,
        (Some(certificate), Some(private_key)) => Some(Imported {
            certificate,
            private_key,
        }),
        (certificate, _) => {
            let missing = if certificate.is_none() {
                "certificate"
            } else {
                "private_key"
            };
            let detail = "must stand beside the other one; send `{}` to have both made";
            return Err(ApiError::field(Code::Invalid, missing, detail));
        }
    };
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    let issuer = state.inventory.authority_found(id, import, by).await?;
    Ok(shown(HttpResponse::Ok(), spec, &issuer))
}

/// Asks for another certificate, whatever the age of the one in force.
pub(in crate::api) async fn renew(
    Operator(caller): Operator,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let automation = order_renewal(&state, id, &caller).await?;
    Ok(shown(HttpResponse::Accepted(), spec, &automation))
}

/// Asks in the name of `caller` for another certificate of an automation, and answers the automation.
///
/// # Errors
/// There is none of this id; a database that does not answer.
pub async fn order_renewal(
    state: &ApiState,
    id: InventoryId,
    caller: &Caller,
) -> Result<Item, ApiError> {
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    let inventory = &state.inventory;
    inventory.renewal_request(id, Cause::Asked, by).await?;
    Ok(inventory.get(Noun::CertificateAutomation, id).await?)
}

/// What an automation says of who must agree, and how that stands.
#[derive(Deserialize)]
struct Approvable {
    approval_role: Option<Role>,
    renewal_requested_by: Option<String>,
    renewal_approved_at: Option<Timestamp>,
    updated_at: Timestamp,
}

impl Approvable {
    /// What is asked of whom; none: nothing is.
    fn question(&self) -> Option<Question<'_>> {
        // What was agreed to before the automation was changed counts no longer.
        let approved = self.renewal_approved_at;
        let standing = match approved.filter(|at| *at >= self.updated_at) {
            Some(_) => ApprovalState::Approved,
            None => ApprovalState::WaitingApproval,
        };
        Some(Question {
            state: standing,
            requested_by: self.renewal_requested_by.as_deref()?,
            role: self.approval_role?,
            expires_at: Timestamp::MAX_UTC,
        })
    }
}

/// Whether `caller` may agree to the certificate that is requested of an automation, which is shown as `thing`.
#[must_use]
pub fn may_agree(thing: &Value, caller: &Caller, now: Timestamp) -> bool {
    let automation = Approvable::deserialize(thing);
    automation.is_ok_and(|automation| {
        let question = automation.question();
        question.is_some_and(|asked| asked.obstacle(&caller.name, caller.role, now).is_none())
    })
}

/// Agrees to the certificate that is requested. Not who asked for it, and only a role that the automation names.
pub(in crate::api) async fn approve(
    Operator(caller): Operator,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let approved = agree(&state, id, &caller).await?;
    Ok(shown(HttpResponse::Accepted(), spec, &approved))
}

/// Agrees in the name of `caller` to the certificate that is requested of an automation, and answers the automation.
///
/// # Errors
/// There is none of this id; nothing is requested, or somebody agreed before; the caller's role does not suffice, or the request
/// is the caller's own; a database that does not answer.
pub async fn agree(state: &ApiState, id: InventoryId, caller: &Caller) -> Result<Item, ApiError> {
    let thing = one(state, Noun::CertificateAutomation.spec(), id).await?;
    let automation = Approvable::deserialize(thing).map_err(ApiError::internal)?;
    let question = automation.question();
    let question =
        question.ok_or_else(|| ApiError::new(Code::Conflict, "nothing waits for an approval"))?;
    let now = state.now();
    if let Some(obstacle) = question.obstacle(&caller.name, caller.role, now) {
        return Err(obstacle.into());
    }
    let by = By {
        actor: &caller.name,
        now,
    };
    Ok(state.inventory.renewal_approve(id, by).await?)
}

/// Why a certificate is revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RevokeBody {
    /// The reason (RFC 5280).
    reason: RevocationReason,
}

/// Has a certificate revoked that was issued here: it is not renewed, and published nowhere, unless that is asked for.
pub(in crate::api) async fn revoke(
    Admin(caller): Admin,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    body: Body,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let RevokeBody { reason } = body.reading()?;
    let certificate = order_revocation(&state, id, reason, &caller).await?;
    Ok(shown(HttpResponse::Accepted(), spec, &certificate))
}

/// Has a certificate revoked in the name of `caller`, and answers it.
///
/// # Errors
/// There is none of this id; it was not issued here, or that was ordered before; a database that does not answer.
pub async fn order_revocation(
    state: &ApiState,
    id: InventoryId,
    reason: RevocationReason,
    caller: &Caller,
) -> Result<Item, ApiError> {
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    Ok(state.inventory.revocation_ask(id, reason, by).await?)
}
