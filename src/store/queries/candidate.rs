//! Candidates: kept, put in force for all registrations of their account, dropped. See `store::secret`.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::event::insert_events;
use super::secret::{Row, in_force, latest_of, missing, put_current, retire_current, take_version};
use super::sql::raced;
use super::statement::{Bind, Statement, bind};
use super::{Conn, audit, vault_key};
use crate::domain::id::InventoryId;
use crate::domain::time::Timestamp;
use crate::store::audit::NewAudit;
use crate::store::backend::{QueryError, QueryResult};
use crate::store::event::{Publication, Published};
use crate::store::schema::inventory::{credentials, secret_versions};
use crate::store::secret::{
    CandidateCommit, NewSecret, REGISTRATIONS_MAX, Registration, SecretKept, SecretState,
};

/// Keeps a candidate.
pub(in crate::store) fn set(
    conn: &mut Conn,
    credential: InventoryId,
    candidate: &NewSecret,
    now: Timestamp,
) -> QueryResult<SecretKept> {
    let latest = latest_of(conn, credential)?;
    if let Some(known) = candidate_of(conn, credential)? {
        return Err(QueryError::conflict(format!(
            "credential `{credential}` has a candidate already, version {known}: go on with it"
        )));
    }
    if vault_key::newest(conn)? != Some(candidate.sealed.key) {
        return Ok(SecretKept::KeyRetired);
    }
    if latest + 1 != candidate.version {
        return Ok(SecretKept::Moved);
    }
    if !take_version(conn, credential, candidate.version)? {
        return Err(QueryError::Race);
    }
    diesel::insert_into(secret_versions::table)
        .values(Row::of(credential, candidate, SecretState::Candidate, now))
        .execute(conn)
        .map_err(raced)?;
    Ok(SecretKept::Kept)
}

fn candidate_of(conn: &mut Conn, credential: InventoryId) -> QueryResult<Option<i64>> {
    Ok(secret_versions::table
        .filter(secret_versions::credential_id.eq(credential.0))
        .filter(secret_versions::state.eq(SecretState::Candidate.code()))
        .select(secret_versions::version)
        .first(conn)
        .optional()?)
}

/// With what the identities of all registrations of the account of the credential `$c` begin; a device's id, in digits, follows. Those
/// of an account that belongs to its device are its own alone. (`domain::inventory::credential` has the parts of an identity.)
macro_rules! account {
    ($c:literal) => {
        concat!(
            "CASE WHEN ",
            $c,
            ".domain IS NULL THEN ",
            $c,
            ".identity ELSE substr(",
            $c,
            ".identity, 1, length(",
            $c,
            ".identity) - length(CAST(",
            $c,
            ".device_id AS TEXT)) - 1) END"
        )
    };
}
pub(super) use account;

/// A `:` is the character behind the digits.
struct Registrations;

impl Statement for Registrations {
    type Row = (BigInt, BigInt, BigInt);
    const SQL: &'static str = concat!(
        "SELECT s.id, s.secret_version, s.secret_latest FROM (
            SELECT c.id, ",
        account!("c"),
        " AS account FROM credentials c WHERE c.id = ? AND c.domain IS NOT NULL AND c.kind = 'password') AS own
        JOIN credentials s ON s.identity >= own.account AND s.identity < own.account || ':'
        WHERE s.id <> own.id AND s.kind = 'password' AND s.secret_version IS NOT NULL ORDER BY s.id LIMIT ?"
    );
}

/// The other registrations of an account of a domain that have a password.
pub(in crate::store) fn registrations(
    conn: &mut Conn,
    credential: InventoryId,
) -> QueryResult<Vec<Registration>> {
    let binds = [credential.0, REGISTRATIONS_MAX].map(Bind::Int);
    let rows: Vec<(i64, i64, i64)> = bind(Registrations, &binds).load(conn)?;
    let registration = |(id, current, latest)| Registration {
        credential: InventoryId(id),
        current,
        latest,
    };
    Ok(rows.into_iter().map(registration).collect())
}

/// Whether the secrets for the other registrations are sealed for them as they are.
fn shared_fits(conn: &mut Conn, commit: &CandidateCommit) -> QueryResult<SecretKept> {
    let known = registrations(conn, commit.credential)?;
    if !known.iter().eq(commit.shared.iter().map(|one| &one.with)) {
        return Ok(SecretKept::Moved);
    }
    let newest = vault_key::newest(conn)?;
    let is_newest = |secret: &NewSecret| newest == Some(secret.sealed.key);
    Ok(if commit.shared.iter().all(|one| is_newest(&one.secret)) {
        SecretKept::Kept
    } else {
        SecretKept::KeyRetired
    })
}

/// Puts a candidate in force, for all registrations of its account.
pub(in crate::store) fn commit(
    conn: &mut Conn,
    commit: &CandidateCommit,
    ids: &Publication,
    now: Timestamp,
) -> QueryResult<(SecretKept, Published)> {
    let fits = shared_fits(conn, commit)?;
    if fits != SecretKept::Kept {
        return Ok((fits, Published::default()));
    }
    let credential = commit.credential;
    let current: Option<i64> = credentials::table
        .find(credential.0)
        .select(credentials::secret_version)
        .first(conn)
        .optional()?
        .ok_or_else(|| missing(credential))?;
    if current != commit.current {
        return Err(QueryError::conflict(format!(
            "another secret of credential `{credential}` is in force by now: {}",
            current.map_or_else(|| "none".to_owned(), |version| format!("version {version}"))
        )));
    }
    retire_current(conn, credential)?;
    let candidate = secret_versions::table
        .filter(secret_versions::credential_id.eq(credential.0))
        .filter(secret_versions::version.eq(commit.candidate))
        .filter(secret_versions::state.eq(SecretState::Candidate.code()));
    let moved = diesel::update(candidate)
        .set(secret_versions::state.eq(SecretState::Current.code()))
        .execute(conn)
        .map_err(raced)?;
    if moved == 0 {
        return Err(QueryError::conflict(format!(
            "credential `{credential}` has no candidate of version {}",
            commit.candidate
        )));
    }
    in_force(conn, credential, commit.candidate, now)?;
    for one in &commit.shared {
        put_current(conn, one.with.credential, &one.secret, now)?;
    }
    let shared = commit.shared.iter().map(|one| &one.audit);
    let entries: Vec<NewAudit> = std::iter::once(&commit.audit)
        .chain(shared)
        .cloned()
        .collect();
    audit::append_all(conn, &entries, now)?;
    let published = insert_events(conn, &commit.events, ids, now)?;
    Ok((SecretKept::Kept, published))
}

/// Removes a candidate.
pub(in crate::store) fn discard(
    conn: &mut Conn,
    credential: InventoryId,
    candidate: i64,
) -> QueryResult<bool> {
    let row = secret_versions::table
        .filter(secret_versions::credential_id.eq(credential.0))
        .filter(secret_versions::version.eq(candidate))
        .filter(secret_versions::state.eq(SecretState::Candidate.code()));
    Ok(diesel::delete(row).execute(conn)? == 1)
}
