//! `/certificate-issuers/{id}/key`, `/certificate-automations/{id}/renew` and `/approve`, `/certificates/{id}/revoke`: what is ordered of
//! them.

use actix_web::{HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::auth::{Admin, Operator};
use super::super::error::{ApiError, Code};
use super::super::query::Query;
use super::super::state::ApiState;
use super::shown;
use super::target::{Body, PathItem};
use crate::domain::access::Role;
use crate::domain::approval::{ApprovalState, Question};
use crate::domain::inventory::RevocationReason;
use crate::domain::time::Timestamp;
use crate::robot::inventory::{By, Imported};
use crate::store::certificate_decision::Cause;

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
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    let inventory = &state.inventory;
    inventory.renewal_request(id, Cause::Asked, by).await?;
    let automation = inventory.get(spec.noun, id).await?;
    Ok(shown(HttpResponse::Accepted(), spec, &automation))
}

/// What an automation says of who must agree, and how that stands.
#[derive(Deserialize)]
struct Approvable {
    approval_role: Option<Role>,
    renewal_requested_by: Option<String>,
    renewal_approved_at: Option<Timestamp>,
}

/// Agrees to the certificate that is requested. Not who asked for it, and only a role that the automation names.
pub(in crate::api) async fn approve(
    Operator(caller): Operator,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let item = state.inventory.get(spec.noun, id).await?;
    let mut fields = item.body;
    fields.extend(item.state);
    let automation: Approvable =
        serde_json::from_value(fields.into()).map_err(ApiError::internal)?;
    let Some((role, requested_by)) = automation
        .approval_role
        .zip(automation.renewal_requested_by.as_deref())
    else {
        return Err(ApiError::new(
            Code::Conflict,
            "nothing waits for an approval",
        ));
    };
    // What was agreed to before the automation was changed counts no longer.
    let approved = automation.renewal_approved_at;
    let standing = match approved.filter(|at| *at >= item.updated_at) {
        Some(_) => ApprovalState::Approved,
        None => ApprovalState::WaitingApproval,
    };
    let question = Question {
        state: standing,
        requested_by,
        role,
        expires_at: Timestamp::MAX_UTC,
    };
    let now = state.now();
    if let Some(obstacle) = question.obstacle(&caller.name, caller.role, now) {
        return Err(obstacle.into());
    }
    let by = By {
        actor: &caller.name,
        now,
    };
    let approved = state.inventory.renewal_approve(id, by).await?;
    Ok(shown(HttpResponse::Accepted(), spec, &approved))
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
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    let certificate = state.inventory.revocation_ask(id, reason, by).await?;
    Ok(shown(HttpResponse::Accepted(), spec, &certificate))
}
