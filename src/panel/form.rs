//! What a form of the panel sends.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::StreamExt;

use super::Panel;
use super::session::Session;
use super::shell::own_address;
use crate::api::{ApiError, Code, imports};

/// The field that proves where the form comes from.
pub(super) const TOKEN_FIELD: &str = "form_token";
/// Settings and a range of 64 KiB each, all of it percent-encoded.
const BYTES_MAX: usize = 512 * 1024;
/// No form has half as many fields, but for the robots that are switched together.
const FIELDS_MAX: usize = 2_000;

/// The fields of a form, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(body)
                .take(FIELDS_MAX)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first field of this name, without blanks around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        let first = self.0.iter().find(|(known, _)| known == name);
        first.map_or("", |(_, value)| value.trim())
    }

    /// All fields of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The page that the form stands on, where it says so and is ours; else `otherwise`.
    pub(super) fn back<'a>(&'a self, otherwise: &'a str) -> &'a str {
        let back = self.text("back");
        if own_address(back) { back } else { otherwise }
    }

    /// Names and values, to be sent once more; without what proves where they come from.
    pub(super) fn pairs(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter().filter(|(name, _)| name != TOKEN_FIELD)
    }
}

/// The fields of a form that a page of this session sent.
#[derive(Debug)]
pub(super) struct Posted(pub(super) Fields);

impl FromRequest for Posted {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let fields = Fields::parse(&read(payload).await?);
            must_be_own(&request, fields.text(TOKEN_FIELD))?;
            Ok(Self(fields))
        })
    }
}

/// A file that a page of this session sent.
#[derive(Debug)]
pub(super) struct PostedFile(pub(super) imports::Form);

impl FromRequest for PostedFile {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = imports::Form::read(request, payload, Some(TOKEN_FIELD));
        let request = request.clone();
        Box::pin(async move {
            let form = form.await?;
            must_be_own(&request, form.proof())?;
            Ok(Self(form))
        })
    }
}

/// Refuses a form whose proof is not of the request's session.
fn must_be_own(request: &HttpRequest, proof: &str) -> Result<(), ApiError> {
    let session = request.extensions().get::<Session>().cloned();
    let panel = request.app_data::<web::Data<Panel>>();
    let own = session
        .zip(panel)
        .is_some_and(|(session, panel)| session.knows(&panel.signer, proof));
    if own {
        return Ok(());
    }
    let why = "the form belongs to another session; go back, load the page again and repeat it";
    Err(ApiError::new(Code::Forbidden, why))
}

/// The whole body.
pub(super) async fn read(mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::new(Code::Malformed, "the form broke off"))?;
        if bytes.len() + chunk.len() > BYTES_MAX {
            let why = format!("the form may have {BYTES_MAX} bytes");
            return Err(ApiError::new(Code::TooLarge, why));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_send_them() {
        let fields = Fields::parse(b"day=mon&day=tue&cron=+*%2F5+*+*+*+*&empty=&form_token=x");
        assert_eq!(fields.text("cron"), "*/5 * * * *");
        assert_eq!(fields.all("day").collect::<Vec<_>>(), ["mon", "tue"]);
        assert_eq!((fields.text("empty"), fields.text("other")), ("", ""));
        assert!(fields.pairs().all(|(name, _)| name != TOKEN_FIELD));
    }
}
