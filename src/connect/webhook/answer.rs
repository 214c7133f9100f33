//! What a receiver answered, and what that means for the task.

use std::time::Duration;

use reqwest::header::{DATE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};

/// An answer is one message of the process log; the rest of it is not read.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A receiver cannot put a task off for longer than this by one answer.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// What the receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpEnd {
    /// The status code.
    pub status: u16,
    /// How long the receiver asks us to wait, at most [`RETRY_AFTER_MAX`].
    pub retry_after: Option<Duration>,
    /// The first [`BODY_BYTES_MAX`] bytes of the body, invalid UTF-8 replaced; what came, if it broke off.
    pub body_head: String,
}

/// What an answer means for its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpOutcome {
    /// A status of 200 to 299.
    Succeeded,
    /// The receiver cannot now; after the given time if it named one.
    TryAgain {
        /// For example `status 503 Service Unavailable`.
        why: String,
        /// Not before this has passed.
        after: Option<Duration>,
    },
    /// Any other status, an unfollowed redirect included; the text names it.
    Failed(String),
}

/// Reads an answer: 2xx is success, 408, 425, 429, 502, 503 and 504 ask for another try.
pub fn outcome_of(end: &HttpEnd) -> HttpOutcome {
    let named = StatusCode::from_u16(end.status).map(|status| status.to_string());
    let why = format!(
        "status {}",
        named.unwrap_or_else(|_| end.status.to_string())
    );
    match end.status {
        200..=299 => HttpOutcome::Succeeded,
        408 | 425 | 429 | 502 | 503 | 504 => HttpOutcome::TryAgain {
            why,
            after: end.retry_after,
        },
        _ => HttpOutcome::Failed(why),
    }
}

/// Reads the answer whose status has come, until the deadline.
pub(super) async fn end_of(mut response: Response, deadline: Instant) -> HttpEnd {
    let text = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let retry_after = text(RETRY_AFTER).and_then(|value| retry_after(value, text(DATE)));
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < BODY_BYTES_MAX {
        // The status is known: a body that ends early or late changes nothing.
        let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await else {
            break;
        };
        body.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX - body.len())]);
    }
    HttpEnd {
        status,
        retry_after,
        body_head: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date, which is compared with the
/// answer's own `Date`, so that a receiver's wrong clock does no harm. `None` if malformed.
fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = chrono::DateTime::parse_from_rfc2822(value).ok()?;
        let now = chrono::DateTime::parse_from_rfc2822(date?).ok()?;
        (until - now).to_std().unwrap_or(Duration::ZERO)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(status: u16) -> HttpEnd {
        HttpEnd {
            status,
            retry_after: Some(Duration::from_secs(7)),
            body_head: String::new(),
        }
    }

    #[test]
    fn the_status_decides_the_outcome() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(outcome_of(&end(status)), HttpOutcome::Succeeded);
        }
        for status in [408, 425, 429, 502, 503, 504] {
            let HttpOutcome::TryAgain { after, .. } = outcome_of(&end(status)) else {
                panic!("{status}")
            };
            assert_eq!(after, Some(Duration::from_secs(7)));
        }
        for status in [100, 301, 307, 400, 401, 404, 410, 500, 501, 599, 999] {
            assert!(
                matches!(outcome_of(&end(status)), HttpOutcome::Failed(_)),
                "{status}"
            );
        }
        assert_eq!(
            outcome_of(&end(500)),
            HttpOutcome::Failed("status 500 Internal Server Error".into())
        );
    }

    #[test]
    fn a_wait_is_read_in_both_forms_and_bounded() {
        let seconds = |value| {
            retry_after(value, Some("Wed, 21 Oct 2015 07:28:00 GMT")).map(|wait| wait.as_secs())
        };
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(
            seconds("99999999999999999999999999"),
            Some(RETRY_AFTER_MAX.as_secs())
        );
        assert_eq!(seconds("Wed, 21 Oct 2015 07:29:30 GMT"), Some(90));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        assert_eq!(
            seconds("Wed, 21 Oct 2099 07:00:00 GMT"),
            Some(RETRY_AFTER_MAX.as_secs())
        );
        for malformed in ["", "-1", "1.5", "soon", "+3"] {
            assert_eq!(seconds(malformed), None, "{malformed}");
        }
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:29:30 GMT", None), None);
    }

    proptest! {
        #[test]
        fn any_wait_is_bounded(value in ".{0,40}", date in proptest::option::of(".{0,40}")) {
            prop_assert!(retry_after(&value, date.as_deref()).is_none_or(|wait| wait <= RETRY_AFTER_MAX));
        }
    }
}
