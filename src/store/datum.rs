//! One value of any column, for what is done to all tables alike.

use crate::domain::inventory::column::Stored;

/// What a column holds, by the types that the schema uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number of 16 bits.
    SmallInt,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInt,
    /// A text.
    Text,
    /// True or false.
    Bool,
    /// A number with a fraction.
    Double,
    /// Bytes.
    Binary,
}

impl Kind {
    /// All of them.
    const ALL: [Self; 7] = [
        Self::SmallInt,
        Self::Integer,
        Self::BigInt,
        Self::Text,
        Self::Bool,
        Self::Double,
        Self::Binary,
    ];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Double => "double",
            Self::Binary => "binary",
        }
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A value; `None` is NULL of its type. A whole number knows its column's width only.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum {
    /// Of a column of whole numbers.
    Int(Option<i64>),
    /// Of a column of texts.
    Text(Option<String>),
    /// Of a column of truths.
    Bool(Option<bool>),
    /// Of a column of numbers with fractions.
    Double(Option<f64>),
    /// Of a column of bytes.
    Binary(Option<Vec<u8>>),
}

impl From<Stored> for Datum {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Int(value) => Self::Int(value),
            Stored::Text(value) => Self::Text(value),
            Stored::Bool(value) => Self::Bool(value),
        }
    }
}
