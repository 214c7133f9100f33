//! The database as a whole, in a session beside the engine's. See `store::bench`.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Conn;
use super::connect::Target;
use super::thread_runtime::ThreadRuntime;
use crate::store::StoreResult;
use crate::store::backend::error::QueryError;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Whether the schema in use has no table.
pub(in crate::store) fn is_empty(url: &str) -> StoreResult<bool> {
    const TABLES: &str =
        "SELECT count(*) AS value FROM pg_tables WHERE schemaname = current_schema()";
    number(url, TABLES).map(|tables| tables == 0)
}

/// Drops every table of the schema in use.
pub(in crate::store) fn clear(url: &str) -> StoreResult<()> {
    execute(
        url,
        // A statement of a node that has ended goes on until the server has something to tell it.
        "DO $$ DECLARE name text; BEGIN
            PERFORM set_config('lock_timeout', '60s', true);
            FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
                EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', name);
            END LOOP;
        END $$",
    )
}

/// Vacuums, counts, and writes out what is pending where the role may order that.
pub(in crate::store) fn settle(url: &str) -> StoreResult<()> {
    execute(url, "VACUUM ANALYZE")?;
    let may = "SELECT rolsuper::int::bigint AS value FROM pg_roles WHERE rolname = current_user";
    if number(url, may)? == 1 {
        execute(url, "CHECKPOINT")?;
    }
    Ok(())
}

/// Transactions that ended in this database.
pub(in crate::store) fn transactions(url: &str) -> StoreResult<i64> {
    number(
        url,
        "SELECT xact_commit + xact_rollback AS value FROM pg_stat_database WHERE datname = current_database()",
    )
}

fn number(url: &str, sql: &str) -> StoreResult<i64> {
    in_session(url, |conn| {
        diesel::sql_query(sql)
            .get_result::<Number>(conn)
            .map(|row| row.value)
    })
}

fn execute(url: &str, sql: &str) -> StoreResult<()> {
    in_session(url, |conn| conn.batch_execute(sql))
}

fn in_session<T>(url: &str, work: impl FnOnce(&mut Conn) -> QueryResult<T>) -> StoreResult<T> {
    let target = Arc::new(Target::new(url)?);
    let runtime = ThreadRuntime::start()?;
    let mut conn = Target::connect(&target, &runtime)?;
    let run = || {
        conn.batch_execute("SET statement_timeout = 0")?;
        work(&mut conn)
    };
    run().map_err(|error| QueryError::from(error).into())
}
