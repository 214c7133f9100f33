//! Keyset paging, the same for every list.

/// Most rows of one page (design.md 3.2).
pub const PAGE_ROWS_MAX: u32 = 500;

/// Which part of a list is wanted. Lists run from the newest row to the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows, 1 to [`PAGE_ROWS_MAX`].
    pub limit: u32,
    /// Key of the last row of the page before, from [`Page::next`].
    pub after: Option<i64>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<i64>,
}

/// A page without rows, the last of its list.
impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }
}

impl<T> Page<T> {
    /// The same part of the list with each row made into something else.
    #[must_use]
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(make).collect(),
            next: self.next,
        }
    }
}

impl PageRequest {
    /// Rows to read: one more than wanted tells whether there is a next page.
    pub(super) fn rows(self) -> i64 {
        i64::from(self.limit.clamp(1, PAGE_ROWS_MAX)) + 1
    }
}

/// Makes a page of rows that were found in several places, each cut at [`PageRequest::rows`].
pub(super) fn page_of<T>(mut found: Vec<T>, page: PageRequest, key: impl Fn(&T) -> i64) -> Page<T> {
    found.sort_unstable_by_key(|item| std::cmp::Reverse(key(item)));
    let limit = usize::try_from(page.rows() - 1).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = if more { found.last().map(key) } else { None };
    Page { items: found, next }
}
