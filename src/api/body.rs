//! Request bodies: bounded, of a declared type, and every bad field named.
//!
//! What cannot be read as JSON is 400; JSON whose content does not fit is 422 (docs/API.md).

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::{ApiError, Code};
use crate::domain::robot::FieldError;

/// Bound on most bodies.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bound on batches of tasks and of events: 10,000 tasks of 1.6 KiB each.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest part of a parser's message that is passed on; it may quote the body.
const DETAIL_CHARS_MAX: usize = 300;

/// What a body must be.
pub trait RequestBody: DeserializeOwned + 'static {
    /// Media types that are read.
    const MEDIA: &'static [&'static str] = &["application/json"];
    /// Bound in bytes.
    const BYTES_MAX: usize = BODY_BYTES_MAX;
    /// What an absent body stands for; `None`: there must be one.
    fn absent() -> Option<Self> {
        None
    }
}

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: RequestBody> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let head = Head::of(request);
        let payload = payload.take();
        Box::pin(async move {
            let media = head.media(T::MEDIA);
            let bytes = head.read(payload, T::BYTES_MAX).await?;
            if bytes.is_empty() {
                return T::absent()
                    .map(Self)
                    .ok_or_else(|| ApiError::new(Code::Malformed, "the body is empty"));
            }
            media?;
            parse::<ObjectOnly<T>>(&bytes).map(|body| Self(body.0))
        })
    }
}

/// What the header says of a body.
#[derive(Debug)]
pub(super) struct Head {
    content_type: String,
    encoded: bool,
    length: Option<usize>,
}

impl Head {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let text = |name: header::HeaderName| {
            request
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase())
        };
        let coding = text(header::CONTENT_ENCODING);
        Self {
            content_type: request.content_type().trim().to_ascii_lowercase(),
            encoded: coding.is_some_and(|coding| coding != "identity"),
            length: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        }
    }

    /// The media type, where it is one of `known`.
    pub(super) fn media(&self, known: &[&'static str]) -> Result<&'static str, ApiError> {
        if self.encoded {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "send the body without a content coding",
            ));
        }
        known
            .iter()
            .copied()
            .find(|media| *media == self.content_type)
            .ok_or_else(|| {
                ApiError::new(
                    Code::UnsupportedMediaType,
                    format!(
                        "send the body with `Content-Type: {}`",
                        known.join("` or `")
                    ),
                )
            })
    }

    /// The whole body, at most `bytes_max`.
    pub(super) async fn read(
        &self,
        mut payload: Payload,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ApiError> {
        let too_large = || {
            ApiError::new(
                Code::TooLarge,
                format!("the body may have {bytes_max} bytes"),
            )
        };
        if self.length.is_some_and(|length| length > bytes_max) {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(self.length.unwrap_or(0));
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| ApiError::new(Code::Malformed, "the body broke off"))?;
            if bytes.len() + chunk.len() > bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// Reads JSON; an error names its field.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Keeping track of where one is costs as much as reading: only what cannot be read is read again for that.
    serde_json::from_slice(bytes).or_else(|_| parse_tracked(bytes))
}

fn parse_tracked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json);
    if read.as_ref().is_err_and(|error| error.inner().is_data()) {
        // What is no JSON at all is not blamed on a field that stands before the place.
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| not_json(&error))?;
    }
    let value = read.map_err(refusal)?;
    json.end()
        .map_err(|error| ApiError::new(Code::Malformed, cut(&error.to_string())))?;
    Ok(value)
}

/// What a body that cannot be read is answered.
pub(super) fn refusal(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let inner = error.into_inner();
    if inner.is_data() {
        // The field is named: where it stands in the text helps nobody.
        let text = inner.to_string();
        let place = format!(" at line {} column {}", inner.line(), inner.column());
        let text = text.strip_suffix(&place).unwrap_or(&text);
        ApiError::fields(Code::Invalid, vec![FieldError::at(&path, text)])
    } else {
        not_json(&inner)
    }
}

fn not_json(error: &serde_json::Error) -> ApiError {
    let why = format!("the body is not JSON: {}", cut(&error.to_string()));
    ApiError::new(Code::Malformed, why)
}

fn cut(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

/// Stands for a number that is larger than a field's type holds; no field of a body goes so far.
const BEYOND: i128 = 30_000;

/// Reads a whole number, however large, so that the bounds of the field itself are told: write
/// `#[serde(default, deserialize_with = "whole")]` at a field whose bounds lie within 1 and 30,000, or -30,000.
pub(super) fn whole<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128> + Default,
{
    let number = Option::<Whole>::deserialize(deserializer)?;
    let held = |Whole(number)| T::try_from(number.clamp(-BEYOND, BEYOND)).unwrap_or_default();
    Ok(number.map(held))
}

/// A whole number of any size that JSON's readers have.
struct Whole(i128);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number.into()))
            }
        }

        deserializer.deserialize_i64(Read)
    }
}

/// A value that is written as a JSON object.
///
/// Derived types would also take an array of their fields in order, which nobody means.
#[derive(Debug)]
pub struct ObjectOnly<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectOnly<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer
            .deserialize_map(Object(std::marker::PhantomData))
            .map(Self)
    }
}

/// Reads a field that tells null from absent: write `#[serde(default, deserialize_with = "…")]`.
pub(super) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    <Option<T> as Deserialize>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading is tested")]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading is tested")]
    struct Inner {
        number: u8,
    }

    fn status_and_text(json: &[u8]) -> (u16, String) {
        let error = parse::<ObjectOnly<Outer>>(json).unwrap_err();
        (error.status_code().as_u16(), error.to_string())
    }

    #[test]
    fn bad_fields_are_named_with_their_path() {
        for (json, field) in [
            (r#"{"inner":{"number":256}}"#, "`inner.number`"),
            (r#"{"inner":{}}"#, "`inner.number`"),
            (r#"{}"#, "`inner`"),
            (r#"{"inner":{"number":1,"x":2}}"#, "`inner.x`"),
            (r#"{"inner":null}"#, "`inner`"),
            (r#"[{"number":1}]"#, "must be an object, not a list"),
        ] {
            let (status, text) = status_and_text(json.as_bytes());
            assert_eq!(status, 422, "{json}");
            assert!(text.starts_with(field), "{json}: {text}");
        }
    }

    #[test]
    fn what_is_not_json_is_400() {
        for json in [
            &b"{"[..],
            b"[1",
            b"{\"inner\":{\"number\":256}",
            b"\xff",
            br#"{"inner":{"number":1}} x"#,
            b"{\"inner\":\"\xff\"}",
        ] {
            assert_eq!(
                status_and_text(json).0,
                400,
                "{}",
                String::from_utf8_lossy(json)
            );
        }
        let deep = parse::<serde_json::Value>("[".repeat(10_000).as_bytes());
        assert_eq!(
            deep.unwrap_err().status_code().as_u16(),
            400,
            "nesting has a bound"
        );
    }
}
