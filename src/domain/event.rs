//! Events: what a CloudEvent must be to be accepted, and which robots it wakes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id::{EventId, RobotId};
use super::robot::FieldError;
use super::time::Timestamp;

/// Bound on one event as JSON text (the data rides in the payload of each task it makes).
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Bound on the events of one batch.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Bound on `source`, `id`, `type` and `subject`, each.
const ATTRIBUTE_CHARS_MAX: usize = 256;
/// What the sources of robotd's own events begin with.
const OWN_SOURCES: &str = "/robotd/";
/// Bound on extension attributes of one event.
const EXTENSIONS_MAX: usize = 32;

/// A message from another component, as CloudEvents 1.0 (JSON format) defines it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CloudEvent {
    /// `1.0`.
    pub specversion: String,
    /// Unique within `source`; `source` and `id` together are the identity of the event.
    pub id: String,
    /// Who publishes it (a URI reference).
    pub source: String,
    /// The event's name, e.g. `storage.low`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened; the time of arrival where it is absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Media type of `data`; JSON where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// Schema of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// The payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// The payload in base64, where it is binary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// Extension attributes (CloudEvents 1.0 section 3.1: lower-case letters and digits).
    #[serde(flatten)]
    pub extensions: std::collections::BTreeMap<String, Value>,
}

impl CloudEvent {
    /// An event of robotd's own making. `id` must be unique for `source`.
    pub fn own(
        source: &str,
        id: impl Into<String>,
        kind: &str,
        subject: Option<String>,
        data: Value,
    ) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: id.into(),
            source: format!("{OWN_SOURCES}{source}"),
            kind: kind.to_owned(),
            subject,
            time: None,
            datacontenttype: None,
            dataschema: None,
            data: Some(data),
            data_base64: None,
            extensions: std::collections::BTreeMap::new(),
        }
    }

    /// Whether it is of robotd's own making, as far as its source says.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.source.starts_with(OWN_SOURCES)
    }

    /// What makes the event unacceptable; empty when it is fine.
    #[must_use]
    pub fn problems(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.specversion != "1.0" {
            errors.push(FieldError::new("specversion", "must be \"1.0\""));
        }
        for (name, text) in [
            ("id", &self.id),
            ("source", &self.source),
            ("type", &self.kind),
        ] {
            check_attribute(&mut errors, name, text);
        }
        if let Some(subject) = &self.subject {
            check_attribute(&mut errors, "subject", subject);
        }
        if self.data.is_some() && self.data_base64.is_some() {
            errors.push(FieldError::new(
                "data_base64",
                "must not stand beside `data`",
            ));
        }
        if self.extensions.len() > EXTENSIONS_MAX {
            errors.push(FieldError::new(
                "",
                format!("more than {EXTENSIONS_MAX} extension attributes"),
            ));
        }
        for (name, value) in &self.extensions {
            let plain = name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            if name.is_empty() || name.len() > 20 || !plain {
                errors.push(FieldError::new(
                    name,
                    "an attribute's name has 1 to 20 lower-case letters and digits (CloudEvents 1.0, 3.1)",
                ));
            } else if value.is_object() || value.is_array() || value.is_null() {
                errors.push(FieldError::new(
                    name,
                    "an extension attribute is a string, number or boolean",
                ));
            }
        }
        errors
    }
}

fn check_attribute(errors: &mut Vec<FieldError>, name: &str, text: &str) {
    if text.is_empty() || text.chars().count() > ATTRIBUTE_CHARS_MAX {
        errors.push(FieldError::new(
            name,
            format!("must have 1 to {ATTRIBUTE_CHARS_MAX} characters"),
        ));
    } else if text.chars().any(char::is_control) {
        errors.push(FieldError::new(name, "must not contain control characters"));
    }
}

/// An accepted event as the reports show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventRecord {
    /// Its row.
    pub id: EventId,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What arrived.
    pub event: CloudEvent,
}

/// Which robots an event type wakes. Built once from the catalogue and the operator's robots.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    exact: std::collections::HashMap<String, Vec<RobotId>>,
    prefixes: Vec<(String, RobotId)>,
}

impl Routes {
    /// Adds a subscription; `pattern` is an event type or a prefix ending in `*`.
    pub fn subscribe(&mut self, pattern: &str, robot: RobotId) {
        match pattern.strip_suffix('*') {
            Some(prefix) => self.prefixes.push((prefix.to_owned(), robot)),
            None => self
                .exact
                .entry(pattern.to_owned())
                .or_default()
                .push(robot),
        }
    }

    /// The robots that `kind` wakes, each once, in ascending order.
    #[must_use]
    pub fn resolve(&self, kind: &str) -> Vec<RobotId> {
        let mut robots = self.exact.get(kind).cloned().unwrap_or_default();
        robots.extend(
            self.prefixes
                .iter()
                .filter(|(prefix, _)| kind.starts_with(prefix.as_str()))
                .map(|(_, id)| *id),
        );
        robots.sort_unstable();
        robots.dedup();
        robots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_wakes_each_subscriber_once() {
        let mut routes = Routes::default();
        routes.subscribe("storage.low", RobotId(2));
        routes.subscribe("storage.*", RobotId(2));
        routes.subscribe("storage.*", RobotId(1));
        routes.subscribe("session.*", RobotId(3));
        assert_eq!(routes.resolve("storage.low"), [RobotId(1), RobotId(2)]);
        assert_eq!(routes.resolve("storage.critical"), [RobotId(1), RobotId(2)]);
        assert!(routes.resolve("unheard.of").is_empty());
    }

    #[test]
    fn a_bad_event_names_its_fields() {
        let mut event = CloudEvent::own("x", "", "a\nb", None, Value::Null);
        event.specversion = "0.3".to_owned();
        event
            .extensions
            .insert("Bad-Name".to_owned(), Value::Bool(true));
        let fields: Vec<_> = event.problems().into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["specversion", "id", "type", "Bad-Name"]);
    }
}
