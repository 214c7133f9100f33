//! What goes wrong in a request, as RFC 9457 `application/problem+json`.
//!
//! [`Code`] maps to status, stable `type` and title in one table. The `source` of an error goes to the
//! log and never to the caller.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::robot::FieldError;
use crate::runtime::handle::ChangeError;
use crate::store::StoreError;

/// Media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Most fields named in one answer: a batch of 10,000 bad tasks must not echo megabytes.
const ERRORS_MAX: usize = 100;

/// Seconds after which a caller may try again when the database or a stream's place is missing.
const RETRY_AFTER_SECONDS: &str = "2";

/// The kinds of failure. Each has a stable name that callers may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be read: JSON, query string, header or cursor.
    Malformed,
    /// No token, or one that is not known.
    Unauthorized,
    /// The token's role does not suffice.
    Forbidden,
    /// The thing, or the path, does not exist.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The thing is in a state that forbids this.
    Conflict,
    /// `If-Match` names another revision.
    Stale,
    /// The body is too large.
    TooLarge,
    /// The body is of a type that is not understood here.
    UnsupportedMediaType,
    /// The body can be read but its content is not acceptable.
    Invalid,
    /// What is stored was tampered with.
    Damaged,
    /// A defect of robotd.
    Internal,
    /// The database cannot be reached.
    Unavailable,
    /// Too many open streams.
    Overloaded,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 14] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::Stale,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::Damaged,
        Self::Internal,
        Self::Unavailable,
        Self::Overloaded,
    ];

    /// Status, name and title: the only table of them.
    #[must_use]
    pub const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "The request cannot be read",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "A valid token is needed",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "The token may not do this",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The path has no such method",
            ),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Its state forbids this"),
            Self::Stale => (
                StatusCode::PRECONDITION_FAILED,
                "stale",
                "It was changed meanwhile",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body's type is not understood here",
            ),
            Self::Invalid => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "The content is not acceptable",
            ),
            Self::Damaged => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "damaged",
                "What is stored cannot be trusted",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "An error inside robotd",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The database cannot be reached",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too much at once",
            ),
        }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.facts().0
    }

    /// The stable `type`. It is a name and does not pretend to be an address.
    #[must_use]
    pub fn uri(self) -> String {
        format!("urn:robotd:problem:{}", self.facts().1)
    }
}

/// A failed request.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    public: String,
    errors: Vec<FieldError>,
    source: Option<Box<dyn std::error::Error>>,
    allow: Option<String>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:robotd:problem:invalid", "title": "The content is not acceptable", "status": 422,
    "detail": "1 field is not acceptable",
    "errors": [{"field": "retry.max_attempts", "detail": "must be 1 to 100"}]
}))]
pub struct Problem {
    /// Stable name of the kind of problem, `urn:robotd:problem:NAME`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// This occurrence in words, and what to do about it.
    pub detail: String,
    /// Each bad field, at most 100; left out when no field is to blame.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<ProblemField>>, nullable = false)]
    pub errors: Vec<FieldError>,
}

/// One bad field.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// Path of the field, parameter or header: `retry.max_attempts`, `tasks[3].robot`, `cursor`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub detail: String,
}

impl ApiError {
    /// An error without fields.
    pub fn new(code: Code, public: impl Into<String>) -> Self {
        Self {
            code,
            public: public.into(),
            errors: Vec::new(),
            source: None,
            allow: None,
        }
    }

    /// An error that names fields, in the order given.
    #[must_use]
    pub fn fields(code: Code, mut errors: Vec<FieldError>) -> Self {
        let public = match errors.as_slice() {
            [one] if one.field.is_empty() => one.detail.clone(),
            [one] => format!("`{}`: {}", one.field, one.detail),
            many => format!("{} fields are not acceptable", many.len()),
        };
        errors.truncate(ERRORS_MAX);
        Self {
            errors,
            ..Self::new(code, public)
        }
    }

    /// An error that names one field.
    pub fn field(code: Code, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(code, vec![FieldError::new(field, detail)])
    }

    /// Something named by the caller does not exist. The name is cut to a bearable length.
    #[must_use]
    pub fn missing(noun: &str, name: &str) -> Self {
        let name: String = name.chars().take(80).collect();
        Self::new(Code::NotFound, format!("there is no {noun} `{name}`"))
    }

    /// The path exists, but not with this method.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let public = format!("this path answers {allow}");
        Self {
            allow: Some(allow.to_owned()),
            ..Self::new(Code::MethodNotAllowed, public)
        }
    }

    /// A defect; `source` is logged, the caller learns nothing of it.
    pub fn internal(source: impl Into<Box<dyn std::error::Error>>) -> Self {
        let public = "the request failed for a reason that is in the log of the node";
        Self {
            source: Some(source.into()),
            ..Self::new(Code::Internal, public)
        }
    }

    /// The kind of failure.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The bad fields it names.
    #[must_use]
    pub fn bad_fields(&self) -> &[FieldError] {
        &self.errors
    }

    fn log_source(&self) {
        let Some(source) = &self.source else { return };
        if self.code == Code::Internal {
            log::error!("a request failed: {source}");
        } else {
            log::warn!("a request was put off: {source}");
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// Actix asks once for each failed request, so this is where the source is logged.
    fn error_response(&self) -> HttpResponse {
        self.log_source();
        let (status, _, title) = self.code.facts();
        let mut answer = HttpResponse::build(status);
        match self.code {
            Code::Unauthorized => {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"robotd\""));
            }
            Code::Unavailable | Code::Overloaded => {
                answer.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        if let Some(allow) = &self.allow {
            answer.insert_header((header::ALLOW, allow.as_str()));
        }
        answer
            .insert_header((header::CONTENT_TYPE, PROBLEM_JSON))
            .json(Problem {
                kind: self.code.uri(),
                title: title.to_owned(),
                status: status.as_u16(),
                detail: self.public.clone(),
                errors: self.errors.clone(),
            })
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => {
                Self::new(Code::NotFound, format!("{what} is not there"))
            }
            StoreError::Conflict { what } => Self::new(Code::Conflict, what),
            StoreError::Unavailable(_) => Self {
                source: Some(Box::new(error)),
                ..Self::new(
                    Code::Unavailable,
                    // A commit may have been lost with its answer: nothing is said of what was changed.
                    "the database cannot be reached now; try again, what has a `unique_key` or an event's id is kept once",
                )
            },
            StoreError::Other(_) => Self::internal(error),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(name) => Self::missing("robot", &name),
            ChangeError::Invalid(errors) => Self::fields(Code::Invalid, errors),
            ChangeError::Stale { current } => Self::new(
                Code::Stale,
                format!("the robot is at revision {current}; read it again and decide anew"),
            ),
            ChangeError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Code::ALL.iter().map(|code| code.uri()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn the_source_stays_inside() {
        let error = ApiError::from(StoreError::Other("SELECT secret FROM tokens".to_owned()));
        assert!(!error.to_string().contains("SELECT"));
        assert_eq!(error.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn a_flood_of_bad_fields_is_cut() {
        let errors = vec![FieldError::new("x", "y"); 5_000];
        assert_eq!(
            ApiError::fields(Code::Invalid, errors).errors.len(),
            ERRORS_MAX
        );
    }
}
