//! What happens to every request of a page: its session is read, a foreign form is refused, an error becomes a page, and
//! the browser is told what the page may do.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};

use super::session::Session;
use super::shell::{TOLD_COOKIE, sign_in_address};
use super::{Panel, problem, sign_in};
use crate::api::{ApiError, ApiState, Code, auth, csv};

/// The page runs the panel's own scripts and styles and talks to this node, nothing else; nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The other headers of every page. `same-origin` rather than `no-referrer`: the latter takes a form's `Origin` away.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=()",
    ),
];

/// Lets a request through to its page.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    identify(request.request()).await;
    let told = request.cookie(TOLD_COOKIE).is_some();
    let asked = request.request().clone();
    if changes(request.method()) && !is_own(&asked) {
        let error = ApiError::new(Code::Forbidden, "the form was sent from another site");
        return Ok(request.into_response(protected(problem::page(&asked, &error))));
    }
    let response = match next.call(request).await {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => ServiceResponse::new(asked.clone(), HttpResponse::from_error(error)),
    };
    let error = response.response().error();
    let error = error.and_then(|error| error.as_error::<ApiError>());
    let page = error.map(|error| refused(&asked, error));
    let mut response = match page {
        Some(page) => response.into_response(page),
        None => response,
    };
    if told && response.status() == StatusCode::OK && asked.method() == Method::GET {
        let mut cookie = actix_web::cookie::Cookie::build(TOLD_COOKIE, "")
            .path("/")
            .finish();
        cookie.make_removal();
        response.response_mut().add_cookie(&cookie)?;
    }
    Ok(response.map_body(|head, body| {
        put_headers(&mut head.headers);
        body
    }))
}

/// Leaves to the page whose session the request belongs to, and what its token may do.
pub(super) async fn identify(request: &HttpRequest) {
    let session = session_of(request);
    let token_hash = session.as_ref().map(|session| session.token_hash);
    auth::identify_session(request, token_hash).await;
    if let Some(session) = session {
        request.extensions_mut().insert(session);
    }
}

/// The page of an error; who is not signed in is led there, unless a script asked.
fn refused(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    let page_wanted = csv::prefers(request.headers(), "text/html");
    if error.code() == Code::Unauthorized && page_wanted && request.method() == Method::GET {
        return super::see(&sign_in_address(request));
    }
    problem::page(request, error)
}

/// The answer with the headers that every page has.
pub(super) fn protected(mut answer: HttpResponse) -> HttpResponse {
    put_headers(answer.headers_mut());
    answer
}

fn put_headers(headers: &mut header::HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn session_of(request: &HttpRequest) -> Option<Session> {
    let cookie = request.cookie(sign_in::COOKIE)?;
    let panel = request.app_data::<web::Data<Panel>>()?;
    let state = request.app_data::<web::Data<ApiState>>()?;
    Session::read(&panel.signer, cookie.value(), state.now())
}

const fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the browser says that the request comes from one of our pages. Browsers send `Origin` with every form that is
/// posted; a program that sends neither header has no session that somebody could abuse.
fn is_own(request: &HttpRequest) -> bool {
    let text = |name: &HeaderName| request.headers().get(name)?.to_str().ok();
    let site = text(&HeaderName::from_static("sec-fetch-site"));
    let from_here = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = request.connection_info().host().to_owned();
    let origin = request.headers().get(header::ORIGIN);
    let same_host = origin.is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin
            .split_once("://")
            .is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(&host))
    });
    from_here && same_host
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_form_of_another_site_is_foreign() {
        let with = |headers: &[(&'static str, &'static str)]| {
            let request = TestRequest::post().insert_header(("host", "node.example:7070"));
            let request = headers
                .iter()
                .fold(request, |request, header| request.insert_header(*header));
            is_own(&request.to_http_request())
        };
        let own = ("origin", "https://node.example:7070");
        assert!(with(&[own, ("sec-fetch-site", "same-origin")]));
        assert!(with(&[own]) && with(&[]));
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "https://node.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!with(&[foreign]), "{foreign:?}");
        }
    }
}
