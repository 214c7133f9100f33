//! What a message of the broker says, as an event.
//!
//! Both content modes of the CloudEvents binding for NATS: structured (the payload is the event as JSON; the only
//! mode of its version 1.0.2, which knows no headers) and binary (attributes in `ce-` headers, the data as payload).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::domain::event::CloudEvent;

/// What the media types of structured mode begin with.
const STRUCTURED: &str = "application/cloudevents";
/// The media type of structured mode that is understood.
const STRUCTURED_JSON: &str = "application/cloudevents+json";
/// What headers of attributes begin with.
const ATTRIBUTE: &str = "ce-";

/// Reads a message. The error says what is wrong, for people; it holds nothing of the message but names of fields.
pub(super) fn read<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    payload: &[u8],
) -> Result<CloudEvent, String> {
    let (mut attributes, mut content_type) = (BTreeMap::new(), None);
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if let Some(attribute) = name.strip_prefix(ATTRIBUTE) {
            if attributes.insert(attribute.to_owned(), value).is_some() {
                return Err(format!("the header `{name}` is there twice"));
            }
        } else if name == "content-type" {
            content_type = Some(value);
        }
    }
    match content_type.map(essence) {
        Some(media) if media == STRUCTURED_JSON => parse(payload),
        Some(media) if media.starts_with(STRUCTURED) => Err(format!(
            "the content type `{STRUCTURED_JSON}` is understood, one event a message, and no other one of CloudEvents"
        )),
        _ if attributes.is_empty() => parse(payload),
        _ => binary(&attributes, content_type, payload),
    }
}

/// A media type without its parameters.
fn essence(content_type: &str) -> String {
    let media = content_type.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

fn binary(
    attributes: &BTreeMap<String, &str>,
    content_type: Option<&str>,
    payload: &[u8],
) -> Result<CloudEvent, String> {
    let mut fields = Map::new();
    for (name, value) in attributes {
        if name == "data" || name == "data_base64" {
            return Err(format!("the header `{ATTRIBUTE}{name}` is no attribute's"));
        }
        let text = percent_decode_str(value).decode_utf8().map_err(|_| {
            format!("the header `{ATTRIBUTE}{name}` is not UTF-8 in percent-encoding")
        })?;
        fields.insert(name.clone(), Value::from(text.into_owned()));
    }
    // The binding has a header for it; publishers that know HTTP's use that one.
    if let (None, Some(media)) = (fields.get("datacontenttype"), content_type) {
        fields.insert("datacontenttype".to_owned(), Value::from(media));
    }
    if !payload.is_empty() {
        let media = fields.get("datacontenttype").and_then(Value::as_str);
        let (name, data) = data_of(media.map(essence).as_deref(), payload)?;
        fields.insert(name.to_owned(), data);
    }
    // Written out again, so that a wrong field is named in the same way in both modes.
    parse(Value::Object(fields).to_string().as_bytes())
}

/// The field for a payload of some media type, JSON where none is named, and its value.
fn data_of(media: Option<&str>, payload: &[u8]) -> Result<(&'static str, Value), String> {
    let is_json = media.is_none_or(|media| media.ends_with("/json") || media.ends_with("+json"));
    if is_json {
        return parse(payload).map(|value| ("data", value));
    }
    let text = media
        .filter(|media| media.starts_with("text/"))
        .and_then(|_| std::str::from_utf8(payload).ok());
    Ok(match text {
        Some(text) => ("data", Value::from(text)),
        None => ("data_base64", Value::from(STANDARD.encode(payload))),
    })
}

/// Reads JSON; the parser's own words may quote values, and are left out.
fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        match inner.classify() {
            Category::Data if path == "." => {
                "a required attribute is missing, or the whole is no JSON object; \
                 an event has `specversion`, `id`, `source` and `type`"
                    .to_owned()
            }
            Category::Data => format!("`{path}` is of the wrong type"),
            _ => not_json(inner),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> String {
    format!(
        "the payload is not JSON (line {}, column {})",
        error.line(),
        error.column()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const REQUIRED: [(&str, &str); 4] = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/shop"),
        ("ce-type", "order.placed"),
    ];

    fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        REQUIRED.iter().chain(more).copied().collect()
    }

    fn structured() -> Value {
        json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": {"n": 7}})
    }

    #[test]
    fn structured_events_are_read_with_and_without_their_media_type() {
        let text = structured().to_string();
        for headers in [
            vec![],
            vec![("Content-Type", "application/cloudevents+json")],
            vec![(
                "content-type",
                "Application/CloudEvents+JSON; charset=utf-8",
            )],
            with(&[("content-type", "application/cloudevents+json")]),
        ] {
            let event = read(headers.into_iter(), text.as_bytes()).unwrap();
            assert_eq!(serde_json::to_value(event).unwrap(), structured());
        }
    }

    #[test]
    fn binary_events_are_read_by_their_media_type() {
        let headers = with(&[
            ("Ce-Subject", "caf%C3%A9 %22x%22"),
            ("ce-time", "2026-01-02T03:04:05Z"),
            ("ce-region", "north"),
            ("Nats-Msg-Id", "5"),
        ]);
        let event = read(headers.into_iter(), br#"{"n":7}"#).unwrap();
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed",
                "subject": "café \"x\"", "time": "2026-01-02T03:04:05Z", "region": "north", "data": {"n": 7}})
        );
        for (header, media, field, value) in [
            ("ce-datacontenttype", "text/plain", "data", json!("{x")),
            ("content-type", "text/plain", "data", json!("{x")),
            (
                "ce-datacontenttype",
                "image/png",
                "data_base64",
                json!("e3g="),
            ),
        ] {
            let event = read(with(&[(header, media)]).into_iter(), b"{x").unwrap();
            let event = serde_json::to_value(event).unwrap();
            assert_eq!(
                (&event[field], &event["datacontenttype"]),
                (&value, &json!(media))
            );
        }
        let event = read(with(&[]).into_iter(), b"").unwrap();
        assert_eq!((event.data, event.data_base64), (None, None));
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_values() {
        let twice = with(&[("CE-ID", "2")]);
        type Headers<'a> = Vec<(&'a str, &'a str)>;
        let cases: [(Headers<'_>, &[u8], &str); 9] = [
            (vec![], b"secret", "not JSON (line 1"),
            (vec![], b"", "not JSON"),
            (vec![], b"[1]", "no JSON object"),
            (vec![], br#"{"specversion":"1.0"}"#, "required attribute"),
            (
                vec![],
                br#"{"specversion":"1.0","id":7,"source":"secret"}"#,
                "`id`",
            ),
            (
                vec![("content-type", "application/cloudevents-batch+json")],
                b"[]",
                "one event a message",
            ),
            (twice, b"", "`ce-id` is there twice"),
            (with(&[("ce-subject", "%FF")]), b"", "`ce-subject`"),
            (with(&[("ce-data", "secret")]), b"", "`ce-data`"),
        ];
        for (headers, payload, told) in cases {
            let error = read(headers.into_iter(), payload).unwrap_err();
            assert!(error.contains(told) && !error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_message_makes_the_reader_fall(
            names in prop::collection::vec(("(ce-|content-type|x)[a-zA-Z%_-]{0,8}", ".{0,20}"), 0..6),
            payload in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let headers = names.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            // Whatever it is, it is an event or a reason.
            let _told = read(headers, &payload).is_ok();
        }
    }
}
