//! Styles, scripts and pictures, in the program itself.
//!
//! They lie below `/assets/HASH/`, where the hash is that of all of them: a browser may keep them for good, scripts import
//! each other by relative names, and a new program has new addresses.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::middleware::Compress;
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

use super::guard;
use crate::api::ApiError;
use crate::domain::hex::hexadecimal;

/// Digits of the hash in the address: no accident makes two programs' assets meet.
const HASH_DIGITS: usize = 16;
/// A year, the most that caches respect.
const KEEP: &str = "public, max-age=31536000, immutable";

/// Name, media type and content of each file.
const FILES: &[(&str, &str, &str)] = &[
    ("panel.css", CSS, include_str!("assets/panel.css")),
    ("icon.svg", SVG, include_str!("assets/icon.svg")),
    ("main.js", JS, include_str!("assets/main.js")),
    ("form.js", JS, include_str!("assets/form.js")),
    ("live.js", JS, include_str!("assets/live.js")),
    ("log.js", JS, include_str!("assets/log.js")),
    ("morph.js", JS, include_str!("assets/morph.js")),
    ("time.js", JS, include_str!("assets/time.js")),
];
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (name, _, content) in FILES {
        digest.update(name.as_bytes());
        digest.update([0]);
        digest.update(content.as_bytes());
        digest.update([0]);
    }
    let mut hash = hexadecimal(&digest.finalize());
    hash.truncate(HASH_DIGITS);
    hash
});

/// Where the files of this program lie.
pub(super) fn folder() -> String {
    format!("/assets/{}", *HASH)
}

/// The resource that answers them. They are the same in every copy of robotd, so that nobody need sign in for them.
pub(super) fn service() -> impl actix_web::dev::HttpServiceFactory {
    web::resource("/assets/{hash}/{file}")
        .wrap(Compress::default())
        .get(file)
}

async fn file(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (hash, name) = (
        request.match_info().query("hash"),
        request.match_info().query("file"),
    );
    let found = FILES.iter().find(|(known, ..)| *known == name);
    match found {
        Some((_, media, content)) if hash == *HASH => Ok(guard::protected(
            HttpResponse::Ok()
                .insert_header((header::CACHE_CONTROL, KEEP))
                .content_type(*media)
                .body(*content),
        )),
        _ => Err(ApiError::missing("file", request.path())),
    }
}
