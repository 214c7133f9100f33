//! Bringing a database to the schema this program knows.

use std::collections::BTreeSet;

use diesel::Connection;
use diesel::backend::Backend;
use diesel::connection::LoadConnection;
use diesel::migration::{MigrationSource, MigrationVersion};
use diesel_migrations::MigrationHarness;

use crate::store::{StoreError, StoreResult};

/// The steps that a program knows, by their versions, in their order.
pub(in crate::store) fn versions<DB: Backend>(
    known: &impl MigrationSource<DB>,
) -> StoreResult<Vec<String>> {
    let steps = known
        .migrations()
        .map_err(|error| StoreError::Other(format!("migration: {error}")))?;
    let versions: BTreeSet<String> = steps
        .iter()
        .map(|step| step.name().version().to_string())
        .collect();
    Ok(versions.into_iter().collect())
}

/// Applies what is missing. Refuses a database that knows migrations this program does not.
///
/// The caller makes sure that nobody else migrates at the same time.
pub(super) fn bring_up_to_date<C, S>(conn: &mut C, known: S) -> StoreResult<()>
where
    C: Connection + LoadConnection + MigrationHarness<C::Backend>,
    S: MigrationSource<C::Backend>,
{
    let refused = |error: &dyn std::fmt::Display| StoreError::Other(format!("migration: {error}"));
    let names: BTreeSet<MigrationVersion<'static>> = known
        .migrations()
        .map_err(|error| refused(&error))?
        .iter()
        .map(|migration| migration.name().version().as_owned())
        .collect();
    let applied = conn.applied_migrations().map_err(|error| refused(&error))?;
    if let Some(newer) = applied.iter().find(|version| !names.contains(*version)) {
        return Err(StoreError::Other(format!(
            "this database was written by a newer robotd (migration `{newer}` is unknown here); \
             start the robotd that wrote it, or restore a backup made before its first start"
        )));
    }
    let done = conn
        .run_pending_migrations(known)
        .map_err(|error| refused(&error))?;
    if !done.is_empty() {
        log::info!(
            "the database's schema was brought up to date, {} step(s)",
            done.len()
        );
    }
    Ok(())
}
