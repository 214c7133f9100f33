//! A row as a line of a file.

use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::Value;

use crate::domain::hex::{bytes_of, hexadecimal};
use crate::store::datum::{Datum, Kind};
use crate::store::schema::list::ColumnShape;

/// A row that is written as an array.
pub(super) struct Line<'a>(pub(super) &'a [Datum]);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(Some(self.0.len()))?;
        for datum in self.0 {
            match datum {
                Datum::Int(value) => array.serialize_element(value),
                Datum::Text(value) => array.serialize_element(value),
                Datum::Bool(value) => array.serialize_element(value),
                // The shortest text that reads back as the same number.
                Datum::Double(value) => {
                    array.serialize_element(&value.map(|value| format!("{value:?}")))
                }
                Datum::Binary(value) => array.serialize_element(&value.as_deref().map(hexadecimal)),
            }?;
        }
        array.end()
    }
}

/// Reads a row of these columns; the error says what is wrong, and holds nothing of the row.
pub(super) fn read(line: &[u8], columns: &[ColumnShape]) -> Result<Vec<Datum>, String> {
    let values: Vec<Value> = serde_json::from_slice(line).map_err(|_| "it is no row".to_owned())?;
    if values.len() != columns.len() {
        return Err(format!(
            "{} values for {} columns",
            values.len(),
            columns.len()
        ));
    }
    let mut row = Vec::with_capacity(columns.len());
    for (value, column) in values.into_iter().zip(columns) {
        let datum = datum(value, column.kind)
            .ok_or_else(|| format!("no {} for column `{}`", column.kind.name(), column.name))?;
        row.push(datum);
    }
    Ok(row)
}

fn datum(value: Value, kind: Kind) -> Option<Datum> {
    let text = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    let value = Some(value).filter(|value| !value.is_null());
    Some(match kind {
        Kind::SmallInt | Kind::Integer | Kind::BigInt => match value {
            Some(value) => Datum::Int(Some(value.as_i64()?)),
            None => Datum::Int(None),
        },
        Kind::Text => match value {
            Some(value) => Datum::Text(Some(text(value)?)),
            None => Datum::Text(None),
        },
        Kind::Bool => match value {
            Some(value) => Datum::Bool(Some(value.as_bool()?)),
            None => Datum::Bool(None),
        },
        Kind::Double => match value {
            Some(value) => Datum::Double(Some(text(value)?.parse().ok()?)),
            None => Datum::Double(None),
        },
        Kind::Binary => match value {
            Some(value) => Datum::Binary(Some(bytes_of(&text(value)?)?)),
            None => Datum::Binary(None),
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_datum() -> impl Strategy<Value = (Kind, Datum)> {
        prop_oneof![
            any::<Option<i64>>().prop_map(|value| (Kind::BigInt, Datum::Int(value))),
            any::<Option<String>>().prop_map(|value| (Kind::Text, Datum::Text(value))),
            any::<Option<bool>>().prop_map(|value| (Kind::Bool, Datum::Bool(value))),
            proptest::option::of(
                proptest::num::f64::ANY.prop_filter("equal to itself", |x| !x.is_nan())
            )
            .prop_map(|value| (Kind::Double, Datum::Double(value))),
            any::<Option<Vec<u8>>>().prop_map(|value| (Kind::Binary, Datum::Binary(value))),
        ]
    }

    fn columns(kinds: impl Iterator<Item = Kind>) -> Vec<ColumnShape> {
        kinds.map(|kind| ColumnShape { name: "c", kind }).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_row_reads_back_from_one_line(row in proptest::collection::vec(any_datum(), 1..8)) {
            let (kinds, row): (Vec<_>, Vec<_>) = row.into_iter().unzip();
            let line = serde_json::to_vec(&Line(&row)).unwrap();
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(read(&line, &columns(kinds.into_iter())), Ok(row));
        }
    }

    #[test]
    fn what_does_not_fit_its_column_is_named_without_its_value() {
        for (line, kind, says) in [
            ("[1.5]", Kind::BigInt, "no bigint for column `c`"),
            ("[9223372036854775808]", Kind::BigInt, "no bigint"),
            ("[\"secret\"]", Kind::SmallInt, "no smallint"),
            ("[1]", Kind::Text, "no text"),
            ("[0]", Kind::Bool, "no bool"),
            ("[0.5]", Kind::Double, "no double"),
            ("[\"abc\"]", Kind::Binary, "no binary"),
            ("[1,2]", Kind::BigInt, "2 values for 1 columns"),
            ("{}", Kind::BigInt, "no row"),
        ] {
            let error = read(line.as_bytes(), &columns(std::iter::once(kind))).unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }
}
