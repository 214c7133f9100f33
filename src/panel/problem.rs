//! Errors as pages.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use super::shell::{Place, Shell, Visit, answer};
use super::text as t;
use crate::api::{ApiError, Code, Viewer};

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    shell: Shell,
    status: u16,
    heading: &'static str,
    error: String,
    advice: &'static str,
}

/// The page of an error. What led to it is in the log of the node.
pub(super) fn page(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    let (status, _, heading) = error.code().facts();
    let caller = Viewer::from_request(request, &mut Payload::None)
        .into_inner()
        .ok();
    let caller = caller.as_ref().map(|Viewer(caller)| caller);
    let page = ProblemPage {
        shell: Visit::of(request).shell(caller, Place::Problem, heading, ""),
        status: status.as_u16(),
        heading,
        error: error.to_string(),
        advice: advice(error.code()),
    };
    let mut page = answer(&page).unwrap_or_else(|error| error.error_response());
    if page.status() == StatusCode::OK {
        *page.status_mut() = status;
    }
    page
}

const fn advice(code: Code) -> &'static str {
    match code {
        Code::Unauthorized => t::ADVICE_SIGN_IN,
        Code::Forbidden => t::ADVICE_FORBIDDEN,
        Code::NotFound => t::ADVICE_NOT_FOUND,
        Code::Conflict | Code::Stale => t::ADVICE_CONFLICT,
        Code::Unavailable | Code::Overloaded => t::ADVICE_LATER,
        Code::Internal | Code::Damaged => t::ADVICE_LOG,
        _ => t::ADVICE_BACK,
    }
}
