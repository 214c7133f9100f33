//! Many rows as one bind: a JSON array of objects, in pieces that either database takes easily.

use serde_json::{Map, Value};

/// Longest piece. A row is at most a payload or an event (256 KiB) and its columns; pieces bound
/// the memory for a batch of large ones (`jsonb` alone would end at 256 MiB).
const PIECE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rows on their way into a statement's `{rows}`.
#[derive(Debug, Default)]
pub(in crate::store) struct Rows {
    full: Vec<String>,
    open: String,
}

impl Rows {
    /// Adds a row; the values are read by name. NUL, which PostgreSQL cannot keep in a text,
    /// becomes U+FFFD in both databases.
    pub(in crate::store) fn push<const N: usize>(&mut self, columns: [(&str, Value); N]) {
        let row: Map<String, Value> = columns
            .into_iter()
            .map(|(name, value)| (name.to_owned(), without_nul(value)))
            .collect();
        let row = Value::Object(row).to_string();
        if !self.open.is_empty() && self.open.len() + row.len() > PIECE_BYTES_MAX {
            self.close();
        }
        self.open.push(if self.open.is_empty() { '[' } else { ',' });
        self.open.push_str(&row);
    }

    /// The JSON arrays, none of them empty.
    pub(in crate::store) fn pieces(mut self) -> Vec<String> {
        self.close();
        self.full
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.open.push(']');
            self.full.push(std::mem::take(&mut self.open));
        }
    }
}

/// A text as either database can keep it.
pub(in crate::store) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(storable(&text)),
        other => other,
    }
}
