//! Signing in with a token, and out.

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::form::{Fields, Posted, read};
use super::session::{SESSION_LIFE, Session};
use super::shell::{Place, Shell, Visit, answer, own_address};
use super::text as t;
use super::{Panel, see};
use crate::api::query::{FromParams, Params, Query};
use crate::api::{ApiError, ApiState, Viewer, auth};

/// The cookie of a session.
pub(super) const COOKIE: &str = "robotd_session";
/// Where one comes to who wanted nothing else.
const HOME: &str = "/";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    next: String,
    refused: bool,
}

/// Where to go after signing in.
#[derive(Debug)]
pub(super) struct NextParam(String);

impl FromParams for NextParam {
    fn from_params(params: &mut Params<'_>) -> Self {
        let next = params.read("next", |next| Ok(next.to_owned()));
        Self(checked(next.as_deref().unwrap_or(HOME)))
    }
}

fn checked(next: &str) -> String {
    if own_address(next) { next } else { HOME }.to_owned()
}

/// Asks for a token.
pub(super) async fn page(
    visit: Visit,
    Query(NextParam(next)): Query<NextParam>,
) -> Result<HttpResponse, ApiError> {
    answer(&SignInPage {
        shell: visit.shell(None, Place::Nowhere, t::SIGN_IN, ""),
        next,
        refused: false,
    })
}

/// Begins a session with a token.
pub(super) async fn enter(
    visit: Visit,
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<ApiState>,
    panel: web::Data<Panel>,
) -> Result<HttpResponse, ApiError> {
    let body = Zeroizing::new(read(payload.into_inner()).await?);
    let fields = Fields::parse(&body);
    let token = SecretString::from(fields.text("token"));
    let next = checked(fields.text("next"));
    let Some(caller) = auth::caller_by_token(&state, token.expose_secret()).await? else {
        let mut page = answer(&SignInPage {
            shell: visit.shell(None, Place::Nowhere, t::SIGN_IN, ""),
            next,
            refused: true,
        })?;
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(page);
    };
    log::info!("`{}` signed in to the panel", caller.name);
    let session = Session::begin(
        &panel.signer,
        caller.token_hash(),
        rand::random(),
        state.now(),
    );
    let life = Duration::seconds(SESSION_LIFE.num_seconds());
    let mut answer = see(&next);
    put_cookie(&request, &mut answer, session.cookie(), life)?;
    Ok(answer)
}

/// Ends the session in this browser.
pub(super) async fn leave(
    _: Viewer,
    _: Posted,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut answer = see("/sign-in");
    put_cookie(&request, &mut answer, "", Duration::ZERO)?;
    Ok(answer)
}

/// `Lax`, so that a link from elsewhere finds one signed in; no form of another site is sent with it.
fn put_cookie(
    request: &HttpRequest,
    answer: &mut HttpResponse,
    value: &str,
    life: Duration,
) -> Result<(), ApiError> {
    let cookie = Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(request.connection_info().scheme() == "https")
        .max_age(life)
        .finish();
    answer.add_cookie(&cookie).map_err(ApiError::internal)
}
