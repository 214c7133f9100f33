//! Access tokens; only their hashes are kept.

use crate::domain::access::Role;
use crate::domain::time::Timestamp;

use super::backend::{read, write};
use super::{Store, StoreResult};

/// A token as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name; the actor of what is done with it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

/// Bound on the tokens of a list.
pub(super) const TOKENS_MAX: i64 = 500;

impl Store {
    /// Keeps a token. `Conflict` when the name is taken by a living one.
    pub async fn token_create(
        &self,
        name: &str,
        role: Role,
        hash: [u8; 32],
        now: Timestamp,
    ) -> StoreResult<Token> {
        let name = name.to_owned();
        write!(self, token::create(&name, role, &hash, now))
    }

    /// The living token with this hash.
    pub async fn token_find(&self, hash: [u8; 32]) -> StoreResult<Option<Token>> {
        read!(self, token::find(&hash))
    }

    /// The living tokens, then the withdrawn ones, each newest first; at most 500.
    pub async fn token_list(&self) -> StoreResult<Vec<Token>> {
        read!(self, token::list())
    }

    /// Withdraws a token. `NotFound`.
    pub async fn token_revoke(&self, name: &str, now: Timestamp) -> StoreResult<()> {
        let name = name.to_owned();
        write!(self, token::revoke(&name, now))
    }
}
