//! Cursors and the shape of lists.

use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::query::{FromParams, Params};
use crate::store::page::{PAGE_ROWS_MAX, Page, PageRequest};

/// Rows of a page when the caller names no number: a screenful.
const ROWS_DEFAULT: u32 = 50;
/// Hex digits of a cursor: 16 for the key, 8 for the check.
const CURSOR_CHARS: usize = 24;

/// A part of a list, newest first unless the list says otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListView<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Send it as `cursor` for the next part; null at the end.
    pub next_cursor: Option<String>,
}

impl<T> ListView<T> {
    /// A part of the list at `path`.
    pub(super) fn of(path: &str, part: Page<T>) -> Self {
        Self {
            items: part.items,
            next_cursor: part.next.map(|key| cursor_text(path, key)),
        }
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Rows of the answer; 50 when absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, nullable = false)]
    pub limit: u32,
    /// `next_cursor` of the part before.
    #[param(value_type = Option<String>, min_length = 24, max_length = 24, pattern = "^[0-9a-f]{24}$", nullable = false)]
    pub cursor: Option<i64>,
}

impl FromParams for PageParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        let limit = params
            .number("limit", 1..=i64::from(PAGE_ROWS_MAX))
            .unwrap_or(i64::from(ROWS_DEFAULT));
        let list = params.path().to_owned();
        let cursor = params.read("cursor", |text| {
            cursor_key(&list, text).ok_or_else(|| {
                "is not a cursor of this list; send `next_cursor` as it came".to_owned()
            })
        });
        Self {
            limit: u32::try_from(limit).unwrap_or(ROWS_DEFAULT),
            cursor,
        }
    }
}

impl PageParams {
    /// What the store is asked for.
    #[must_use]
    pub const fn request(&self) -> PageRequest {
        PageRequest {
            limit: self.limit,
            after: self.cursor,
        }
    }

    /// A part of a list that is kept in memory; the key is the position.
    pub(super) fn slice<T>(&self, all: Vec<T>) -> Page<T> {
        let start = usize::try_from(self.cursor.unwrap_or(0)).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let end = start.saturating_add(limit);
        let next = (end < all.len()).then(|| i64::try_from(end).unwrap_or(i64::MAX));
        Page {
            items: all.into_iter().skip(start).take(limit).collect(),
            next,
        }
    }
}

/// The cursor of `key` in the list at `path`.
#[must_use]
pub fn cursor_text(path: &str, key: i64) -> String {
    format!("{key:016x}{}", check(path, key))
}

/// The key in a cursor that [`cursor_text`] made for the same list.
fn cursor_key(path: &str, text: &str) -> Option<i64> {
    if text.len() != CURSOR_CHARS || !text.is_ascii() {
        return None;
    }
    let (key, sum) = text.split_at_checked(16)?;
    let key = i64::from_str_radix(key, 16).ok().filter(|key| *key >= 0)?;
    (sum == check(path, key)).then_some(key)
}

/// Tells a cursor from garbage and from a cursor of another list; it is no secret.
fn check(path: &str, key: i64) -> String {
    let digest = Sha256::new_with_prefix(b"cursor 1 ")
        .chain_update(path)
        .chain_update(key.to_be_bytes())
        .finalize();
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back_in_its_own_list_only(key in 0..i64::MAX) {
            let text = cursor_text("/api/v1/tasks", key);
            prop_assert_eq!(cursor_key("/api/v1/tasks", &text), Some(key));
            prop_assert_eq!(cursor_key("/api/v1/ticks", &text), None);
        }

        #[test]
        fn garbage_is_no_cursor(text in ".{0,30}") {
            prop_assert_eq!(cursor_key("/api/v1/tasks", &text), None);
        }
    }

    #[test]
    fn a_list_in_memory_is_cut_into_parts() {
        let first = PageParams {
            limit: 2,
            cursor: None,
        }
        .slice(vec![1, 2, 3]);
        assert_eq!((first.items, first.next), (vec![1, 2], Some(2)));
        let last = PageParams {
            limit: 2,
            cursor: Some(2),
        }
        .slice(vec![1, 2, 3]);
        assert_eq!((last.items, last.next), (vec![3], None));
    }
}
