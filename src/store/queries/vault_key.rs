//! Data keys of the vault. See `store::vault_key`.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::statement::{Bind, Statement, bind};
use super::{Conn, audit, dialect, upkeep};
use crate::domain::sealed::KeyId;
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::schema::inventory::vault_keys;
use crate::store::vault_key::{KeyUse, Rewrapping, WrappedKey};

/// Under this name those who make or wrap data keys keep each other away until they have committed.
const LOCK: &str = "vault_keys";

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
pub(in crate::store) fn add(conn: &mut Conn, key: &WrappedKey, master: &str) -> QueryResult<()> {
    dialect::lock_text(conn, LOCK)?;
    if upkeep::key_check(conn)?.is_some_and(|known| known != master) {
        return Err(QueryError::conflict(
            "the database has another master key by now",
        ));
    }
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

/// Gives the database another master key.
pub(in crate::store) fn rewrap(
    conn: &mut Conn,
    rewrapping: &Rewrapping,
    now: Timestamp,
) -> QueryResult<()> {
    dialect::lock_text(conn, LOCK)?;
    let wrapped = |key: &WrappedKey| (key.id, key.wrapped.clone());
    let seen = rewrapping.keys.iter().map(|(seen, _)| wrapped(seen));
    let as_seen = list(conn)?.iter().map(wrapped).eq(seen);
    if !as_seen || upkeep::key_check(conn)?.as_ref() != Some(&rewrapping.from) {
        return Err(QueryError::conflict(
            "the vault's keys were changed at the same moment",
        ));
    }
    for (key, anew) in &rewrapping.keys {
        diesel::update(vault_keys::table.find(key.id.0))
            .set(vault_keys::wrapped.eq(anew))
            .execute(conn)?;
    }
    upkeep::remove_key_check(conn)?;
    upkeep::set_key_check(conn, &rewrapping.to)?;
    audit::append(conn, &rewrapping.audit, now)?;
    Ok(())
}

struct SealsBefore;

impl Statement for SealsBefore {
    type Row = (BigInt,);
    const SQL: &'static str = "
        SELECT (SELECT count(*) FROM secret_versions WHERE key_id < ?)
            + (SELECT count(*) FROM private_keys WHERE key_id < ?)";
}

/// Seals under older keys that a rotation makes anew.
pub(in crate::store) fn seals_before(conn: &mut Conn, key: KeyId) -> QueryResult<u64> {
    let binds = [Bind::Int(key.0), Bind::Int(key.0)];
    let (count,): (i64,) = bind(SealsBefore, &binds).get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

struct Uses;

impl Statement for Uses {
    type Row = (BigInt, BigInt, Nullable<BigInt>, BigInt);
    const SQL: &'static str = "
        SELECT k.id, k.created_at, k.finished_at,
            (SELECT count(*) FROM secret_versions s WHERE s.key_id = k.id)
            + (SELECT count(*) FROM private_keys p WHERE p.key_id = k.id)
            + (SELECT count(*) FROM batch_import_files f WHERE f.key_id = k.id)
        FROM vault_keys k ORDER BY k.id";
}

/// All keys with what lies under them, oldest first.
pub(in crate::store) fn uses(conn: &mut Conn) -> QueryResult<Vec<KeyUse>> {
    let rows: Vec<(i64, i64, Option<i64>, i64)> = bind(Uses, &[]).load(conn)?;
    let key = |(id, created, finished, seals): (i64, i64, Option<i64>, i64)| KeyUse {
        id: KeyId(id),
        created_at: from_micros(created),
        finished_at: finished.map(from_micros),
        seals: u64::try_from(seals).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(key).collect())
}

/// Removes a key that nothing lies under. Nothing comes to lie under it either: only the newest seals.
pub(in crate::store) fn remove(conn: &mut Conn, id: KeyId) -> QueryResult<()> {
    let all = uses(conn)?;
    let (Some(found), Some(newest)) = (all.iter().find(|key| key.id == id), all.last()) else {
        return Err(QueryError::not_found(format!("data key {id}")));
    };
    let stands = if found == newest {
        Some("it is the newest and seals; make another one first".to_owned())
    } else if newest.finished_at.is_none() {
        Some(format!("the rotation to data key {} goes on", newest.id))
    } else if found.seals > 0 {
        Some(format!("{} seals lie under it", found.seals))
    } else {
        None
    };
    if let Some(why) = stands {
        return Err(QueryError::conflict(format!("data key {id} stays: {why}")));
    }
    diesel::delete(vault_keys::table.find(id.0)).execute(conn)?;
    Ok(())
}

/// Notes the end of a rotation.
pub(in crate::store) fn finish(conn: &mut Conn, id: KeyId, now: Timestamp) -> QueryResult<()> {
    diesel::update(vault_keys::table.find(id.0))
        .set(vault_keys::finished_at.eq(to_micros(now)))
        .execute(conn)?;
    Ok(())
}
