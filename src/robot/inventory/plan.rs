//! What is written of a change beside the change: its audit entry and its events. Pure, but for the routes.

use serde_json::{Value, json};

use super::{By, Reason};
use crate::domain::event::CloudEvent;
use crate::domain::id::InventoryId;
use crate::domain::inventory::patch::Fields;
use crate::domain::inventory::{Happening, NounSpec};
use crate::domain::mail::one_line;
use crate::domain::robot::FieldError;
use crate::robot::registry::Registry;
use crate::store::audit::NewAudit;
use crate::store::inventory::{Item, Order, Refusal, Write};

/// Characters of the name of a thing that another one is refused for.
const NAME_CHARS: usize = 60;

/// A change about to be written.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) spec: &'static NounSpec,
    pub(super) id: InventoryId,
    /// The revision it leads to.
    pub(super) revision: i64,
    pub(super) happening: Happening<'a>,
    /// The fields that differ, as they were.
    pub(super) before: Option<Fields>,
    /// The fields that differ, as they will be.
    pub(super) after: Option<Fields>,
    /// The version of a new secret; the secret itself is nowhere in here.
    pub(super) version: Option<i64>,
}

/// The plan to remove a thing.
pub(super) fn deleted(spec: &'static NounSpec, item: &Item) -> Plan<'static> {
    Plan {
        spec,
        id: item.id,
        revision: item.revision + 1,
        happening: Happening::Deleted,
        before: Some(item.body.clone()),
        after: None,
        version: None,
    }
}

impl Plan<'_> {
    pub(super) fn order(self, write: Write, by: By<'_>, registry: &Registry) -> Order {
        let events = (self.spec.events)(&self.happening)
            .into_iter()
            .map(|kind| registry.route(self.event(kind, by.actor)))
            .collect();
        Order {
            write,
            events,
            audit: self.audit(by.actor),
        }
    }

    fn event(&self, kind: &str, actor: &str) -> CloudEvent {
        let (word, id, revision) = (self.spec.word, self.id, self.revision);
        let mut data = json!({"id": id, "revision": revision, "actor": actor});
        if let (Some(version), Value::Object(data)) = (self.version, &mut data) {
            data.insert("secret_version".to_owned(), version.into());
        }
        CloudEvent::own(
            "inventory",
            format!("{word}:{id}:{revision}:{kind}"),
            kind,
            Some(id.to_string()),
            data,
        )
    }

    fn audit(self, actor: &str) -> NewAudit {
        let mut after = self.after;
        if let (Some(version), Some(after)) = (self.version, &mut after) {
            after.insert("secret_version".to_owned(), version.into());
        }
        NewAudit {
            actor: actor.to_owned(),
            action: format!("{}.{}", self.spec.word, self.happening.verb()),
            object: format!("{}:{}", self.spec.word, self.id),
            before: self.before.map(Value::Object),
            after: after.map(Value::Object),
        }
    }
}

/// The store's refusals in the caller's words.
pub(super) fn refused(spec: &NounSpec, refusals: Vec<(usize, Refusal)>) -> Vec<(usize, Reason)> {
    let title = spec.noun.title();
    let reason = |refusal| match refusal {
        Refusal::Missing => Reason::Missing(format!("the {title}")),
        Refusal::Stale { current } => Reason::Stale { current },
        Refusal::Taken { by: Some(id) } => Reason::Taken(FieldError::new(
            spec.named_by,
            format!("is taken by {title} `{id}`"),
        )),
        Refusal::Taken { by: None } => Reason::Taken(FieldError::new(
            spec.named_by,
            "is taken by an earlier one of this call",
        )),
        Refusal::Unknown { field, noun, id } => Reason::Invalid(Vec::from([FieldError::new(
            field,
            format!("there is no {} `{id}`", noun.title()),
        )])),
        Refusal::Unfit { field, why } => Reason::Invalid(Vec::from([FieldError::new(field, why)])),
        Refusal::InUse { by, count, some } => {
            let (noun, verb) = if count == 1 {
                (by.title(), "refers")
            } else {
                (by.spec().path.replace('-', " "), "refer")
            };
            let name = |(id, name): &(InventoryId, String)| {
                format!("`{}` ({id})", one_line(name, NAME_CHARS))
            };
            let mut names: Vec<String> = some.iter().map(name).collect();
            if usize::try_from(count).is_ok_and(|count| count > some.len()) {
                names.push("…".to_owned());
            }
            let names = names.join(", ");
            Reason::InUse(format!(
                "the {title} is in use: {count} {noun} {verb} to it: {names}"
            ))
        }
        // Only beside others: the caller hears of those.
        Refusal::KeyRetired | Refusal::SecretMoved => Reason::InUse(format!(
            "the secret of the {title} was changed at the same moment"
        )),
    };
    refusals
        .into_iter()
        .map(|(index, refusal)| (index, reason(refusal)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inventory::Noun;

    #[test]
    fn who_is_refused_is_told_by_what() {
        let spec = Noun::CredentialPolicy.spec();
        let told = |refusal| refused(spec, Vec::from([(0, refusal)])).remove(0).1;
        assert_eq!(
            told(Refusal::InUse {
                by: Noun::Credential,
                count: 2,
                some: Vec::from([(InventoryId(7), "root".to_owned())]),
            }),
            Reason::InUse(
                "the credential policy is in use: 2 credentials refer to it: `root` (7), …"
                    .to_owned()
            )
        );
        assert_eq!(
            told(Refusal::InUse {
                by: Noun::UserGroup,
                count: 1,
                some: Vec::from([(InventoryId(8), "ops".to_owned())]),
            }),
            Reason::InUse(
                "the credential policy is in use: 1 user group refers to it: `ops` (8)".to_owned()
            )
        );
        assert_eq!(
            told(Refusal::Taken {
                by: Some(InventoryId(7))
            }),
            Reason::Taken(FieldError::new("name", "is taken by credential policy `7`"))
        );
    }
}
