//! Calls the operator's own HTTP endpoints.
//!
//! One call is one POST of JSON. The receiver's status decides, its answer's body is only for
//! the log. Calls are repeated after a failure, so each carries an `Idempotency-Key`.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Client, Url};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

mod answer;

pub use answer::{BODY_BYTES_MAX, HttpEnd, HttpOutcome, RETRY_AFTER_MAX, outcome_of};

use super::error::ConnectError;

/// A host that does not accept a connection within this is down or filtered.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// More redirects than this within one origin are a loop.
const REDIRECTS_MAX: usize = 5;

/// A token is a line; a larger file is not a token.
const TOKEN_BYTES_MAX: u64 = 8 * 1024;

/// What the errors say we failed to do.
const CALL: &str = "call";

/// An endpoint as the operator declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSpec {
    /// `http://` or `https://`; may hold secrets, so it is never logged whole.
    pub url: String,
    /// A file with a bearer token; read at each call, so that the token can be changed.
    pub token_file: Option<PathBuf>,
    /// PEM certificates to trust *instead of* the machine's own.
    pub ca_file: Option<PathBuf>,
}

/// One endpoint, ready to be called; keeps its connections open between calls.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    token_file: Option<PathBuf>,
}

impl Webhook {
    /// Checks the spec and reads the CA file. The process must have installed a TLS provider.
    ///
    /// # Errors
    /// [`ConnectError::Invalid`] for an address that is not HTTP or a process without a TLS
    /// provider, [`ConnectError::Unreadable`] for the CA file.
    pub fn new(spec: &HttpSpec) -> Result<Self, ConnectError> {
        // The address may hold secrets, and what is malformed has no place to name.
        let invalid = |what: &str, reason: String| ConnectError::Invalid {
            what: what.to_owned(),
            reason,
        };
        let url = Url::parse(&spec.url)
            .map_err(|error| invalid("address of the webhook", error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            let reason = "it does not begin with `http://` or `https://`".to_owned();
            return Err(invalid("address of the webhook", reason));
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(invalid(
                "webhook",
                "no TLS provider is installed".to_owned(),
            ));
        }
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .redirect(Policy::custom(redirect))
            .no_proxy()
            .user_agent(concat!("robotd/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &spec.ca_file {
            let pem = std::fs::read(file).map_err(|error| unreadable(file, &error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|error| unreadable(file, &reason(&error)))?;
            if certificates.is_empty() {
                return Err(unreadable(file, "it holds no certificate"));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder
            .build()
            .map_err(|error| invalid("webhook", reason(&error)))?;
        Ok(Self {
            client,
            url,
            token_file: spec.token_file.clone(),
        })
    }

    /// Posts the payload and answers what the receiver said, whatever the status; see [`outcome_of`].
    ///
    /// `limit` bounds the whole call. Once a status has come it counts, even if the body breaks
    /// off or takes too long: the receiver has done its work by then. `headers` are the run's own
    /// (`X-Robotd-Task-Id`, `Idempotency-Key`).
    ///
    /// # Errors
    /// [`ConnectError::TimedOut`] if no status came within the limit, [`ConnectError::Unreachable`]
    /// if there was no connection or it broke before the status, [`ConnectError::Tls`] if the
    /// receiver's certificate is not trusted, [`ConnectError::Refused`] if `cancel` came first,
    /// [`ConnectError::Invalid`] for a header and [`ConnectError::Unreadable`] for a token file
    /// that cannot be used.
    pub async fn call(
        &self,
        payload: &[u8],
        headers: &[(String, String)],
        cancel: &CancellationToken,
        limit: Duration,
    ) -> Result<HttpEnd, ConnectError> {
        let call = self.call_until(payload, headers, limit);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ConnectError::Refused {
                target: self.place(),
                step: CALL,
                reason: "it was cancelled".to_owned(),
            }),
            end = call => end,
        }
    }

    async fn call_until(
        &self,
        payload: &[u8],
        headers: &[(String, String)],
        limit: Duration,
    ) -> Result<HttpEnd, ConnectError> {
        let deadline = Instant::now() + limit;
        let late = || ConnectError::TimedOut {
            target: self.place(),
            step: CALL,
            limit,
        };
        let mut headers = header_map(headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(file) = &self.token_file {
            let token = timeout_at(deadline, token(file)).await;
            headers.insert(AUTHORIZATION, token.map_err(|_| late())??);
        }
        let request = self
            .client
            .post(self.url.clone())
            .headers(headers)
            .body(payload.to_vec());
        match timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => Ok(answer::end_of(response, deadline).await),
            Ok(Err(error)) => Err(self.failure(&error, limit)),
            Err(_) => Err(late()),
        }
    }

    fn failure(&self, error: &reqwest::Error, limit: Duration) -> ConnectError {
        let (target, reason) = (self.place(), reason(error));
        if distrusts(error) {
            ConnectError::Tls { target, reason }
        } else if error.is_builder() {
            ConnectError::Invalid {
                what: target,
                reason,
            }
        } else if error.is_timeout() {
            ConnectError::TimedOut {
                target,
                step: "connect to",
                limit: limit.min(CONNECT_MAX),
            }
        } else {
            ConnectError::Unreachable {
                target,
                source: io::Error::other(reason),
            }
        }
    }

    /// Scheme, host and port: path, query and user may hold secrets.
    fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// The token as a header that is kept from logs.
async fn token(file: &Path) -> Result<HeaderValue, ConnectError> {
    let read = async {
        let mut text = String::new();
        let file = tokio::fs::File::open(file).await?;
        file.take(TOKEN_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .await?;
        Ok::<_, io::Error>(text)
    };
    let text = read
        .await
        .map_err(|error| unreadable(file, &error.to_string()))?;
    if text.len() as u64 > TOKEN_BYTES_MAX || text.trim().is_empty() {
        return Err(unreadable(file, "a token is one line of text"));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
        .map_err(|_| unreadable(file, "a token is one line of text"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn unreadable(file: &Path, reason: &str) -> ConnectError {
    ConnectError::Unreadable {
        path: file.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Follows only what repeats the POST (307, 308), and only within the origin: a payload and a
/// token are for the receiver that the operator named.
fn redirect(attempt: Attempt<'_>) -> Action {
    let repeats = matches!(attempt.status().as_u16(), 307 | 308);
    let same = attempt
        .previous()
        .last()
        .is_some_and(|last| last.origin() == attempt.url().origin());
    if repeats && same && attempt.previous().len() <= REDIRECTS_MAX {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, ConnectError> {
    let mut map = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        let invalid = || ConnectError::Invalid {
            what: name.escape_debug().to_string(),
            reason: "it is no HTTP header, or its value cannot be sent".to_owned(),
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        map.insert(key, HeaderValue::from_str(value).map_err(|_| invalid())?);
    }
    Ok(map)
}

/// Whether the receiver's certificate was not accepted: trying again does not make it better.
fn distrusts(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(rustls::Error::InvalidCertificate(_))
        )
    })
}

/// The innermost cause; the outer texts only say that sending failed, and name the whole address.
fn reason(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(
        || "the request is malformed".to_owned(),
        ToString::to_string,
    )
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| inner(*cause))
}

/// The next cause; an I/O error's own `source` would leave out the error that it wraps.
fn inner<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_none_is_refused() {
        let header = |name: &str, value: &str| header_map(&[(name.to_owned(), value.to_owned())]);
        assert!(header("X-Robotd-Task-Id", "7").is_ok());
        for (name, value) in [("", "x"), ("a b", "x"), ("A", "x\r\nB: y"), ("A", "\0")] {
            assert!(
                matches!(header(name, value), Err(ConnectError::Invalid { .. })),
                "{name:?} {value:?}"
            );
        }
    }
}
