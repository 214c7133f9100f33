//! Access tokens. See `store::token`.

use diesel::prelude::*;
use subtle::ConstantTimeEq;

use crate::domain::access::Role;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::schema::tokens;
use crate::store::token::{TOKENS_MAX, Token};

use super::Conn;

#[derive(Queryable, Selectable)]
#[diesel(table_name = tokens)]
struct TokenRow {
    name: String,
    role: String,
    hash: Vec<u8>,
    created_at: i64,
    revoked_at: Option<i64>,
}

impl TokenRow {
    /// `None` for a role this program does not know: such a token opens nothing.
    fn into_token(self) -> Option<Token> {
        let role: Role = self.role.parse().ok()?;
        Some(Token {
            name: self.name,
            role,
            created_at: from_micros(self.created_at),
            revoked_at: self.revoked_at.map(from_micros),
        })
    }
}

/// Keeps a token.
pub(in crate::store) fn create(
    conn: &mut Conn,
    name: &str,
    role: Role,
    hash: &[u8; 32],
    now: Timestamp,
) -> QueryResult<Token> {
    let row = diesel::insert_into(tokens::table)
        .values((
            tokens::name.eq(name),
            tokens::role.eq(role.as_str()),
            tokens::hash.eq(hash.as_slice()),
            tokens::created_at.eq(to_micros(now)),
        ))
        .on_conflict_do_nothing()
        .returning(TokenRow::as_returning())
        .get_result(conn)
        .optional()?;
    row.and_then(TokenRow::into_token)
        .ok_or_else(|| QueryError::conflict(format!("there is a living token `{name}` already")))
}

/// The living token with this hash: one look into the index of hashes.
///
/// The index compares hashes of what the caller sent, which he cannot steer byte by byte, so its
/// timing tells nothing of a token; the row found is compared once more in constant time.
pub(in crate::store) fn find(conn: &mut Conn, hash: &[u8; 32]) -> QueryResult<Option<Token>> {
    let row = tokens::table
        .filter(tokens::hash.eq(hash.as_slice()))
        .filter(tokens::revoked_at.is_null())
        .select(TokenRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row
        .filter(|row| bool::from(row.hash.as_slice().ct_eq(hash)))
        .and_then(TokenRow::into_token))
}

/// The living tokens, then the withdrawn ones, each newest first.
pub(in crate::store) fn list(conn: &mut Conn) -> QueryResult<Vec<Token>> {
    let rows: Vec<TokenRow> = tokens::table
        .order((tokens::revoked_at.is_null().desc(), tokens::id.desc()))
        .limit(TOKENS_MAX)
        .select(TokenRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().filter_map(TokenRow::into_token).collect())
}

/// Withdraws the living token of this name.
pub(in crate::store) fn revoke(conn: &mut Conn, name: &str, now: Timestamp) -> QueryResult<()> {
    let living = tokens::table
        .filter(tokens::name.eq(name))
        .filter(tokens::revoked_at.is_null());
    match diesel::update(living)
        .set(tokens::revoked_at.eq(to_micros(now)))
        .execute(conn)?
    {
        0 => Err(QueryError::not_found(format!("a living token `{name}`"))),
        _ => Ok(()),
    }
}
