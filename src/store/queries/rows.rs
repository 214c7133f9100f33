//! Many rows on their way into one statement's `{rows …}`.

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Cell {
    /// Of a column declared `int`.
    Int(Option<i64>),
    /// Of a column declared `text`.
    Text(Option<String>),
}

macro_rules! cell_of {
    ($($type:ty => $variant:ident($value:ident) $of:expr;)*) => {
        $(impl From<$type> for Cell {
            fn from($value: $type) -> Self {
                Self::$variant($of)
            }
        })*
    };
}

cell_of! {
    i64 => Int(value) Some(value);
    i32 => Int(value) Some(value.into());
    i16 => Int(value) Some(value.into());
    u32 => Int(value) Some(value.into());
    Option<i64> => Int(value) value;
    String => Text(value) Some(storable(value));
    &str => Text(value) Some(storable(value.to_owned()));
    Option<String> => Text(value) value.map(storable);
}

/// Rows of equal width. A text's NUL, which PostgreSQL cannot keep, becomes U+FFFD in both databases.
#[derive(Debug, Default)]
pub(in crate::store) struct Rows {
    width: usize,
    cells: Vec<Cell>,
}

impl Rows {
    /// One row a number.
    pub(in crate::store) fn column(numbers: impl IntoIterator<Item = i64>) -> Self {
        Self {
            width: 1,
            cells: numbers.into_iter().map(Cell::from).collect(),
        }
    }

    /// Adds a row; its values stand in the order in which the statement declares its columns.
    pub(in crate::store) fn push<const N: usize>(&mut self, row: [Cell; N]) {
        self.width = N;
        self.cells.extend(row);
    }

    /// The rows in their order.
    pub(in crate::store) fn iter(&self) -> impl ExactSizeIterator<Item = &[Cell]> {
        self.cells.chunks(self.width.max(1))
    }
}

/// A text as either database can keep it.
pub(in crate::store) fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}
