//! Bringing a database to the schema this program knows.

use std::collections::BTreeSet;

use diesel::Connection;
use diesel::backend::Backend;
use diesel::connection::LoadConnection;
use diesel::migration::MigrationSource;
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

/// Steps whose number within their day is this or higher change what older programs rely on; all others only add to it. A
/// program goes by this for steps that it does not know, so the number is all it has. See `docs/decisions`.
const CONTRACT_FROM: u32 = 900_000;

/// Whether a program that does not know this step must not work on a database that has it.
fn is_contract(version: &str) -> bool {
    let number = version
        .len()
        .checked_sub(6)
        .and_then(|at| version.get(at..));
    // What is no number was made by nobody who keeps the rule.
    number
        .and_then(|number| number.parse().ok())
        .is_none_or(|number: u32| number >= CONTRACT_FROM)
}

/// How a database's schema compares with the one this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Schema {
    /// The same.
    Known,
    /// More than that: a newer program added to it.
    Newer,
}

/// Applies what is missing, beside nodes of older programs where that only adds something; a step that does more is
/// applied where `alone` keeps all nodes away. Refuses a database that has such a step which this program does not know.
///
/// The caller makes sure that nobody else migrates at the same time.
pub(super) fn bring_up_to_date<C, S>(
    conn: &mut C,
    known: S,
    alone: impl FnOnce(&mut C) -> StoreResult<bool>,
) -> StoreResult<Schema>
where
    C: Connection + LoadConnection + MigrationHarness<C::Backend>,
    S: MigrationSource<C::Backend>,
{
    let refused = |error: &dyn std::fmt::Display| StoreError::Other(format!("migration: {error}"));
    let names: BTreeSet<String> = versions::<C::Backend>(&known)?.into_iter().collect();
    let applied = conn.applied_migrations().map_err(|error| refused(&error))?;
    let applied: BTreeSet<String> = applied.iter().map(ToString::to_string).collect();
    if let Some(newer) = applied.difference(&names).find(|step| is_contract(step)) {
        return Err(StoreError::Other(format!(
            "this database was written by a newer robotd, and older ones cannot work on it any more (migration `{newer}` \
             is unknown here); start the robotd that wrote it, or restore a backup made before its first start"
        )));
    }
    if let Some(step) = names.difference(&applied).find(|step| is_contract(step))
        && !applied.is_empty()
        && !alone(conn)?
    {
        return Err(StoreError::Conflict {
            what: format!(
                "migration `{step}` is one that older nodes cannot work with, and nodes run on this database: stop all of \
                 them, then start this one"
            ),
        });
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
    if applied.is_subset(&names) {
        return Ok(Schema::Known);
    }
    log::info!("a newer robotd has added to this database's schema, which this one does not mind");
    Ok(Schema::Newer)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    use diesel_migrations::FileBasedMigrations;

    use super::*;

    const ADDS: &str = "2026-12-01-000001_adds";
    const CHANGES: &str = "2026-12-01-900001_changes";

    fn step(folder: &Path, name: &str) {
        let step = folder.join(name);
        fs::create_dir(&step).unwrap();
        let table = name.replace('-', "_");
        fs::write(
            step.join("up.sql"),
            format!("CREATE TABLE t{table} (a INT);"),
        )
        .unwrap();
        fs::write(step.join("down.sql"), format!("DROP TABLE t{table};")).unwrap();
    }

    #[test]
    fn the_number_of_a_step_says_whether_older_programs_may_stay() {
        for (version, contract) in [
            ("20261201000001", false),
            ("20261201899999", false),
            ("20261201900000", true),
            ("x", true),
            ("", true),
        ] {
            assert_eq!(is_contract(version), contract, "{version}");
        }
    }

    #[test]
    fn what_only_adds_is_let_be_and_the_rest_needs_the_database_alone() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        step(old.path(), "2026-11-30-000001_first");
        for name in ["2026-11-30-000001_first", ADDS] {
            step(new.path(), name);
        }
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        let known = |folder: &Path| FileBasedMigrations::from_path(folder).unwrap();
        let nobody_asks =
            |_: &mut SqliteConnection| -> StoreResult<bool> { panic!("no step needs it") };
        let mut bring = |folder: &Path| bring_up_to_date(&mut conn, known(folder), nobody_asks);
        assert_eq!(bring(old.path()), Ok(Schema::Known));
        assert_eq!(bring(new.path()), Ok(Schema::Known));
        assert_eq!(bring(old.path()), Ok(Schema::Newer));

        step(new.path(), CHANGES);
        let error = bring_up_to_date(&mut conn, known(new.path()), |_| Ok(false)).unwrap_err();
        assert!(error.to_string().contains("stop all of them"), "{error}");
        assert!(
            conn.batch_execute("SELECT * FROM t2026_12_01_900001_changes")
                .is_err()
        );
        let done = bring_up_to_date(&mut conn, known(new.path()), |_| Ok(true));
        assert_eq!(done, Ok(Schema::Known));
        let error = bring_up_to_date(&mut conn, known(old.path()), nobody_asks).unwrap_err();
        assert!(
            error.to_string().contains("written by a newer robotd"),
            "{error}"
        );
    }
}
