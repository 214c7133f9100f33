//! What happens to every request: its caller is identified by its token, it is measured, a panic in a handler becomes a 500, and nothing of
//! the answer is kept by caches.

use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::auth;
use super::error::ApiError;
use super::state::ApiState;

/// Identifies the caller of a request by its token, and watches it.
pub(super) async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    auth::identify(request.request()).await;
    watch(request, next).await
}

/// Measures a request and catches a panic of its handler.
///
/// Actix would drop the connection without an answer, and the caller could not tell a defect from a
/// broken line.
///
/// # Errors
/// Those of the request, and a defect where its handler panicked.
pub async fn watch<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.match_pattern().unwrap_or_default();
    let state = request.app_data::<web::Data<ApiState>>().cloned();
    let result = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let result =
        result.unwrap_or_else(|panic| Err(ApiError::internal(panic_text(panic.as_ref())).into()));
    let status = match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    log::debug!("{method} {route} {}", status.as_u16());
    if let Some(state) = state {
        state
            .metrics
            .request(method.as_str(), route, status.as_u16(), started.elapsed());
    }
    result.map(|mut response| {
        let headers = response.headers_mut();
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("no text"))
}
