//! Who calls, and what they may do.
//!
//! [`identify`] looks the token up; it refuses nothing, so that an unknown path is 404 for everybody. The extractors [`Viewer`], [`Operator`] and [`Admin`] stand first in a handler's
//! signature and refuse before a byte of the body is read. Tokens are never logged.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use tokio::time::Instant;

use super::error::{ApiError, Code};
use super::state::ApiState;
use crate::domain::access::{Role, TOKEN_PREFIX, token_hash};
use crate::store::{StoreError, StoreResult};

/// How long a looked-up token is believed: a withdrawn one works no longer than this.
const TOKEN_TTL: Duration = Duration::from_secs(2);
/// Tokens remembered at once; far more than an installation has in use within two seconds.
const TOKENS_MAX: usize = 1_024;
/// A longer text is no token of ours and is not hashed.
const TOKEN_CHARS_MAX: usize = 256;

/// The caller of an authenticated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; the actor of what is done.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Identity of the token, to look it up again during a long stream.
    pub(super) hash: [u8; 32],
}

/// What the middleware found.
#[derive(Debug, Clone)]
enum Finding {
    Known(Caller),
    NoToken,
    UnknownToken,
    Unavailable(StoreError),
}

impl From<StoreResult<Option<Caller>>> for Finding {
    fn from(found: StoreResult<Option<Caller>>) -> Self {
        match found {
            Ok(Some(caller)) => Self::Known(caller),
            Ok(None) => Self::UnknownToken,
            Err(error) => Self::Unavailable(error),
        }
    }
}

impl Caller {
    /// What identifies its token. Whoever knows it cannot make the token of it.
    #[must_use]
    pub const fn token_hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// Tokens looked up within the last two seconds.
#[derive(Debug, Default)]
pub struct TokenCache(Mutex<HashMap<[u8; 32], (Caller, Instant)>>);

impl TokenCache {
    fn get(&self, hash: &[u8; 32]) -> Option<Caller> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (caller, at) = known.get(hash)?;
        (at.elapsed() < TOKEN_TTL).then(|| caller.clone())
    }

    fn put(&self, caller: Caller) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TOKENS_MAX {
            known.retain(|_, (_, at)| at.elapsed() < TOKEN_TTL);
        }
        if known.len() < TOKENS_MAX {
            known.insert(caller.hash, (caller, Instant::now()));
        }
    }
}

/// The caller whose token has this hash, while the token lives.
///
/// # Errors
/// A database that does not answer.
pub async fn caller_of(state: &ApiState, hash: [u8; 32]) -> StoreResult<Option<Caller>> {
    if let Some(caller) = state.tokens.get(&hash) {
        return Ok(Some(caller));
    }
    let Some(token) = state.store.token_find(hash).await? else {
        return Ok(None);
    };
    let caller = Caller {
        name: token.name,
        role: token.role,
        hash,
    };
    state.tokens.put(caller.clone());
    Ok(Some(caller))
}

/// The caller whose token this is, while it lives.
///
/// # Errors
/// A database that does not answer.
pub async fn caller_by_token(state: &ApiState, token: &str) -> StoreResult<Option<Caller>> {
    if looks_like_token(token) {
        caller_of(state, token_hash(token)).await
    } else {
        Ok(None)
    }
}

/// Looks the token of a request up and leaves the finding for the extractors.
pub(super) async fn identify(request: &HttpRequest) {
    let finding = match (bearer(request), request.app_data::<web::Data<ApiState>>()) {
        (None, _) => Finding::NoToken,
        (Some(token), Some(state)) => caller_by_token(state, token).await.into(),
        (Some(_), None) => Finding::UnknownToken,
    };
    request.extensions_mut().insert(finding);
}

/// Leaves what a session stands for to the extractors: the token of this hash, or none.
pub async fn identify_session(request: &HttpRequest, token_hash: Option<[u8; 32]>) {
    let finding = match (token_hash, request.app_data::<web::Data<ApiState>>()) {
        (Some(hash), Some(state)) => caller_of(state, hash).await.into(),
        _ => Finding::NoToken,
    };
    request.extensions_mut().insert(finding);
}

/// The token of `Authorization: Bearer TOKEN`; an unreadable header is an unknown token.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    let text = value.to_str().unwrap_or_default();
    Some(match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    })
}

fn looks_like_token(text: &str) -> bool {
    text.starts_with(TOKEN_PREFIX) && text.len() <= TOKEN_CHARS_MAX
}

fn demand(request: &HttpRequest, role: Role) -> Result<Caller, ApiError> {
    match request.extensions().get::<Finding>() {
        Some(Finding::Known(caller)) if caller.role >= role => Ok(caller.clone()),
        Some(Finding::Known(caller)) => Err(ApiError::new(
            Code::Forbidden,
            format!(
                "this needs the role `{}`, the token has `{}`",
                role.as_str(),
                caller.role.as_str()
            ),
        )),
        Some(Finding::Unavailable(error)) => Err(error.clone().into()),
        Some(Finding::UnknownToken) => Err(ApiError::new(
            Code::Unauthorized,
            "the token is not known; it may have been withdrawn",
        )),
        Some(Finding::NoToken) | None => Err(ApiError::new(
            Code::Unauthorized,
            "send a token as `Authorization: Bearer TOKEN`",
        )),
    }
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub Caller);

        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Ready<Result<Self, ApiError>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(demand(request, Role::$name).map(Self))
            }
        }
    };
}

role!(
    /// The caller may read.
    Viewer
);
role!(
    /// The caller may order, cancel and repeat work.
    Operator
);
role!(
    /// The caller may change the configuration.
    Admin
);

/// The caller may read `/metrics`: a viewer, or anybody on this machine.
///
/// A request that came through a proxy on this machine is not from this machine, and a token that is
/// sent must be right.
#[derive(Debug)]
pub struct Scraper;

impl FromRequest for Scraper {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let proxied = ["forwarded", "x-forwarded-for", "x-real-ip"]
            .iter()
            .any(|h| headers.contains_key(*h));
        let local = request
            .peer_addr()
            .is_some_and(|peer| is_loopback(peer.ip()));
        let anonymous = !headers.contains_key(header::AUTHORIZATION);
        ready(if local && !proxied && anonymous {
            Ok(Self)
        } else {
            demand(request, Role::Viewer).map(|_| Self)
        })
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
