//! Ids and names in paths. One that cannot exist is 404, like one that does not.

use std::future::{Ready, ready};
use std::str::FromStr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use super::error::ApiError;
use super::state::ApiState;
use crate::domain::id::{ProcessId, TaskId};
use crate::robot::registry::Entry;

/// The `{id}` of a path.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(pub T);

/// What an id belongs to, for the error.
pub trait Noun: FromStr + 'static {
    /// The word.
    const NOUN: &'static str;
}

impl Noun for TaskId {
    const NOUN: &'static str = "task";
}

impl Noun for ProcessId {
    const NOUN: &'static str = "process";
}

impl<T: Noun> FromRequest for PathId<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.match_info().query("id");
        let id = read_id(text).map(Self);
        ready(id.ok_or_else(|| ApiError::missing(T::NOUN, text)))
    }
}

/// Reads an id, which has one form: `parse` alone would take `+7` and `007`.
#[must_use]
pub fn read_id<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// The robot that `{name}` of a path names.
#[derive(Debug)]
pub struct PathRobot(pub Arc<Entry>);

impl FromRequest for PathRobot {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let name = request.match_info().query("name");
        let state = request.app_data::<web::Data<ApiState>>();
        let entry = state.and_then(|state| state.registry().get(name));
        ready(
            entry
                .map(Self)
                .ok_or_else(|| ApiError::missing("robot", name)),
        )
    }
}
