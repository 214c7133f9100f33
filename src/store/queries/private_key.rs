//! Sealed private keys. See `store::private_key`.

use diesel::prelude::*;

use super::sql::raced;
use super::{Conn, Db, audit, vault_key};
use crate::domain::id::InventoryId;
use crate::domain::sealed::{KeyId, Sealed};
use crate::domain::time::{Timestamp, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::private_key::{IssuerKey, KeyOwner, PrivateKey};
use crate::store::schema::certificate::{certificate_issuers, private_keys};
use crate::store::secret::SecretKept;

#[derive(Queryable, Selectable)]
#[diesel(table_name = private_keys, check_for_backend(Db))]
struct Row {
    id: i64,
    issuer_id: Option<i64>,
    automation_id: Option<i64>,
    key_id: i64,
    sealed: Vec<u8>,
}

impl Row {
    fn into_key(self) -> QueryResult<PrivateKey> {
        let owner = match (self.issuer_id, self.automation_id) {
            (Some(issuer), None) => KeyOwner::Issuer(InventoryId(issuer)),
            (None, Some(automation)) => KeyOwner::Automation(InventoryId(automation)),
            _ => {
                let what = format!("private key `{}` is not one owner's", self.id);
                return Err(QueryError::Defect(what));
            }
        };
        Ok(PrivateKey {
            id: self.id,
            owner,
            sealed: Sealed {
                key: KeyId(self.key_id),
                bytes: self.sealed,
            },
        })
    }
}

/// Keeps a key, unless it is sealed with a data key that is not the newest.
pub(in crate::store) fn keep(
    conn: &mut Conn,
    key: &PrivateKey,
    now: Timestamp,
) -> QueryResult<SecretKept> {
    if vault_key::newest(conn)? != Some(key.sealed.key) {
        return Ok(SecretKept::KeyRetired);
    }
    let (issuer, automation) = match key.owner {
        KeyOwner::Issuer(id) => (Some(id.0), None),
        KeyOwner::Automation(id) => (None, Some(id.0)),
    };
    diesel::insert_into(private_keys::table)
        .values((
            private_keys::id.eq(key.id),
            private_keys::issuer_id.eq(issuer),
            private_keys::automation_id.eq(automation),
            private_keys::key_id.eq(key.sealed.key.0),
            private_keys::sealed.eq(&key.sealed.bytes),
            private_keys::created_at.eq(to_micros(now)),
        ))
        .execute(conn)
        .map_err(raced)?;
    Ok(SecretKept::Kept)
}

/// Keeps the key of an issuer that has none.
pub(in crate::store) fn keep_issuer(
    conn: &mut Conn,
    new: &IssuerKey,
    now: Timestamp,
) -> QueryResult<SecretKept> {
    let issuer = new.key.owner.id();
    let there: Option<i64> = certificate_issuers::table
        .find(issuer.0)
        .select(certificate_issuers::id)
        .first(conn)
        .optional()?;
    if there.is_none() {
        let what = format!("certificate issuer `{issuer}`");
        return Err(QueryError::not_found(what));
    }
    if of_issuer(conn, issuer)?.is_some() {
        return Err(QueryError::conflict(format!(
            "certificate issuer `{issuer}` has a key; make another issuer for another key"
        )));
    }
    let kept = keep(conn, &new.key, now)?;
    if kept != SecretKept::Kept {
        return Ok(kept);
    }
    if let Some((certificate, end)) = &new.certificate {
        diesel::update(certificate_issuers::table.find(issuer.0))
            .set((
                certificate_issuers::certificate.eq(certificate),
                certificate_issuers::not_after.eq(to_micros(*end)),
            ))
            .execute(conn)?;
    }
    audit::append(conn, &new.audit, now)?;
    Ok(SecretKept::Kept)
}

/// The key of an issuer.
pub(in crate::store) fn of_issuer(
    conn: &mut Conn,
    issuer: InventoryId,
) -> QueryResult<Option<PrivateKey>> {
    let row: Option<Row> = private_keys::table
        .filter(private_keys::issuer_id.eq(issuer.0))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Row::into_key).transpose()
}

/// One key.
pub(in crate::store) fn get(conn: &mut Conn, id: i64) -> QueryResult<PrivateKey> {
    let row: Option<Row> = private_keys::table
        .find(id)
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.ok_or_else(|| QueryError::not_found(format!("private key `{id}`")))?
        .into_key()
}

/// Keys under older data keys, in the order of their ids.
pub(in crate::store) fn under_older(
    conn: &mut Conn,
    key: KeyId,
    after: i64,
    limit: u32,
) -> QueryResult<Vec<PrivateKey>> {
    let rows: Vec<Row> = private_keys::table
        .filter(private_keys::key_id.lt(key.0))
        .filter(private_keys::id.gt(after))
        .order(private_keys::id)
        .limit(i64::from(limit))
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::into_key).collect()
}

/// Replaces seals.
pub(in crate::store) fn reseal(conn: &mut Conn, anew: &[(PrivateKey, Sealed)]) -> QueryResult<u64> {
    let mut replaced = 0;
    for (old, sealed) in anew {
        let row = private_keys::table
            .filter(private_keys::id.eq(old.id))
            .filter(private_keys::key_id.eq(old.sealed.key.0));
        let rows = diesel::update(row)
            .set((
                private_keys::key_id.eq(sealed.key.0),
                private_keys::sealed.eq(&sealed.bytes),
            ))
            .execute(conn)?;
        replaced += u64::try_from(rows).unwrap_or_default();
    }
    Ok(replaced)
}
