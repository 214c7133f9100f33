//! Data keys of the vault. See `store::vault_key`.

use diesel::dsl::max;
use diesel::prelude::*;

use super::Conn;
use crate::domain::sealed::KeyId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::schema::inventory::vault_keys;
use crate::store::vault_key::WrappedKey;

/// The key that seals.
pub(in crate::store) fn newest(conn: &mut Conn) -> QueryResult<Option<KeyId>> {
    let id: Option<i64> = vault_keys::table.select(max(vault_keys::id)).first(conn)?;
    Ok(id.map(KeyId))
}

/// All keys, oldest first.
pub(in crate::store) fn list(conn: &mut Conn) -> QueryResult<Vec<WrappedKey>> {
    let rows: Vec<(i64, Vec<u8>, i64, Option<i64>)> = vault_keys::table
        .order(vault_keys::id)
        .select((
            vault_keys::id,
            vault_keys::wrapped,
            vault_keys::created_at,
            vault_keys::finished_at,
        ))
        .load(conn)?;
    let key = |(id, wrapped, created, finished): (i64, Vec<u8>, i64, Option<i64>)| WrappedKey {
        id: KeyId(id),
        wrapped,
        created_at: from_micros(created),
        finished_at: finished.map(from_micros),
    };
    Ok(rows.into_iter().map(key).collect())
}

/// Keeps a key that follows the newest.
pub(in crate::store) fn add(conn: &mut Conn, key: &WrappedKey) -> QueryResult<()> {
    let faster = || QueryError::conflict("another data key was made at the same moment");
    let next = newest(conn)?.map_or(1, |newest| newest.0 + 1);
    if next != key.id.0 {
        return Err(faster());
    }
    let kept = diesel::insert_into(vault_keys::table)
        .values((
            vault_keys::id.eq(key.id.0),
            vault_keys::wrapped.eq(&key.wrapped),
            vault_keys::created_at.eq(to_micros(key.created_at)),
            vault_keys::finished_at.eq(key.finished_at.map(to_micros)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if kept == 1 { Ok(()) } else { Err(faster()) }
}

/// Notes the end of a rotation.
pub(in crate::store) fn finish(conn: &mut Conn, id: KeyId, now: Timestamp) -> QueryResult<()> {
    diesel::update(vault_keys::table.find(id.0))
        .set(vault_keys::finished_at.eq(to_micros(now)))
        .execute(conn)?;
    Ok(())
}
