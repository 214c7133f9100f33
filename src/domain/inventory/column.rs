//! How fields lie in tables: what the store needs to know of a noun to keep it without knowing it.

use serde_json::Value;

use super::Noun;
use super::patch::Fields;
use crate::domain::id::InventoryId;
use crate::domain::iso_duration;
use crate::domain::time::{Timestamp, from_micros, to_micros};

/// One field and the column that keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The field's name on the wire.
    pub field: &'static str,
    /// The column's name.
    pub name: &'static str,
    /// What is in it.
    pub kind: Kind,
}

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// True or false.
    Bool,
    /// An instant: RFC 3339 on the wire, microseconds in the column.
    Time,
    /// A length of time: ISO 8601 on the wire, seconds in the column.
    Duration,
    /// An object: JSON text in the column.
    Object,
    /// A list of texts: JSON text in the column.
    List,
    /// The id of a thing of this noun.
    Ref(Noun),
}

/// Rows of another table that belong to a thing, and go with it.
#[derive(Debug)]
pub struct Child {
    /// The field's name on the wire: a list.
    pub field: &'static str,
    /// The table.
    pub table: &'static str,
    /// Its column with the id of the thing.
    pub parent: &'static str,
    /// The columns a caller sets; a row that differs in any of them is another row.
    pub columns: &'static [Column],
    /// The columns that robots set, shown beside them.
    pub state: &'static [Column],
    /// Whether an entry of the list is an object, or the value of the only column.
    pub shape: Shape,
}

/// What an entry of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An object with a member a column.
    Object,
    /// The value of the only column.
    Value,
}

/// A query parameter that narrows a list.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// The parameter.
    pub name: &'static str,
    /// The column it looks at; for [`FilterKind::Name`] the identity.
    pub column: &'static str,
    /// How.
    pub kind: FilterKind,
    /// What it selects, for the description.
    pub about: &'static str,
}

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterKind {
    /// The first part of the identity, as names are compared.
    Name,
    /// An id.
    Ref,
    /// True or false.
    Bool,
    /// The same text.
    Text,
    /// An instant before this one; none is not before any.
    Before,
}

/// A value as a column keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Of a BIGINT column.
    Int(Option<i64>),
    /// Of a TEXT column.
    Text(Option<String>),
    /// Of a BOOLEAN column.
    Bool(Option<bool>),
}

/// A column whose field has the same name.
#[must_use]
pub const fn column(name: &'static str, kind: Kind) -> Column {
    Column {
        field: name,
        name,
        kind,
    }
}

/// A column that refers to a thing.
#[must_use]
pub const fn refers(field: &'static str, name: &'static str, noun: Noun) -> Column {
    Column {
        field,
        name,
        kind: Kind::Ref(noun),
    }
}

impl Kind {
    /// A checked field's value as the column keeps it; one of another kind is kept as none.
    #[must_use]
    pub fn stored(self, value: &Value) -> Stored {
        let text = || value.as_str().map(str::to_owned);
        match self {
            Self::Text => Stored::Text(text()),
            Self::Int => Stored::Int(value.as_i64()),
            Self::Bool => Stored::Bool(value.as_bool()),
            Self::Time => Stored::Int(
                serde_json::from_value::<Timestamp>(value.clone())
                    .ok()
                    .map(to_micros),
            ),
            Self::Duration => Stored::Int(text().and_then(|text| {
                let seconds = iso_duration::parse(&text).ok()?.as_secs();
                i64::try_from(seconds).ok()
            })),
            Self::Object | Self::List => {
                Stored::Text((!value.is_null()).then(|| value.to_string()))
            }
            Self::Ref(_) => Stored::Int(id_of(value).map(|id| id.0)),
        }
    }

    /// What a database answered as JSON, as it is shown: the inverse of [`Self::stored`].
    #[must_use]
    pub fn shown(self, value: &Value) -> Value {
        match self {
            Self::Text | Self::Int => value.clone(),
            // SQLite has no booleans: it answers 0 or 1.
            Self::Bool => value
                .as_i64()
                .map_or_else(|| value.clone(), |number| Value::from(number != 0)),
            Self::Time => value
                .as_i64()
                .and_then(|micros| serde_json::to_value(from_micros(micros)).ok())
                .unwrap_or_default(),
            Self::Duration => value
                .as_u64()
                .map(|seconds| iso_duration::format(std::time::Duration::from_secs(seconds)))
                .map(Value::from)
                .unwrap_or_default(),
            Self::Object | Self::List => value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
            Self::Ref(_) => value
                .as_i64()
                .map(|id| Value::from(id.to_string()))
                .unwrap_or_default(),
        }
    }

    /// `value` as it will be read back: an instant loses what is finer than a microsecond.
    fn settled(self, value: &Value) -> Value {
        self.shown(&match self.stored(value) {
            Stored::Int(number) => Value::from(number),
            Stored::Text(text) => Value::from(text),
            Stored::Bool(truth) => Value::from(truth),
        })
    }
}

/// The id in a field.
#[must_use]
pub fn id_of(value: &Value) -> Option<InventoryId> {
    value.as_str()?.parse().ok()
}

/// The fields of `columns` as they will be read back; absent ones are null.
#[must_use]
pub(super) fn settled(columns: &[Column], fields: &Fields) -> Fields {
    columns
        .iter()
        .map(|column| {
            let value = fields.get(column.field).unwrap_or(&Value::Null);
            (column.field.to_owned(), column.kind.settled(value))
        })
        .collect()
}

impl Child {
    /// The entries of the list as they will be read back, without their state.
    #[must_use]
    pub fn settled(&self, list: &Value) -> Value {
        let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let entry = |entry: &Value| match self.shape {
            Shape::Object => match entry {
                Value::Object(fields) => Value::Object(settled(self.columns, fields)),
                _ => Value::Null,
            },
            Shape::Value => self
                .columns
                .first()
                .map(|column| column.kind.settled(entry))
                .unwrap_or_default(),
        };
        entries.iter().map(entry).collect()
    }

    /// The value of `column` in an entry.
    #[must_use]
    pub fn value<'a>(&self, entry: &'a Value, column: &Column) -> &'a Value {
        match self.shape {
            Shape::Object => entry.get(column.field).unwrap_or(&Value::Null),
            Shape::Value => entry,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_read_back_as_it_was_kept() {
        for (kind, value) in [
            (Kind::Text, json!("é")),
            (Kind::Int, json!(-7)),
            (Kind::Bool, json!(true)),
            (Kind::Time, json!("2026-01-02T03:04:05.000006Z")),
            (Kind::Duration, json!("PT90S")),
            (Kind::Object, json!({"a": [1, null]})),
            (Kind::List, json!(["a", "b"])),
            (Kind::Ref(Noun::Site), json!("12")),
        ] {
            let settled = kind.settled(&value);
            assert_eq!(kind.settled(&settled), settled, "{kind:?}");
            if kind != Kind::Duration {
                assert_eq!(settled, value, "{kind:?}");
            }
            assert_eq!(kind.settled(&Value::Null), Value::Null, "{kind:?}");
        }
    }

    #[test]
    fn what_sqlite_answers_for_a_boolean_is_one() {
        assert_eq!(Kind::Bool.shown(&json!(0)), json!(false));
        assert_eq!(Kind::Bool.shown(&json!(1)), json!(true));
        assert_eq!(Kind::Bool.shown(&json!(true)), json!(true));
    }

    proptest! {
        #[test]
        fn an_instant_is_kept_to_the_microsecond(micros in -62_135_596_800_000_000_i64..253_402_300_799_999_999) {
            let value = serde_json::to_value(from_micros(micros)).unwrap();
            prop_assert_eq!(Kind::Time.stored(&value), Stored::Int(Some(micros)));
            prop_assert_eq!(Kind::Time.settled(&value), value);
        }
    }
}
