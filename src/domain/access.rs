//! Roles, and what an access token looks like.

use sha2::{Digest, Sha256};

use super::hex::hexadecimal;
use super::task::UnknownWord;

/// What a caller may do; each role may do all that the ones before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Orders, cancels and repeats work.
    Operator,
    /// Changes the configuration.
    Admin,
}

impl Role {
    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|r| r.as_str() == text)
            .ok_or_else(|| UnknownWord {
                word: text.chars().take(40).collect(),
                known: "viewer, operator, admin".to_owned(),
            })
    }
}

/// What every token starts with, so that scanners of leaked secrets can tell one.
pub const TOKEN_PREFIX: &str = "rbt_";

/// The text of a token made of 256 random bits.
#[must_use]
pub fn token_text(random: [u8; 32]) -> String {
    format!("{TOKEN_PREFIX}{}", hexadecimal(&random))
}

/// What is stored of a token. 256 random bits need no slow hash.
#[must_use]
pub fn token_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
