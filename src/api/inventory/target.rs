//! What a request of the inventory is about: its noun, the thing, the filters, the body.

use std::future::{Future, Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::body::{BODY_BYTES_MAX, Head, parse, refusal};
use super::super::error::{ApiError, Code};
use super::super::object::UniqueObject;
use super::super::path::read_id;
use super::super::query::{FromParams, Params};
use crate::domain::id::InventoryId;
use crate::domain::inventory::check::NAME_CHARS_MAX;
use crate::domain::inventory::column::{Filter, FilterKind};
use crate::domain::inventory::patch::Fields;
use crate::domain::inventory::{Noun, NounSpec, SecretSpec};
use crate::domain::secret::Secret;
use crate::domain::time::to_micros;
use crate::robot::inventory::NewItem;
use crate::store::inventory::{Narrow, Wanted};

/// Media types of bodies; the first for changes only, where it says how the second is meant anyway.
const MEDIA: [&str; 2] = ["application/merge-patch+json", "application/json"];

/// The noun that a path begins with, and what stands behind it.
fn parts(path: &str) -> Option<(&'static NounSpec, &str)> {
    let rest = path.strip_prefix("/api/v1/")?;
    let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
    Some((noun_at(head)?, tail))
}

/// The noun that a part of a path names.
#[must_use]
pub fn noun_at(part: &str) -> Option<&'static NounSpec> {
    let named = Noun::ALL.into_iter().map(Noun::spec);
    named.into_iter().find(|spec| spec.path == part)
}

/// The noun of a path.
#[derive(Debug)]
pub(in crate::api) struct PathNoun(pub(super) &'static NounSpec);

impl FromRequest for PathNoun {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let path = request.path();
        ready(
            parts(path)
                .map(|(spec, _)| Self(spec))
                .ok_or_else(|| ApiError::missing("path", path)),
        )
    }
}

/// The noun and the `{id}` of a path.
#[derive(Debug)]
pub(in crate::api) struct PathItem {
    pub(super) spec: &'static NounSpec,
    pub(super) id: InventoryId,
}

impl FromRequest for PathItem {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let path = request.path();
        let text = request.match_info().query("id");
        ready(match parts(path) {
            Some((spec, _)) => id(text)
                .map(|id| Self { spec, id })
                .ok_or_else(|| ApiError::missing(&spec.noun.title(), text)),
            None => Err(ApiError::missing("path", path)),
        })
    }
}

/// Reads an id. `parse` alone would take `+7` and `007`; an id has one form.
#[must_use]
pub fn id(text: &str) -> Option<InventoryId> {
    read_id(text)
}

/// The filters of a noun's list.
#[derive(Debug)]
pub(in crate::api) struct Filters(pub(super) Vec<Narrow>);

impl FromParams for Filters {
    fn from_params(params: &mut Params<'_>) -> Self {
        let spec = parts(params.path()).map(|(spec, _)| spec);
        Self(spec.map(|spec| narrowed(spec, params)).unwrap_or_default())
    }
}

/// Takes the filters of a noun's list.
pub fn narrowed(spec: &'static NounSpec, params: &mut Params<'_>) -> Vec<Narrow> {
    let narrow = |filter: &'static Filter| {
        let value = wanted(params, filter)?;
        Some(Narrow { filter, value })
    };
    spec.filters.iter().filter_map(narrow).collect()
}

fn wanted(params: &mut Params<'_>, filter: &Filter) -> Option<Wanted> {
    let name = filter.name;
    match filter.kind {
        FilterKind::Name | FilterKind::Text => params.text(name, NAME_CHARS_MAX).map(Wanted::Text),
        FilterKind::Ref => params
            .id::<InventoryId>(name)
            .map(|InventoryId(id)| Wanted::Int(id)),
        FilterKind::Before => params.time(name).map(|at| Wanted::Int(to_micros(at))),
        FilterKind::Bool => params.read(name, |text| match text {
            "true" => Ok(Wanted::Bool(true)),
            "false" => Ok(Wanted::Bool(false)),
            _ => Err("must be true or false".to_owned()),
        }),
    }
}

/// A body with fields, and perhaps a secret. Its bytes are wiped when it was read.
pub(in crate::api) struct Body {
    fields: Fields,
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let head = Head::of(request);
        let payload = payload.take();
        let known: &[&str] = if request.method() == actix_web::http::Method::PATCH {
            &MEDIA
        } else {
            &MEDIA[1..]
        };
        Box::pin(async move {
            let media = head.media(known);
            let bytes = Zeroizing::new(head.read(payload, BODY_BYTES_MAX).await?);
            if bytes.is_empty() {
                return Err(ApiError::new(Code::Malformed, "the body is empty"));
            }
            media?;
            let UniqueObject(fields) = parse(&bytes)?;
            Ok(Self { fields })
        })
    }
}

impl Body {
    /// What is to be made; over HTTP a noun that has a secret gets one from the start.
    pub(super) fn creating(self, spec: &NounSpec) -> Result<NewItem, ApiError> {
        let new = self.changing(spec)?;
        match &spec.secret {
            Some(SecretSpec { field, .. }) if new.secret.is_none() => Err(ApiError::field(
                Code::Invalid,
                *field,
                format!("missing field `{field}`"),
            )),
            _ => Ok(new),
        }
    }

    /// The fields as a type.
    pub(super) fn reading<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        serde_path_to_error::deserialize(Value::Object(self.fields)).map_err(refusal)
    }

    /// What is to be changed.
    pub(super) fn changing(mut self, spec: &NounSpec) -> Result<NewItem, ApiError> {
        let secret = match &spec.secret {
            Some(spec) => secret(spec, &mut self.fields)?,
            None => None,
        };
        Ok(NewItem {
            fields: self.fields,
            secret,
        })
    }
}

/// Takes a secret out of the fields, with what opens it.
fn secret(spec: &SecretSpec, fields: &mut Fields) -> Result<Option<Secret>, ApiError> {
    let invalid = |field, detail| Err(ApiError::field(Code::Invalid, field, detail));
    let passphrase = match fields.remove(spec.passphrase) {
        Some(Value::String(text)) => Some(SecretString::from(text)),
        None | Some(Value::Null) => None,
        Some(_) => return invalid(spec.passphrase, "must be a string"),
    };
    match fields.remove(spec.field) {
        Some(Value::String(text)) => Ok(Some(Secret {
            text: text.into(),
            passphrase,
        })),
        Some(_) => invalid(
            spec.field,
            "must be a string; a secret is replaced, it cannot be removed",
        ),
        None if passphrase.is_some() => invalid(
            spec.passphrase,
            "belongs to a key: send the `secret` with it",
        ),
        None => Ok(None),
    }
}
