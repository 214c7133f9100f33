//! A thing as it is shown.

use serde_json::{Value, json};

use crate::domain::inventory::NounSpec;
use crate::domain::inventory::patch::Fields;
use crate::store::inventory::Item;

/// All of a thing but its secret, in one object: what callers set, what follows, what robots set, and a `warning` where
/// something of it does not fit.
pub(super) fn view(spec: &NounSpec, item: &Item) -> Value {
    let Item {
        id,
        revision,
        created_at,
        updated_at,
        body,
        state,
        lists,
    } = item;
    let mut shown = Fields::new();
    shown.insert("id".to_owned(), json!(id));
    shown.extend(body.clone());
    for child in spec.children {
        let list = lists.get(child.field).cloned().unwrap_or_default();
        shown.insert(child.field.to_owned(), list);
    }
    shown.extend(state.clone());
    shown.insert("revision".to_owned(), json!(revision));
    shown.insert("created_at".to_owned(), json!(created_at));
    shown.insert("updated_at".to_owned(), json!(updated_at));
    if let Some(warning) = spec.noun.warning(body, *updated_at) {
        shown.insert("warning".to_owned(), json!(warning));
    }
    Value::Object(shown)
}

/// The columns of a noun's table in CSV; a list stands in one cell as JSON.
#[must_use]
pub fn columns(spec: &NounSpec) -> Vec<&'static str> {
    let own = spec.columns.iter().map(|column| column.field);
    let lists = spec.children.iter().map(|child| child.field);
    let state = spec.state.iter().map(|column| column.field);
    let last = ["revision", "created_at", "updated_at"];
    std::iter::once("id")
        .chain(own)
        .chain(lists)
        .chain(state)
        .chain(last)
        .collect()
}
