//! `/credentials/{id}/view`: the only way to see a secret.

use actix_web::{HttpResponse, web};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::auth::Operator;
use super::super::body::{Json, RequestBody};
use super::super::error::{ApiError, Code};
use super::super::query::Query;
use super::super::state::ApiState;
use super::target::PathItem;
use crate::domain::id::InventoryId;
use crate::domain::inventory::check::Problems;
use crate::domain::secret::Secret;
use crate::robot::inventory::{By, Viewed};

/// Bound on a reason in characters.
const REASON_CHARS_MAX: usize = 500;

/// Why somebody wants to see a secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ViewBody {
    /// In the viewer's words; stands in the audit trail.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

impl RequestBody for ViewBody {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// A secret, shown once.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SecretView<'a> {
    /// The credential.
    id: String,
    /// The secret.
    secret: &'a str,
    /// What opens it, where it is a key that is encrypted.
    passphrase: Option<&'a str>,
    /// Which version of it.
    secret_version: i64,
}

/// Shows the secret in force. The view is on disk, in the audit trail and published before this is answered.
pub(in crate::api) async fn view(
    Operator(caller): Operator,
    PathItem { id, .. }: PathItem,
    _: Query<()>,
    Json(body): Json<ViewBody>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let viewed = reveal(&state, id, body.reason, &caller.name).await?;
    let Secret { text, passphrase } = &viewed.secret;
    Ok(HttpResponse::Ok().json(SecretView {
        id: id.to_string(),
        secret: text.expose_secret(),
        passphrase: passphrase.as_ref().map(ExposeSecret::expose_secret),
        secret_version: viewed.version,
    }))
}

/// The secret in force of a credential, and which version it is.
///
/// # Errors
/// There is no such credential, or it has no secret; a reason that is no line of at most 500 characters; a database that
/// does not answer.
pub async fn reveal(
    state: &ApiState,
    id: InventoryId,
    reason: Option<String>,
    actor: &str,
) -> Result<Viewed, ApiError> {
    let mut problems = Problems::default();
    problems.optional_line("reason", reason.as_ref(), REASON_CHARS_MAX);
    let errors = problems.into_errors();
    if !errors.is_empty() {
        return Err(ApiError::fields(Code::Invalid, errors));
    }
    let by = By {
        actor,
        now: state.now(),
    };
    Ok(state.inventory.view_secret(id, reason, by).await?)
}
