//! Sealed secrets. See `store::secret`.

use diesel::prelude::*;

use super::event::insert_events;
use super::sql::raced;
use super::{Conn, Db, audit, credential_link};
use crate::domain::id::InventoryId;
use crate::domain::sealed::{KeyId, Sealed};
use crate::domain::time::{Timestamp, from_micros, to_micros};
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{Publication, Published};
use crate::store::schema::inventory::{credential_views, credentials, secret_versions};
use crate::store::secret::{NewSecret, OLD_VERSIONS_MAX, SecretState, SecretVersion, SecretView};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = secret_versions, check_for_backend(Db), treat_none_as_default_value = false)]
pub(super) struct Row {
    credential_id: i64,
    version: i64,
    state: i16,
    key_id: i64,
    sealed: Vec<u8>,
    created_at: i64,
}

impl Row {
    pub(super) fn of(
        credential: InventoryId,
        new: &NewSecret,
        state: SecretState,
        now: Timestamp,
    ) -> Self {
        Self {
            credential_id: credential.0,
            version: new.version,
            state: state.code(),
            key_id: new.sealed.key.0,
            sealed: new.sealed.bytes.clone(),
            created_at: to_micros(now),
        }
    }

    fn into_version(self) -> SecretVersion {
        SecretVersion {
            credential: InventoryId(self.credential_id),
            version: self.version,
            state: SecretState::of(self.state),
            sealed: Sealed {
                key: KeyId(self.key_id),
                bytes: self.sealed,
            },
            created_at: from_micros(self.created_at),
        }
    }
}

/// The highest version given out; none where there is no such credential.
pub(in crate::store) fn latest(
    conn: &mut Conn,
    credential: InventoryId,
) -> QueryResult<Option<i64>> {
    Ok(credentials::table
        .find(credential.0)
        .select(credentials::secret_latest)
        .first(conn)
        .optional()?)
}

/// The highest version given out.
pub(in crate::store) fn latest_of(conn: &mut Conn, credential: InventoryId) -> QueryResult<i64> {
    latest(conn, credential)?.ok_or_else(|| missing(credential))
}

pub(super) fn missing(credential: InventoryId) -> QueryError {
    QueryError::not_found(format!("credential `{credential}`"))
}

/// The kept secrets, newest first.
pub(in crate::store) fn list(
    conn: &mut Conn,
    credential: InventoryId,
) -> QueryResult<Vec<SecretVersion>> {
    let rows: Vec<Row> = secret_versions::table
        .filter(secret_versions::credential_id.eq(credential.0))
        .order(secret_versions::version.desc())
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Row::into_version).collect())
}

/// Gives out `version`, where it is the next.
pub(super) fn take_version(
    conn: &mut Conn,
    credential: InventoryId,
    version: i64,
) -> QueryResult<bool> {
    let at_last = credentials::table
        .filter(credentials::id.eq(credential.0))
        .filter(credentials::secret_latest.eq(version - 1));
    let taken = diesel::update(at_last)
        .set(credentials::secret_latest.eq(version))
        .execute(conn)?;
    Ok(taken == 1)
}

/// Things of one statement: keeps its binds below SQLite's bound (32,766).
const TOGETHER_MAX: usize = 1_000;
/// The version of a credential's first secret.
const FIRST_VERSION: i64 = 1;

/// Keeps the first secrets of new credentials; that they are the first was looked at in this transaction.
pub(in crate::store) fn put_first(
    conn: &mut Conn,
    new: &[(InventoryId, &NewSecret)],
    now: Timestamp,
) -> QueryResult<()> {
    for new in new.chunks(TOGETHER_MAX) {
        let rows = new
            .iter()
            .map(|(credential, new)| Row::of(*credential, new, SecretState::Current, now));
        let rows: Vec<_> = rows.collect();
        diesel::insert_into(secret_versions::table)
            .values(&rows)
            .execute(conn)
            .map_err(raced)?;
        let of = new.iter().map(|(credential, _)| credential.0);
        diesel::update(credentials::table.filter(credentials::id.eq_any(of)))
            .set((
                credentials::secret_latest.eq(FIRST_VERSION),
                credentials::secret_version.eq(FIRST_VERSION),
                credentials::secret_changed_at.eq(to_micros(now)),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Makes a new secret the current one; its version was looked at in this transaction.
pub(in crate::store) fn put_current(
    conn: &mut Conn,
    credential: InventoryId,
    new: &NewSecret,
    now: Timestamp,
) -> QueryResult<()> {
    if !take_version(conn, credential, new.version)? {
        return Err(QueryError::Race);
    }
    retire_current(conn, credential)?;
    diesel::insert_into(secret_versions::table)
        .values(Row::of(credential, new, SecretState::Current, now))
        .execute(conn)
        .map_err(raced)?;
    in_force(conn, credential, new.version, now)
}

pub(super) fn retire_current(conn: &mut Conn, credential: InventoryId) -> QueryResult<()> {
    let current = secret_versions::table
        .filter(secret_versions::credential_id.eq(credential.0))
        .filter(secret_versions::state.eq(SecretState::Current.code()));
    diesel::update(current)
        .set(secret_versions::state.eq(SecretState::Old.code()))
        .execute(conn)?;
    Ok(())
}

/// Notes which version is in force and forgets old ones beyond their bound.
pub(super) fn in_force(
    conn: &mut Conn,
    credential: InventoryId,
    version: i64,
    now: Timestamp,
) -> QueryResult<()> {
    diesel::update(credentials::table.find(credential.0))
        .set((
            credentials::secret_version.eq(version),
            credentials::secret_changed_at.eq(to_micros(now)),
            // What the account said was said of another one, and what failed, failed with it.
            credentials::secret_state.eq(None::<String>),
            credentials::change_stopped_at.eq(None::<i64>),
        ))
        .execute(conn)?;
    credential_link::mark(conn, credential.0, now)?;
    let old = || {
        secret_versions::table
            .filter(secret_versions::credential_id.eq(credential.0))
            .filter(secret_versions::state.eq(SecretState::Old.code()))
    };
    let first_beyond: Option<i64> = old()
        .order(secret_versions::version.desc())
        .offset(OLD_VERSIONS_MAX)
        .select(secret_versions::version)
        .first(conn)
        .optional()?;
    if let Some(beyond) = first_beyond {
        diesel::delete(old().filter(secret_versions::version.le(beyond))).execute(conn)?;
    }
    Ok(())
}

/// Records a view of the version in force; none where another one is.
pub(in crate::store) fn view(
    conn: &mut Conn,
    view: &SecretView,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<Option<Published>> {
    let viewed = credentials::table
        .filter(credentials::id.eq(view.credential.0))
        .filter(credentials::secret_version.eq(view.version));
    let noted = diesel::update(viewed)
        .set(credentials::last_viewed_at.eq(to_micros(now)))
        .execute(conn)?;
    if noted == 0 {
        return Ok(None);
    }
    diesel::insert_into(credential_views::table)
        .values((
            credential_views::id.eq(view.id),
            credential_views::at.eq(to_micros(now)),
            credential_views::credential_id.eq(view.credential.0),
            credential_views::version.eq(view.version),
            credential_views::actor.eq(&view.actor),
            credential_views::reason.eq(&view.reason),
        ))
        .execute(conn)?;
    audit::append(conn, &view.audit, now)?;
    insert_events(conn, std::slice::from_ref(&view.event), ids, now).map(Some)
}

/// Notes a use.
pub(in crate::store) fn used(
    conn: &mut Conn,
    credential: InventoryId,
    at: Timestamp,
) -> QueryResult<bool> {
    let earlier = credentials::last_used_at
        .is_null()
        .or(credentials::last_used_at.lt(to_micros(at)));
    let row = credentials::table
        .filter(credentials::id.eq(credential.0))
        .filter(earlier);
    let noted = diesel::update(row)
        .set(credentials::last_used_at.eq(to_micros(at)))
        .execute(conn)?;
    Ok(noted == 1)
}

/// Secrets under older keys, in the order of their rows.
pub(in crate::store) fn under_older(
    conn: &mut Conn,
    key: KeyId,
    (credential, version): (InventoryId, i64),
    limit: u32,
) -> QueryResult<Vec<SecretVersion>> {
    let after = secret_versions::credential_id
        .gt(credential.0)
        .or(secret_versions::credential_id
            .eq(credential.0)
            .and(secret_versions::version.gt(version)));
    let rows: Vec<Row> = secret_versions::table
        .filter(secret_versions::key_id.lt(key.0))
        .filter(after)
        .order((secret_versions::credential_id, secret_versions::version))
        .limit(i64::from(limit))
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Row::into_version).collect())
}

/// Replaces seals.
pub(in crate::store) fn reseal(
    conn: &mut Conn,
    anew: &[(SecretVersion, Sealed)],
) -> QueryResult<u64> {
    let mut replaced = 0;
    for (old, sealed) in anew {
        let row = secret_versions::table
            .filter(secret_versions::credential_id.eq(old.credential.0))
            .filter(secret_versions::version.eq(old.version))
            .filter(secret_versions::key_id.eq(old.sealed.key.0));
        let rows = diesel::update(row)
            .set((
                secret_versions::key_id.eq(sealed.key.0),
                secret_versions::sealed.eq(&sealed.bytes),
            ))
            .execute(conn)?;
        replaced += u64::try_from(rows).unwrap_or_default();
    }
    Ok(replaced)
}
