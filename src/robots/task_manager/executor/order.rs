//! What a task asks for.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::id::InventoryId;
use crate::domain::inventory::TaskDefinitionBody;
use crate::domain::operation::OperationKind;
use crate::store::execution::Selection;
use crate::store::operation::OPERATIONS_MAX;

/// What is done to which accounts: the payload of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// What is done.
    pub(super) kind: OperationKind,
    /// To which accounts.
    credentials: Means,
    /// The template, for `run_template`.
    #[serde(default)]
    pub(super) template: Option<InventoryId>,
    /// When so many operations did not succeed, those that wait are cancelled.
    #[serde(default)]
    pub(super) stop_after: Option<NonZeroU32>,
}

/// Which credentials are meant: those that every given part fits; one part at least.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Means {
    devices: Vec<InventoryId>,
    site: Option<InventoryId>,
    tag: Option<String>,
    username: Option<String>,
}

/// The payload that names a definition instead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ByName {
    definition: InventoryId,
}

/// What a payload says.
#[derive(Debug)]
pub(super) enum Asked {
    /// All of it.
    Order(Order),
    /// Where it is kept.
    Definition(InventoryId),
}

impl From<&TaskDefinitionBody> for Order {
    fn from(body: &TaskDefinitionBody) -> Self {
        Self {
            kind: body.kind,
            credentials: Means {
                devices: body.devices.clone(),
                site: body.site,
                tag: body.tag.clone(),
                username: body.username.clone(),
            },
            template: body.template,
            stop_after: body.stop_after,
        }
    }
}

impl Order {
    /// The order as a task's payload.
    pub(super) fn payload(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Which credentials are meant.
    pub(super) fn selection(self) -> Result<Selection, &'static str> {
        let Means {
            devices,
            site,
            tag,
            username,
        } = self.credentials;
        if devices.len() > OPERATIONS_MAX {
            return Err("payload.credentials.devices: must be at most 500");
        }
        let selection = Selection {
            devices,
            site,
            tag,
            username,
        };
        if selection == Selection::default() {
            return Err(
                "payload.credentials: must name `devices`, a `site`, a `tag` or a `username`: not all there are",
            );
        }
        Ok(selection)
    }
}

/// Reads a payload.
pub(super) fn asked(payload: &Value) -> Result<Asked, String> {
    if payload.is_null() {
        return Err(
            r#"payload: must say what is done and to which accounts, e.g. {"kind": "test", "credentials": {"tag": "web"}}, or name a `definition`"#
                .to_owned(),
        );
    }
    let read = match payload.get("definition") {
        Some(_) => serde_path_to_error::deserialize(payload)
            .map(|named: ByName| Asked::Definition(named.definition)),
        None => serde_path_to_error::deserialize(payload).map(Asked::Order),
    };
    read.map_err(|error| format!("payload.{}: {}", error.path(), error.inner()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_names_what_it_means() {
        let read = |value: Value| match asked(&value) {
            Ok(Asked::Order(order)) => order.selection().ok(),
            _ => None,
        };
        let some =
            read(json!({"kind": "test", "credentials": {"username": "root", "devices": ["7"]}}));
        assert_eq!(some.unwrap().devices, [InventoryId(7)]);
        for wrong in [
            json!(null),
            json!({"kind": "test"}),
            json!({"kind": "test", "credentials": {}}),
            json!({"kind": "erase", "credentials": {"username": "root"}}),
            json!({"kind": "test", "credentials": {"user": "root"}}),
            json!({"kind": "test", "credentials": {"username": "root"}, "definition": "1"}),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
        let told = asked(&Value::Null).unwrap_err();
        assert!(told.starts_with("payload: must say"), "{told}");
        let told = asked(&json!({"kind": "erase"})).unwrap_err();
        assert!(told.starts_with("payload.kind: "), "{told}");
        let named = asked(&json!({"definition": "17"}));
        assert!(matches!(named, Ok(Asked::Definition(InventoryId(17)))));
    }

    #[test]
    fn what_a_definition_says_is_what_its_tasks_say() {
        let body = json!({"name": "n", "kind": "run_template", "template": "3", "devices": ["7"], "tag": "web",
            "stop_after": 2});
        let body: TaskDefinitionBody = serde_json::from_value(body).unwrap();
        let payload = Order::from(&body).payload();
        let Ok(Asked::Order(order)) = asked(&payload) else {
            panic!("{payload}")
        };
        assert_eq!(
            (order.template, order.stop_after),
            (body.template, body.stop_after)
        );
        let meant = order.selection().unwrap();
        assert_eq!((meant.devices, meant.tag), (body.devices, body.tag));
    }
}
