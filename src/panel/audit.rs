//! The report **Audit**: who changed what, before and after.

use std::collections::BTreeSet;

use askama::Template;
use serde_json::{Map, Value};

use super::list::{List, Report};
use super::moment::At;
use super::plain;
use super::shell::{Place, Shell};
use super::text as t;
use super::when::{LASTS, When};
use crate::api::audit::{self, AuditParams, AuditView};
use crate::api::csv::Row as _;
use crate::api::{ApiError, ApiState};
use crate::store::page::{Page, PageRequest};

/// Characters of a value that a row shows; the file has all of them.
const VALUE_CHARS: usize = 80;
/// Fields that a row shows.
const FIELDS_MAX: usize = 12;

/// The report.
pub(super) struct Audit;

#[derive(Template)]
#[template(path = "audit.html")]
pub(super) struct AuditPage {
    shell: Shell,
    list: List,
    rows: Vec<Row>,
}

/// An entry as a row.
struct Row {
    id: String,
    at: At,
    actor: String,
    action: String,
    object: String,
    robot: Option<String>,
    changes: Vec<Change>,
    further: usize,
}

/// A field before and after; an empty text is no value.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    field: String,
    before: String,
    after: String,
}

impl Row {
    fn of(entry: AuditView) -> Self {
        let mut changes = changes(entry.before.as_ref(), entry.after.as_ref());
        let further = changes.len().saturating_sub(FIELDS_MAX);
        changes.truncate(FIELDS_MAX);
        let robot = entry.object.strip_prefix("robot:").map(str::to_owned);
        Self {
            id: entry.id,
            at: At(entry.at),
            actor: plain::visible(&entry.actor),
            action: entry.action,
            object: plain::visible(&entry.object),
            robot,
            changes,
            further,
        }
    }
}

/// The fields that differ, by name.
fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let object = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (before, after) = (
        object(before).unwrap_or_default(),
        object(after).unwrap_or_default(),
    );
    let fields: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    // What is null has no value: a field that a new object does not use was not removed.
    let known = |fields: &Map<String, Value>, field: &String| {
        fields.get(field).filter(|value| !value.is_null()).cloned()
    };
    let text = |value: Option<Value>| {
        value.map_or_else(String::new, |value| plain::value(&value, VALUE_CHARS))
    };
    fields
        .into_iter()
        .map(|field| (field, known(&before, field), known(&after, field)))
        .filter(|(_, before, after)| before != after)
        .map(|(field, before, after)| Change {
            field: plain::visible(field),
            before: text(before),
            after: text(after),
        })
        .collect()
}

impl Report for Audit {
    const PLACE: Place = Place::Audit;
    const TOPICS: &'static str = "robot";
    const SUB: &'static str = t::AUDIT_SUB;
    const EMPTY: &'static str = t::NO_AUDIT;
    type Only = (AuditParams, When);
    type View = AuditView;
    type Page = AuditPage;

    async fn select(
        state: &ApiState,
        (only, when): &Self::Only,
        part: PageRequest,
    ) -> Result<Page<AuditView>, ApiError> {
        let only = (only.clone(), when.span(state.now()));
        audit::select(state, &only, part).await
    }

    fn columns(_: &Self::Only) -> Result<Vec<&'static str>, ApiError> {
        Ok(AuditView::COLUMNS.to_vec())
    }

    async fn page(
        _: &ApiState,
        _: &Self::Only,
        shell: Shell,
        list: List,
        views: Vec<AuditView>,
    ) -> Result<AuditPage, ApiError> {
        Ok(AuditPage {
            shell,
            list,
            rows: views.into_iter().map(Row::of).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let before = json!({"instances": 2, "enabled": true, "gone": "x"});
        let after = json!({"instances": 5, "enabled": true, "new": {"a": 1}});
        let change = |field: &str, before: &str, after: &str| Change {
            field: field.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        assert_eq!(
            changes(Some(&before), Some(&after)),
            [
                change("gone", "x", ""),
                change("instances", "2", "5"),
                change("new", "", "{\"a\":1}"),
            ]
        );
        assert_eq!(changes(None, None), []);
        let made = json!({"hostname": "web-1", "site": null});
        assert_eq!(
            changes(None, Some(&made)),
            [change("hostname", "", "web-1")]
        );
        let freed = json!({"hostname": null, "site": null});
        assert_eq!(
            changes(Some(&made), Some(&freed)),
            [change("hostname", "web-1", "")]
        );
    }
}
