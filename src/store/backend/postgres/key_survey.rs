//! What PostgreSQL's catalogue says about keys that can run out.
//!
//! Needs no right but that of reading the catalogue: what may not be read is named as skipped. No
//! table is scanned; the greatest key of a table without a sequence comes from its index.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};

use super::Conn;
use crate::store::backend::QueryResult;
use crate::store::report::{KeyColumn, KeySurvey};

/// Transaction and multixact ids at which PostgreSQL refuses to give out more: half of the 32-bit
/// circle less its reserve of three million (`xidStopLimit`, `multiStopLimit`).
const WRAPAROUND_LIMIT: i64 = (1 << 31) - 3_000_000;

/// Longest wait for one locked table or sequence; the survey goes on without it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// Schemas of the server itself, and those of temporary tables.
const OWN_SCHEMAS: &str = r"n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'";

/// Tables, partitioned ones at their root only; views are of another kind.
const ROOT_TABLES: &str = "t.relkind IN ('r', 'p') AND NOT t.relispartition";

/// Every sequence, with the column that owns it where one does.
const SEQUENCES: &str = "
    SELECT concat_ws('.', n.nspname, coalesce(t.relname || '.' || a.attname, c.relname)) AS name,
           format('%I.%I', n.nspname, c.relname) AS source,
           s.seqstart AS start, s.seqincrement AS increment,
           least(s.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767
                                           WHEN 'int4'::regtype THEN 2147483647 ELSE s.seqmax END) AS high,
           greatest(s.seqmin, CASE a.atttypid WHEN 'int2'::regtype THEN -32768
                                              WHEN 'int4'::regtype THEN -2147483648 ELSE s.seqmin END) AS low,
           has_sequence_privilege(c.oid, 'SELECT, USAGE') AND has_schema_privilege(n.oid, 'USAGE') AS readable
    FROM pg_sequence AS s
    JOIN pg_class AS c ON c.oid = s.seqrelid AND c.relpersistence <> 't'
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    LEFT JOIN pg_class AS t ON t.oid = d.refobjid
    LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE {own}
    ORDER BY 1";

/// Primary keys of one whole-number column that owns no sequence.
const PLAIN_KEYS: &str = "
    SELECT n.nspname || '.' || t.relname || '.' || a.attname AS name,
           format('SELECT max(%I)::bigint AS value FROM %I.%I', a.attname, n.nspname, t.relname) AS source,
           0::bigint AS start, 1::bigint AS increment,
           CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                           ELSE 9223372036854775807 END AS high,
           CASE a.atttypid WHEN 'int2'::regtype THEN -32768 WHEN 'int4'::regtype THEN -2147483648
                           ELSE -9223372036854775808 END::bigint AS low,
           has_column_privilege(t.oid, a.attnum, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable
    FROM pg_constraint AS k
    JOIN pg_class AS t ON t.oid = k.conrelid AND t.relpersistence <> 't'
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.conkey[1]
    WHERE k.contype = 'p' AND array_length(k.conkey, 1) = 1 AND {own} AND {roots}
      AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
      AND NOT EXISTS (SELECT 1 FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
          WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = t.oid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i'))
    ORDER BY 1";

const WITHOUT_KEY: &str = "
    SELECT coalesce(array_agg(n.nspname || '.' || t.relname ORDER BY n.nspname, t.relname), '{}')::text[] AS names
    FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace
    WHERE {own} AND {roots} AND t.relpersistence <> 't'
      AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conrelid = t.oid AND k.contype = 'p')";

/// Whole-number foreign keys of fewer bytes than what they point to; a partition's copy is not told apart.
const NARROW: &str = "
    SELECT coalesce(array_agg(name ORDER BY name), '{}')::text[] AS names FROM (
        SELECT n.nspname || '.' || t.relname || '.' || a.attname || ' -> '
               || pn.nspname || '.' || p.relname || '.' || pa.attname AS name
        FROM pg_constraint AS k
        CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS pair(child, parent)
        JOIN pg_class AS t ON t.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
        JOIN pg_class AS p ON p.oid = k.confrelid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = pair.child
        JOIN pg_attribute AS pa ON pa.attrelid = p.oid AND pa.attnum = pair.parent
        WHERE k.contype = 'f' AND k.conparentid = 0 AND {own}
          AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
          AND pa.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
          AND a.attlen < pa.attlen) AS narrow";

/// The oldest of all databases: one that wraps around stops the whole server.
const AGES: &str = "
    SELECT max(age(datfrozenxid))::bigint AS transactions, max(mxid_age(datminmxid))::bigint AS multixacts
    FROM pg_database";

#[derive(QueryableByName)]
struct Source {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = BigInt)]
    start: i64,
    #[diesel(sql_type = BigInt)]
    increment: i64,
    #[diesel(sql_type = BigInt)]
    high: i64,
    #[diesel(sql_type = BigInt)]
    low: i64,
    #[diesel(sql_type = Bool)]
    readable: bool,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
}

#[derive(QueryableByName)]
struct Names {
    #[diesel(sql_type = Array<Text>)]
    names: Vec<String>,
}

#[derive(QueryableByName)]
struct Ages {
    #[diesel(sql_type = Nullable<BigInt>)]
    transactions: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    multixacts: Option<i64>,
}

/// See `Store::key_survey`.
pub(in crate::store) fn survey(conn: &mut Conn) -> QueryResult<KeySurvey> {
    conn.batch_execute(LOCK_TIMEOUT)?;
    let ages: Ages = diesel::sql_query(AGES).get_result(conn)?;
    let mut survey = KeySurvey {
        without_primary_key: names(conn, WITHOUT_KEY)?,
        narrow_foreign_keys: names(conn, NARROW)?,
        transaction_age: ages.transactions.map(|age| (age, WRAPAROUND_LIMIT)),
        multixact_age: ages.multixacts.map(|age| (age, WRAPAROUND_LIMIT)),
        ..KeySurvey::default()
    };
    let sequences: Vec<Source> = diesel::sql_query(fill(SEQUENCES)).load(conn)?;
    for mut source in sequences {
        // NULL before the first value is given out.
        let quoted = source.source.replace('\'', "''");
        source.source = format!("SELECT pg_sequence_last_value('{quoted}'::regclass) AS value");
        add(conn, &mut survey, source)?;
    }
    let plain: Vec<Source> = diesel::sql_query(fill(PLAIN_KEYS)).load(conn)?;
    for mut source in plain {
        // An empty table has given out nothing: the start of its keys is 1.
        source.start = 1;
        add(conn, &mut survey, source)?;
    }
    Ok(survey)
}

fn fill(sql: &str) -> String {
    sql.replace("{own}", OWN_SCHEMAS)
        .replace("{roots}", ROOT_TABLES)
}

fn names(conn: &mut Conn, sql: &str) -> QueryResult<Vec<String>> {
    let row: Names = diesel::sql_query(fill(sql)).get_result(conn)?;
    Ok(row.names)
}

/// Reads how far one key has got; what cannot be read (locked, dropped meanwhile, no right) is skipped.
fn add(conn: &mut Conn, survey: &mut KeySurvey, source: Source) -> QueryResult<()> {
    if !source.readable {
        survey.skipped.push(source.name);
        return Ok(());
    }
    conn.batch_execute("SAVEPOINT one_key")?;
    match diesel::sql_query(&source.source).get_result::<Value>(conn) {
        Ok(value) => {
            conn.batch_execute("RELEASE SAVEPOINT one_key")?;
            survey.columns.push(KeyColumn {
                name: source.name,
                used: value
                    .value
                    .unwrap_or_else(|| source.start.saturating_sub(source.increment)),
                increment: source.increment,
                limit: source.high,
                floor: source.low,
            });
        }
        Err(error) if is_of_the_table(&error) => {
            conn.batch_execute("ROLLBACK TO SAVEPOINT one_key; RELEASE SAVEPOINT one_key")?;
            survey.skipped.push(source.name);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Whether an error concerns what was read and not the connection.
fn is_of_the_table(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(kind, about)
        if !matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand)
            && !about.message().starts_with("terminating connection"))
}
