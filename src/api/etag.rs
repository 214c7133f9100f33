//! Revisions as entity tags (RFC 9110 sections 8.8.3 and 13.1.1).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};

use super::error::{ApiError, Code};

/// Revisions begin at 1.
const NO_REVISION: i64 = 0;

/// Longest `If-Match` that is read; a list of a hundred revisions is shorter.
const HEADER_BYTES_MAX: usize = 1_024;

/// The condition under which a change is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// No header, or `*`: whatever the revision is.
    Any,
    /// One of these tags, without their quotes.
    Tags(Vec<String>),
}

/// How [`IfMatch`] is described.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described, never made")]
pub struct IfMatchParam {
    /// The revision that the change is meant for, quoted as in `ETag`; `*` or nothing: any.
    #[param(rename = "If-Match", nullable = false, example = "\"3\"")]
    if_match: Option<String>,
}

impl IfMatch {
    /// The revision the change is to insist on, when the thing is at `current` now. Where no tag is that of
    /// `current` it is one that nothing ever has: whether the change is sound is judged first, and only
    /// then its precondition (RFC 9110, 13.2.1).
    #[must_use]
    pub fn expected(&self, current: i64) -> Option<i64> {
        match self {
            Self::Any => None,
            Self::Tags(tags) if tags.contains(&current.to_string()) => Some(current),
            Self::Tags(_) => Some(NO_REVISION),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut all = request.headers().get_all(header::IF_MATCH);
        ready(match (all.next(), all.next()) {
            (None, _) => Ok(Self::Any),
            (Some(value), None) => value.to_str().ok().and_then(if_match).ok_or_else(malformed),
            (Some(_), Some(_)) => Err(malformed()),
        })
    }
}

fn malformed() -> ApiError {
    ApiError::field(
        Code::Malformed,
        "If-Match",
        "must be `*` or quoted revisions such as \"3\"",
    )
}

/// `*`, or a list of tags. Weak tags are read but never match: the comparison is a strong one.
fn if_match(text: &str) -> Option<IfMatch> {
    if text.len() > HEADER_BYTES_MAX {
        return None;
    }
    if text.trim() == "*" {
        return Some(IfMatch::Any);
    }
    let mut tags = Vec::new();
    for tag in text.split(',').map(str::trim) {
        let (weak, quoted) = match tag.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, tag),
        };
        let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
        if inner
            .bytes()
            .any(|byte| byte == b'"' || byte <= b' ' || byte == 0x7f)
        {
            return None;
        }
        if !weak {
            tags.push(inner.to_owned());
        }
    }
    Some(IfMatch::Tags(tags))
}

/// The tag of a revision.
#[must_use]
pub(super) fn etag(revision: i64) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{revision}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &[&str]) -> Option<IfMatch> {
        Some(IfMatch::Tags(
            list.iter().map(|tag| (*tag).to_owned()).collect(),
        ))
    }

    #[test]
    fn headers_are_read_as_the_rfc_says() {
        assert_eq!(if_match("*"), Some(IfMatch::Any));
        assert_eq!(if_match("\"3\""), tags(&["3"]));
        assert_eq!(if_match("\"3\", \"4\""), tags(&["3", "4"]));
        assert_eq!(if_match("W/\"3\""), tags(&[]));
        for garbage in ["", "3", "\"3", "\"3\"\"", "\"3\",", "w/\"3\"", "\"a b\""] {
            assert_eq!(if_match(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn only_the_current_revision_passes() {
        assert_eq!(IfMatch::Any.expected(7), None);
        assert_eq!(IfMatch::Tags(vec!["7".into()]).expected(7), Some(7));
        for stale in ["6", "07", "x"] {
            assert_eq!(
                IfMatch::Tags(vec![stale.into()]).expected(7),
                Some(NO_REVISION),
                "{stale}"
            );
        }
        let weak = IfMatch::Tags(vec![]);
        assert_eq!(
            weak.expected(7),
            Some(NO_REVISION),
            "a weak tag never matches"
        );
    }
}
