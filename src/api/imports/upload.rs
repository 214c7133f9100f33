//! Taking a file: `multipart/form-data` (RFC 7578), piece by piece, within bounds.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_multipart::{Field, Multipart};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt;
use secrecy::zeroize::Zeroizing;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::super::auth::Admin;
use super::super::body::Head;
use super::super::error::{ApiError, Code};
use super::super::query::Query;
use super::super::state::ApiState;
use super::{ImportView, location};
use crate::domain::import::{FILE_BYTES_MAX, ImportMode, NAME_CHARS_MAX};
use crate::robot::import::{Upload, keep};
use crate::robot::safe::SafeError;

/// Bound on what stands around the file: headers, boundaries and the other fields.
const AROUND_BYTES_MAX: usize = 64 * 1024;
/// Bound on a field that is a word.
const WORD_BYTES_MAX: usize = 32;
/// Bound on the field that proves where a page's form comes from.
const PROOF_BYTES_MAX: usize = 512;
/// What a file without a name is called.
const NO_NAME: &str = "file";

/// What is sent.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read piece by piece")]
pub(super) struct ImportForm {
    /// The spreadsheet: XLSX, `OpenDocument` or CSV, at most 8 MiB and 10,000 rows.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Whether its rows are carried out, or it is only said what they would do; `apply` when absent.
    mode: Option<ImportMode>,
}

/// A form that was read whole. Its bytes are wiped when they are done with.
pub struct Form {
    name: String,
    file: Zeroizing<Vec<u8>>,
    mode: ImportMode,
    proof: Option<String>,
    /// A place among the uploads that are in memory at once.
    _place: OwnedSemaphorePermit,
}

/// Says nothing of what is in the file.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, mode, .. } = self;
        f.debug_struct("Form")
            .field("name", name)
            .field("mode", mode)
            .finish_non_exhaustive()
    }
}

impl Form {
    /// Reads the form of a request. A page's form has one field more, of the name `proof`, which proves where it comes from.
    ///
    /// # Errors
    /// A body of another type, one that is too large or broke off, fields that are missing, unknown or not acceptable, too
    /// many uploads at once.
    pub fn read(
        request: &HttpRequest,
        payload: &mut Payload,
        proof: Option<&'static str>,
    ) -> Pin<Box<dyn Future<Output = Result<Self, ApiError>>>> {
        let media = Head::of(request).media(&["multipart/form-data"]);
        let length = content_length(request);
        let parts = Multipart::new(request.headers(), payload.take());
        let place = place(request);
        Box::pin(async move {
            media?;
            if length.is_some_and(|length| length > FILE_BYTES_MAX + AROUND_BYTES_MAX) {
                return Err(too_large());
            }
            read(parts, length.unwrap_or_default(), place?, proof).await
        })
    }

    /// What the field said that proves where the form comes from; nothing where it was not asked for.
    #[must_use]
    pub fn proof(&self) -> &str {
        self.proof.as_deref().unwrap_or_default()
    }
}

impl FromRequest for Form {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Self::read(request, payload, None)
    }
}

fn content_length(request: &HttpRequest) -> Option<usize> {
    let header = request
        .headers()
        .get(actix_web::http::header::CONTENT_LENGTH)?;
    header.to_str().ok()?.trim().parse().ok()
}

fn place(request: &HttpRequest) -> Result<OwnedSemaphorePermit, ApiError> {
    let state = request.app_data::<web::Data<ApiState>>();
    let places = state.map(|state| Arc::clone(&state.uploads));
    places
        .and_then(|places| places.try_acquire_owned().ok())
        .ok_or_else(|| ApiError::new(Code::Overloaded, "other files are being sent; try again"))
}

async fn read(
    mut parts: Multipart,
    length: usize,
    place: OwnedSemaphorePermit,
    proof: Option<&'static str>,
) -> Result<Form, ApiError> {
    let (mut file, mut mode, mut proven) = (None, None, None);
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| unreadable())?;
        match part.name() {
            Some("file") if file.is_none() => {
                let name = name_of(&part);
                file = Some((name, file_of(part, length).await?));
            }
            Some("mode") if mode.is_none() => mode = Some(mode_of(part).await?),
            field if field.is_some() && field == proof && proven.is_none() => {
                proven = Some(word_of(part, PROOF_BYTES_MAX).await?);
            }
            Some("file" | "mode") => {
                let field = part.name().unwrap_or_default().to_owned();
                return Err(ApiError::field(
                    Code::Invalid,
                    field,
                    "is given more than once",
                ));
            }
            other => {
                let field: String = other.unwrap_or_default().chars().take(80).collect();
                return Err(ApiError::field(
                    Code::Invalid,
                    field,
                    "is not known; remove it",
                ));
            }
        }
    }
    let Some((name, file)) = file else {
        return Err(ApiError::field(
            Code::Invalid,
            "file",
            "missing field `file`",
        ));
    };
    if file.is_empty() {
        return Err(ApiError::field(Code::Invalid, "file", "must not be empty"));
    }
    Ok(Form {
        name,
        file,
        mode: mode.unwrap_or(ImportMode::Apply),
        proof: proven,
        _place: place,
    })
}

async fn file_of(mut part: Field, length: usize) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    // Room for all of it at once: a vector that grows leaves copies behind.
    let mut file = Zeroizing::new(Vec::with_capacity(length.min(FILE_BYTES_MAX)));
    while let Some(piece) = part.next().await {
        let piece: Bytes = piece.map_err(|_| unreadable())?;
        if file.len() + piece.len() > FILE_BYTES_MAX {
            return Err(too_large());
        }
        file.extend_from_slice(&piece);
    }
    Ok(file)
}

/// A field's text; nothing where it is longer than `bytes_max` or no text.
async fn word_of(mut part: Field, bytes_max: usize) -> Result<String, ApiError> {
    let bytes = match part.bytes(bytes_max).await {
        Ok(bytes) => bytes.map_err(|_| unreadable())?,
        Err(_) => Bytes::new(),
    };
    Ok(std::str::from_utf8(&bytes).unwrap_or_default().to_owned())
}

async fn mode_of(part: Field) -> Result<ImportMode, ApiError> {
    let word = word_of(part, WORD_BYTES_MAX).await?;
    word.parse()
        .map_err(|_| ApiError::field(Code::Invalid, "mode", "must be `apply` or `validate`"))
}

/// The file's name without folders, for people to know it by.
fn name_of(part: &Field) -> String {
    let about = part.content_disposition();
    let sent = about
        .and_then(|about| about.get_filename())
        .unwrap_or_default();
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let printable = last.chars().filter(|c| !c.is_control());
    let name: String = printable.take(NAME_CHARS_MAX).collect();
    if name.trim().is_empty() {
        NO_NAME.to_owned()
    } else {
        name
    }
}

fn too_large() -> ApiError {
    let detail = format!("the file may have {FILE_BYTES_MAX} bytes; send it in parts");
    ApiError::new(Code::TooLarge, detail)
}

fn unreadable() -> ApiError {
    ApiError::new(
        Code::Malformed,
        "the body is not multipart/form-data, or broke off",
    )
}

/// Keeps the file of a form, sealed, in the name of `actor`; a robot carries its rows out.
///
/// # Errors
/// A database that does not answer.
pub async fn take(state: &ApiState, form: &Form, actor: &str) -> Result<ImportView, ApiError> {
    let upload = Upload {
        name: &form.name,
        file: &form.file,
        mode: form.mode,
        actor,
    };
    let (store, registry) = (&state.store, state.registry());
    let kept = keep(store, &state.safe, registry, upload, state.now()).await;
    let import = kept.map_err(|error| match error {
        SafeError::Store(error) => error.into(),
        SafeError::Seal(_) => ApiError::internal(error),
    })?;
    Ok(import.into())
}

/// Takes a spreadsheet. It is kept sealed, a robot carries its rows out, and it is removed when they have their answers.
#[utoipa::path(
    post, path = "/api/v1/imports", tag = "imports", operation_id = "import_create",
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    responses((status = 202, description = "It is kept, and waits", body = ImportView,
        headers(("Location" = String, description = "The import"))))
)]
pub(in crate::api) async fn create(
    Admin(caller): Admin,
    _: Query<()>,
    form: Form,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let import = take(&state, &form, &caller.name).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(location(import.id))
        .json(import))
}
