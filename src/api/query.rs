//! Query strings: every bad or unknown parameter is refused by name.

use std::fmt::Display;
use std::future::{Ready, ready};
use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use utoipa::IntoParams;

use super::error::{ApiError, Code};
use super::state::ApiState;
use super::time::{NO_INSTANT, TimeBoundsError, check_time};
use crate::domain::category::Category;
use crate::domain::id::RobotId;
use crate::domain::robot::FieldError;
use crate::domain::time::Timestamp;

/// More parameters than this are not read: no route knows a third as many.
const PARAMS_MAX: usize = 32;

/// A query string in the form of `T`.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// A value read from query parameters.
pub trait FromParams {
    /// Takes its parameters; what is wrong with them is recorded in `params`.
    fn from_params(params: &mut Params<'_>) -> Self;
}

/// The parameters of a request on their way to being read.
#[derive(Debug)]
pub struct Params<'a> {
    path: &'a str,
    given: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl<'a> Params<'a> {
    fn parse(path: &'a str, query: &str) -> Self {
        let mut params = Self {
            path,
            given: Vec::new(),
            errors: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => params.enter(name, value),
                (Some(name), None) => params.refuse(&name, "is not percent-encoded UTF-8"),
                (None, _) => params.refuse("", "a parameter's name is not percent-encoded UTF-8"),
            }
        }
        params
    }

    fn enter(&mut self, name: String, value: String) {
        if self.given.iter().any(|(known, _)| *known == name) {
            self.refuse(&name, "is given more than once");
        } else if self.given.len() >= PARAMS_MAX {
            self.refuse(&name, "is one parameter too many");
        } else {
            self.given.push((name, value));
        }
    }

    /// Records that a parameter is not acceptable.
    pub(super) fn refuse(&mut self, field: &str, detail: impl Into<String>) {
        let field: String = field.chars().take(80).collect();
        self.errors.push(FieldError::new(field, detail));
    }

    /// The path of the request; cursors are bound to it.
    #[must_use]
    pub const fn path(&self) -> &str {
        self.path
    }

    /// Takes parameter `name` and reads it; a failure is recorded.
    pub fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let index = self.given.iter().position(|(known, _)| known == name)?;
        let (_, text) = self.given.swap_remove(index);
        match read(&text) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.refuse(name, detail);
                None
            }
        }
    }

    /// Takes a parameter whose type reads itself.
    pub fn word<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.read(name, |text| {
            text.parse::<T>().map_err(|error| error.to_string())
        })
    }

    /// Takes an id: a decimal number in its one form.
    pub fn id<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.read(name, |text| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
            let id = if plain { text.parse::<T>().ok() } else { None };
            id.ok_or_else(|| "must be an id: a positive decimal number".to_owned())
        })
    }

    /// Takes a whole number.
    pub fn number(&mut self, name: &str, bounds: RangeInclusive<i64>) -> Option<i64> {
        self.read(name, |text| {
            let plain =
                !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit());
            let number = if plain {
                text.parse::<i64>().ok()
            } else {
                None
            };
            number.filter(|n| bounds.contains(n)).ok_or_else(|| {
                format!(
                    "must be a whole number from {} to {}",
                    bounds.start(),
                    bounds.end()
                )
            })
        })
    }

    /// Takes an instant.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.read(name, |text| {
            let time = chrono::DateTime::parse_from_rfc3339(text)
                .map_err(|_| format!("{NO_INSTANT} (write + as %2B)"))?;
            check_time(time.to_utc()).map_err(|error: TimeBoundsError| error.to_string())
        })
    }

    /// Takes a text of 1 to `chars_max` characters.
    pub fn text(&mut self, name: &str, chars_max: usize) -> Option<String> {
        self.read(name, |text| {
            let fits = !text.is_empty()
                && text.chars().count() <= chars_max
                && !text.chars().any(char::is_control);
            if fits {
                Ok(text.to_owned())
            } else {
                Err(format!("must have 1 to {chars_max} printable characters"))
            }
        })
    }

    fn finish(mut self) -> Result<(), ApiError> {
        for (name, _) in std::mem::take(&mut self.given) {
            self.refuse(&name, "is not a parameter of this path");
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::fields(Code::Malformed, self.errors))
        }
    }
}

impl<T: FromParams> Query<T> {
    /// Reads the query string of a request for `path`.
    ///
    /// # Errors
    /// Every parameter that is bad or unknown.
    pub fn read(path: &str, query: &str) -> Result<Self, ApiError> {
        let mut params = Params::parse(path, query);
        let value = T::from_params(&mut params);
        params.finish().map(|()| Self(value))
    }
}

impl<T: FromParams> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request.path(), request.query_string()))
    }
}

impl FromParams for () {
    fn from_params(_: &mut Params<'_>) -> Self {}
}

macro_rules! together {
    ($($name:ident),+) => {
        impl<$($name: FromParams),+> FromParams for ($($name,)+) {
            fn from_params(params: &mut Params<'_>) -> Self {
                ($($name::from_params(params),)+)
            }
        }
    };
}

together!(A, B);
together!(A, B, C);
together!(A, B, C, D);

/// `application/x-www-form-urlencoded` text, strictly: a `%` has two hex digits, the bytes are UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? * 16 + hex(rest.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Filter by when a row came to be.
#[derive(Debug, Clone, Copy, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SpanParams {
    /// At or after this instant.
    #[param(value_type = Option<String>, format = DateTime, nullable = false)]
    pub from: Option<Timestamp>,
    /// Before this instant.
    #[param(value_type = Option<String>, format = DateTime, nullable = false)]
    pub to: Option<Timestamp>,
}

impl FromParams for SpanParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        let (from, to) = (params.time("from"), params.time("to"));
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            params.refuse("to", "must lie after `from`");
        }
        Self { from, to }
    }
}

/// Filter by robot.
#[derive(Debug, Clone, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RobotParams {
    /// Only this robot, by name.
    #[param(value_type = Option<String>, min_length = 1, max_length = 128, nullable = false)]
    pub robot: Option<String>,
    /// Only robots of this category, by title or by the first half of their names.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64, nullable = false)]
    pub category: Option<Category>,
}

impl FromParams for RobotParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            robot: params.text("robot", 128),
            category: category(params),
        }
    }
}

/// Takes parameter `category`.
pub(super) fn category(params: &mut Params<'_>) -> Option<Category> {
    params.read("category", |text| {
        Category::parse(text).ok_or_else(|| {
            let known: Vec<_> = Category::ALL.iter().map(|c| c.slug()).collect();
            format!("must be one of {}", known.join(", "))
        })
    })
}

/// The robots a filter selects.
#[derive(Debug, PartialEq, Eq)]
pub enum Selected {
    /// There is no filter.
    All,
    /// These, at least one.
    Some(Vec<RobotId>),
    /// None: the list is empty whatever else is asked.
    Nothing,
}

impl RobotParams {
    /// Resolves the filter; robots that are no longer declared are found by name.
    ///
    /// # Errors
    /// An unknown robot, or a store that does not answer.
    pub async fn select(&self, state: &ApiState) -> Result<Selected, ApiError> {
        let in_category = |id: RobotId| match self.category {
            None => true,
            Some(category) => state
                .registry()
                .by_id(id)
                .is_some_and(|e| e.definition.identity.category == category),
        };
        let ids: Vec<_> = match (&self.robot, self.category) {
            (None, None) => return Ok(Selected::All),
            (Some(name), _) => vec![robot_id(state, name).await?],
            (None, Some(_)) => state
                .registry()
                .all()
                .iter()
                .map(|entry| entry.id)
                .collect(),
        };
        let ids: Vec<_> = ids.into_iter().filter(|id| in_category(*id)).collect();
        Ok(if ids.is_empty() {
            Selected::Nothing
        } else {
            Selected::Some(ids)
        })
    }
}

async fn robot_id(state: &ApiState, name: &str) -> Result<RobotId, ApiError> {
    if let Some(entry) = state.registry().get(name) {
        return Ok(entry.id);
    }
    let rows = state.store.robot_list().await?;
    let row = rows.into_iter().find(|row| row.name == name);
    row.map(|row| row.id)
        .ok_or_else(|| ApiError::field(Code::Malformed, "robot", "there is no robot of this name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_strict() {
        assert_eq!(decode("a%20b+c").as_deref(), Some("a b c"));
        for garbage in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(decode(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn every_bad_parameter_is_named() {
        let mut params = Params::parse("/x", "limit=0&limit=2&nonsense=1&from=now&a=%ff");
        assert_eq!(params.number("limit", 1..=500), None);
        assert_eq!(params.time("from"), None);
        let errors = params.errors.clone();
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["limit", "a", "limit", "from"]);
        assert!(params.finish().is_err());
    }

    #[test]
    fn numbers_are_digits() {
        for text in ["", "-1", "+1", "1.0", "1e2", "99999999999999999999", "٣"] {
            let mut params = Params {
                path: "",
                given: vec![("n".into(), text.into())],
                errors: Vec::new(),
            };
            assert_eq!(params.number("n", 0..=i64::MAX), None, "{text}");
        }
    }
}
