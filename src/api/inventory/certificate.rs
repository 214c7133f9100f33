//! `/certificate-issuers/{id}/key` and `/certificate-automations/{id}/renew`: what is ordered of them.

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
use crate::robot::inventory::{By, Imported};

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
    let automation = state.inventory.renewal_ask(id, by).await?;
    Ok(shown(HttpResponse::Accepted(), spec, &automation))
}
