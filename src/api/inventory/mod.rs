//! `/sites`, `/devices`, `/credentials` and the other nouns of the inventory: one set of handlers for all.
//!
//! Which noun is meant stands in the path; what it has stands in its specification (`domain::inventory`).

mod certificate;
pub(super) mod connectivity_tests;
pub(super) mod describe;
mod key;
mod secret;
mod shape;
mod target;
mod view;
pub(super) mod views;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde_json::Value;

use self::target::{Body, Filters, PathItem, PathNoun};
pub use self::view::columns;
use self::view::view;
use super::auth::{Admin, Viewer};
use super::csv::report_as;
use super::error::{ApiError, Code};
use super::etag::{IfMatch, etag};
use super::paging::PageParams;
use super::query::Query;
use super::state::ApiState;
use crate::domain::id::InventoryId;
use crate::domain::inventory::{Noun, NounSpec};
use crate::robot::inventory::{By, InventoryError, Reason};
use crate::store::inventory::{Item, Narrow};
use crate::store::page::{Page, PageRequest};

pub use certificate::{agree, may_agree, order_renewal, order_revocation};
pub(super) use certificate::{
    approve as approve_renewal, key as issuer_key, renew as renew_certificate,
    revoke as revoke_certificate,
};
pub use secret::reveal;
pub(super) use secret::view as view_secret;
pub use target::{id, narrowed, noun_at};

/// Things of a noun, newest first.
pub(super) async fn list(
    _: Viewer,
    PathNoun(spec): PathNoun,
    Query((page, filters)): Query<(PageParams, Filters)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let Filters(filters) = filters;
    let views = select(&state, spec, filters, page.request()).await?;
    report_as(&request, views, &columns(spec))
}

/// A part of the things of a noun, newest first, without their secrets.
///
/// # Errors
/// A database that does not answer.
pub async fn select(
    state: &ApiState,
    spec: &NounSpec,
    filters: Vec<Narrow>,
    page: PageRequest,
) -> Result<Page<Value>, ApiError> {
    let found = state.inventory.list(spec.noun, filters, page).await?;
    Ok(Page {
        items: found.items.iter().map(|item| view(spec, item)).collect(),
        next: found.next,
    })
}

/// One thing without its secret.
///
/// # Errors
/// There is none of this id; a database that does not answer.
pub async fn one(state: &ApiState, spec: &NounSpec, id: InventoryId) -> Result<Value, ApiError> {
    let item = state.inventory.get(spec.noun, id).await?;
    Ok(view(spec, &item))
}

/// What things are called; those that are gone are left out.
///
/// # Errors
/// A database that does not answer.
pub async fn names(
    state: &ApiState,
    noun: Noun,
    ids: Vec<InventoryId>,
) -> Result<Vec<(InventoryId, String)>, ApiError> {
    Ok(state.store.inventory_names(noun, ids).await?)
}

/// One thing.
pub(super) async fn get(
    _: Viewer,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let item = state.inventory.get(spec.noun, id).await?;
    Ok(shown(HttpResponse::Ok(), spec, &item))
}

/// Makes a thing.
pub(super) async fn create(
    Admin(caller): Admin,
    PathNoun(spec): PathNoun,
    _: Query<()>,
    body: Body,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let new = body.creating(spec)?;
    key::judge(spec, &new, None).await?;
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    let made = state
        .inventory
        .create(spec.noun, Vec::from([new]), by)
        .await?;
    let item = made
        .first()
        .ok_or_else(|| ApiError::internal("a thing was made and is not there"))?;
    let mut answer = HttpResponse::Created();
    let place = format!("/api/v1/{}/{}", spec.path, item.id);
    answer.insert_header((header::LOCATION, place));
    Ok(shown(answer, spec, item))
}

/// Changes a thing.
pub(super) async fn change(
    Admin(caller): Admin,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    condition: IfMatch,
    body: Body,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let patch = body.changing(spec)?;
    let item = state.inventory.get(spec.noun, id).await?;
    key::judge(spec, &patch, Some(&item.body)).await?;
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    let expected = condition.expected(item.revision);
    let changed = state
        .inventory
        .change(spec.noun, id, expected, &patch, by)
        .await?;
    Ok(shown(HttpResponse::Ok(), spec, &changed))
}

/// Removes a thing.
pub(super) async fn remove(
    Admin(caller): Admin,
    PathItem { spec, id }: PathItem,
    _: Query<()>,
    condition: IfMatch,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let item = state.inventory.get(spec.noun, id).await?;
    let by = By {
        actor: &caller.name,
        now: state.now(),
    };
    let expected = condition.expected(item.revision);
    state.inventory.remove(spec.noun, id, expected, by).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn shown(mut answer: HttpResponseBuilder, spec: &NounSpec, item: &Item) -> HttpResponse {
    answer
        .insert_header(etag(item.revision))
        .json(view(spec, item))
}

impl From<InventoryError> for ApiError {
    fn from(error: InventoryError) -> Self {
        match error {
            // The API changes one thing a call.
            InventoryError::Refused(reasons) => match reasons.into_iter().next() {
                Some((_, reason)) => reason.into(),
                None => Self::internal("a change was refused for no reason"),
            },
            InventoryError::TooMany(max) => {
                Self::new(Code::Invalid, format!("at most {max} things in one call"))
            }
            InventoryError::Damaged => Self::new(
                Code::Damaged,
                "the stored secret was changed beside robotd, so it is not shown; set a new one, and find out who writes \
                 into the database",
            ),
            InventoryError::NoSecret => {
                Self::new(Code::Conflict, "the credential has no secret yet")
            }
            InventoryError::Keys(_) => Self::internal(error),
            InventoryError::Store(error) => error.into(),
        }
    }
}

impl From<Reason> for ApiError {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Invalid(errors) => Self::fields(Code::Invalid, errors),
            Reason::Taken(error) => Self::fields(Code::Conflict, Vec::from([error])),
            Reason::InUse(what) => Self::new(Code::Conflict, what),
            Reason::Stale { current } => Self::new(
                Code::Stale,
                format!("it is at revision {current}; read it again and decide anew"),
            ),
            Reason::Missing(what) => Self::new(Code::NotFound, format!("{what} is not there")),
        }
    }
}
