//! What a task means, as people read it before they decide on it: what is done, and to whose accounts, by their names.

use serde_json::Value;

use super::inventory::{Names, label};
use super::{plain, text as t, words};
use crate::api::inventory;
use crate::domain::id::InventoryId;
use crate::domain::inventory::Noun;
use crate::domain::operation::OperationKind;

/// Characters of a value.
const VALUE_CHARS: usize = 160;

/// What is done, and what is said of it; `meaning.html` shows it.
pub(super) struct Meaning {
    pub(super) kind: String,
    pub(super) parts: Vec<Part>,
}

/// Something that is said of it.
pub(super) struct Part {
    pub(super) name: String,
    /// Each with its address, which is empty where it has none.
    pub(super) things: Vec<(String, String)>,
    /// How many more there are.
    pub(super) further: usize,
}

/// The members of a meaning that say something, those of its accounts first. One that is not known here is said as well: somebody
/// decides on it.
fn members(meaning: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let accounts = meaning.get("credentials").and_then(Value::as_object);
    let all = accounts.into_iter().chain(meaning.as_object()).flatten();
    all.map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !matches!(*name, "kind" | "credentials"))
        .filter(|(_, value)| !value.is_null())
        .filter(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty()))
}

/// The nouns that members refer to.
fn noun(member: &str) -> Option<Noun> {
    match member {
        "devices" => Some(Noun::Device),
        "site" => Some(Noun::Site),
        "template" => Some(Noun::OperationTemplate),
        _ => None,
    }
}

/// The values of a member, and how many there are more than `most`.
fn values(value: &Value, most: usize) -> (&[Value], usize) {
    let all = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let shown = all.get(..most).unwrap_or(all);
    (shown, all.len() - shown.len())
}

/// The things whose names a meaning is shown by, at most `most` of each member.
pub(super) fn wanted(meaning: &Value, most: usize) -> impl Iterator<Item = (Noun, InventoryId)> {
    let named = members(meaning).filter_map(|(member, value)| Some((noun(member)?, value)));
    named.flat_map(move |(noun, value)| {
        let ids = values(value, most).0.iter().filter_map(Value::as_str);
        ids.filter_map(inventory::id).map(move |id| (noun, id))
    })
}

impl Meaning {
    /// What is meant, at most `most` things of each member by their names.
    pub(super) fn of(meaning: &Value, names: &Names, most: usize) -> Self {
        let kind = meaning.get("kind").and_then(Value::as_str);
        let kind = kind.unwrap_or_default();
        let known = kind.parse::<OperationKind>().map(words::operation_kind);
        let part = |(member, value): (&str, &Value)| {
            let (shown, further) = values(value, most);
            Part {
                name: called(member),
                things: shown
                    .iter()
                    .map(|value| thing(noun(member), value, names))
                    .collect(),
                further,
            }
        };
        Self {
            kind: known.map_or_else(|_| plain::visible(kind), str::to_owned),
            parts: members(meaning).map(part).collect(),
        }
    }
}

fn called(member: &str) -> String {
    match member {
        "username" => t::MEANS_ACCOUNT.to_owned(),
        "stop_after" => t::MEANS_STOP.to_owned(),
        "batch_size" => t::MEANS_BATCH.to_owned(),
        other => plain::visible(&label(other)),
    }
}

/// A value: a thing by its name, where it is still there.
fn thing(noun: Option<Noun>, value: &Value, names: &Names) -> (String, String) {
    let text = plain::value(value, VALUE_CHARS);
    let id = value.as_str().and_then(inventory::id);
    match noun.zip(id) {
        Some((noun, id)) => {
            let name = names.get(&(noun, id.0)).cloned();
            let address = format!("/inventory/{}/{id}", noun.spec().path);
            (address, name.unwrap_or(text))
        }
        None => (String::new(), text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_decides_reads_names_and_how_many_more_there_are() {
        let meaning = json!({"kind": "run_template", "template": "3", "stop_after": 2, "batch_size": null, "new": true,
            "credentials": {"devices": ["7", "8", "9"], "site": null, "tag": "<web>", "username": "root"}});
        let wanted: Vec<_> = wanted(&meaning, 2).collect();
        let device = |id| (Noun::Device, InventoryId(id));
        let template = (Noun::OperationTemplate, InventoryId(3));
        assert_eq!(wanted, [device(7), device(8), template]);
        let names = [((Noun::Device, 7), "db-1"), ((template.0, 3), "Restart")];
        let names = names.map(|(key, name)| (key, name.to_owned()));
        let shown = Meaning::of(&meaning, &Names::from(names), 2);
        assert_eq!(shown.kind, "Command of a template");
        let parts = shown.parts.iter().map(|part| {
            let things = part.things.iter().map(|(_, text)| text.as_str());
            let things: Vec<_> = things.collect();
            format!("{}: {} +{}", part.name, things.join(", "), part.further)
        });
        let expected = [
            "Devices: db-1, 8 +1",
            "Tag: <web> +0",
            "Account name: root +0",
            "New: true +0",
            "Stops after failures: 2 +0",
            "Template: Restart +0",
        ];
        assert_eq!(parts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_is() {
        let shown = Meaning::of(&json!({"kind": "e\u{7}"}), &Names::new(), 2);
        assert_eq!((shown.kind.as_str(), shown.parts.len()), ("e␇", 0));
        assert!(Meaning::of(&Value::Null, &Names::new(), 2).parts.is_empty());
    }
}
