//! `/openapi.json` and the page that shows it.
//!
//! A browser cannot send a token with a page, so `/docs` and its assets are open: they are the same in
//! every copy of robotd. The description itself needs a token; the page asks for it and keeps it for
//! the tab only.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::Config;

use super::auth::Viewer;
use super::error::ApiError;
use super::openapi::openapi;
use super::query::Query;

/// Starts the page in place of its own start file: asks for the token and sends it to this node only.
const INITIALIZER: &str = r##"window.onload = function () {
  const key = "robotd.token";
  let token = sessionStorage.getItem(key);
  if (!token) {
    token = window.prompt("Access token (role viewer or more):") || "";
    sessionStorage.setItem(key, token);
  }
  window.ui = SwaggerUIBundle({
    url: "../openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: "StandaloneLayout",
    requestInterceptor: function (request) {
      if (new URL(request.url, location.href).origin === location.origin) {
        request.headers.Authorization = "Bearer " + token;
      }
      return request;
    },
    responseInterceptor: function (response) {
      if (response.status === 401) { sessionStorage.removeItem(key); }
      return response;
    }
  });
};
"##;

/// The page runs its own scripts and talks to this node, nothing else.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// The OpenAPI 3.1 description of this API.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "docs", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn description(_: Viewer, _: Query<()>) -> HttpResponse {
    HttpResponse::Ok().json(openapi())
}

/// Leads to the page: its assets are relative to the folder.
#[utoipa::path(
    get, path = "/api/v1/docs", tag = "docs", operation_id = "docs", security(()),
    responses((status = 308, description = "The page", headers(("Location" = String, description = "The page"))))
)]
pub(super) async fn folder() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/api/v1/docs/"))
        .finish()
}

/// The page and its assets; not part of the description.
pub(super) async fn page(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let name = request.match_info().query("file");
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    if name == "swagger-initializer.js" {
        return Ok(answer
            .content_type("text/javascript; charset=utf-8")
            .body(INITIALIZER));
    }
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::from("/api/v1/openapi.json")));
    let file = file.map_err(|error| ApiError::internal(error.to_string()))?;
    let file = file.ok_or_else(|| ApiError::missing("file", name))?;
    if file.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(answer
        .content_type(file.content_type)
        .body(file.bytes.into_owned()))
}

/// The page with nothing behind the last slash.
pub(super) async fn index(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    page(request).await
}
