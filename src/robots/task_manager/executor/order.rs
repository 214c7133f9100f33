//! What a task asks for.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::id::InventoryId;
use crate::domain::inventory::TaskDefinitionBody;
use crate::domain::operation::OperationKind;
use crate::domain::robot::FieldError;
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
    /// So many operations are ordered at once, the next ones when those before have ended; absent: all.
    #[serde(default)]
    pub(super) batch_size: Option<NonZeroU32>,
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
            batch_size: body.batch_size,
        }
    }
}

impl Order {
    /// Refuses what no inventory could make good.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        let runs_template = self.kind == OperationKind::RunTemplate;
        if runs_template != self.template.is_some() {
            let detail = "must be given for `run_template`, and for nothing else";
            return Err(FieldError::new("payload.template", detail));
        }
        if self.credentials.devices.len() > OPERATIONS_MAX {
            let detail = format!("must be at most {OPERATIONS_MAX}");
            return Err(FieldError::new("payload.credentials.devices", detail));
        }
        let anybody = Selection {
            keys: self.kind.suits_keys(),
            no_passwords: !self.kind.suits_passwords(),
            ..Selection::default()
        };
        if self.selection() == anybody {
            let detail =
                "must name `devices`, a `site`, a `tag` or a `username`: not all there are";
            return Err(FieldError::new("payload.credentials", detail));
        }
        Ok(())
    }

    /// Which credentials are meant.
    pub(super) fn selection(&self) -> Selection {
        let Means {
            devices,
            site,
            tag,
            username,
        } = self.credentials.clone();
        Selection {
            devices,
            site,
            tag,
            username,
            keys: self.kind.suits_keys(),
            no_passwords: !self.kind.suits_passwords(),
        }
    }
}

/// Reads a payload.
pub(super) fn asked(payload: &Value) -> Result<Asked, FieldError> {
    if payload.is_null() {
        let detail = r#"must say what is done and to which accounts, e.g. {"kind": "test", "credentials": {"tag": "web"}}, or name a `definition`"#;
        return Err(FieldError::new("payload", detail));
    }
    let read = match payload.get("definition") {
        Some(_) => serde_path_to_error::deserialize(payload)
            .map(|named: ByName| Asked::Definition(named.definition)),
        None => serde_path_to_error::deserialize(payload).map(Asked::Order),
    };
    let asked = read.map_err(|error| {
        let path = format!("payload.{}", error.path());
        FieldError::at(path.trim_end_matches('.'), &error.inner().to_string())
    })?;
    if let Asked::Order(order) = &asked {
        order.check()?;
    }
    Ok(asked)
}

/// The payload that names a definition.
pub(super) fn by_name(definition: InventoryId) -> Value {
    json!({"definition": definition})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_names_what_it_means() {
        let read = |value: Value| match asked(&value) {
            Ok(Asked::Order(order)) => Some(order.selection()),
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
        for (wrong, field) in [
            (json!(null), "payload"),
            (json!({"kind": "erase"}), "payload.kind"),
            (json!({"kind": "test"}), "payload.credentials"),
            (
                json!({"kind": "test", "credentials": {}}),
                "payload.credentials",
            ),
            (
                json!({"kind": "run_template", "credentials": {"tag": "a"}}),
                "payload.template",
            ),
            (json!({"definition": 17}), "payload.definition"),
        ] {
            assert_eq!(asked(&wrong).unwrap_err().field, field, "{wrong}");
        }
        let named = asked(&by_name(InventoryId(17)));
        assert!(matches!(named, Ok(Asked::Definition(InventoryId(17)))));
    }

    #[test]
    fn what_a_definition_says_is_what_its_tasks_say() {
        let body = json!({"name": "n", "kind": "run_template", "template": "3", "devices": ["7"], "tag": "web",
            "stop_after": 2, "batch_size": 5});
        let body: TaskDefinitionBody = serde_json::from_value(body).unwrap();
        let payload = serde_json::to_value(Order::from(&body)).unwrap();
        let Ok(Asked::Order(order)) = asked(&payload) else {
            panic!("{payload}")
        };
        assert_eq!(
            (order.template, order.stop_after, order.batch_size),
            (body.template, body.stop_after, body.batch_size)
        );
        let meant = order.selection();
        assert_eq!((meant.devices, meant.tag), (body.devices, body.tag));
    }
}
