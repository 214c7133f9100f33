//! What SQLite's catalogue says about keys that can run out.
//!
//! No table is scanned: AUTOINCREMENT keeps the last value, every other greatest key comes from the
//! rowid's tree or the key's index.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::Conn;
use crate::store::backend::QueryResult;
use crate::store::report::{KeyColumn, KeySurvey};

/// Ordinary tables (views, virtual tables and their shadows are of other kinds) with their key, where
/// it is one column. `is_rowid`: declared exactly INTEGER in a table that has rowids, so that the
/// column is the rowid and the engine refuses to go on after its last value.
const TABLES: &str = "
    SELECT l.name AS name,
           (SELECT count(*) FROM pragma_table_info(l.name) AS c WHERE c.pk > 0) AS keys,
           (SELECT c.name FROM pragma_table_info(l.name) AS c WHERE c.pk = 1) AS key_column,
           (SELECT upper(c.type) FROM pragma_table_info(l.name) AS c WHERE c.pk = 1) AS key_type,
           l.wr = 0 AS has_rowid
    FROM pragma_table_list AS l
    WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY l.name";

/// Foreign keys with the declared types on both sides; a key that names no column means the primary key.
const FOREIGN_KEYS: &str = "
    SELECT l.name || '.' || f.\"from\" AS child, upper(c.type) AS child_type,
           f.\"table\" || '.' || p.name AS parent, upper(p.type) AS parent_type
    FROM pragma_table_list AS l
    JOIN pragma_foreign_key_list(l.name) AS f
    JOIN pragma_table_info(l.name) AS c ON c.name = f.\"from\" COLLATE NOCASE
    JOIN pragma_table_info(f.\"table\") AS p
        ON p.name = f.\"to\" COLLATE NOCASE OR (f.\"to\" IS NULL AND p.pk = f.seq + 1)
    WHERE l.schema = 'main' AND l.type = 'table'
    ORDER BY 1, 3";

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    keys: i64,
    #[diesel(sql_type = Nullable<Text>)]
    key_column: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    key_type: Option<String>,
    #[diesel(sql_type = Bool)]
    has_rowid: bool,
}

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    child: String,
    #[diesel(sql_type = Text)]
    child_type: String,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Text)]
    parent_type: String,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
}

/// See `Store::key_survey`.
pub(in crate::store) fn survey(conn: &mut Conn) -> QueryResult<KeySurvey> {
    let mut survey = KeySurvey::default();
    let tables: Vec<Table> = diesel::sql_query(TABLES).load(conn)?;
    let sequences = value(
        conn,
        "SELECT count(*) AS value FROM sqlite_schema WHERE name = 'sqlite_sequence'",
    )? > Some(0);
    for table in tables {
        let (Some(column), Some(declared)) = (&table.key_column, &table.key_type) else {
            survey.without_primary_key.push(table.name);
            continue;
        };
        let is_rowid = table.has_rowid && declared == "INTEGER";
        let Some(limit) = limit_of(declared).filter(|_| table.keys == 1) else {
            continue;
        };
        let given = if sequences && is_rowid {
            last_given(conn, &table.name)?
        } else {
            None
        };
        let name = format!("{}.{column}", table.name);
        let used = match given {
            Some(given) => Ok(Some(given)),
            None => greatest(conn, &table.name, column),
        };
        match used {
            Ok(used) => survey.columns.push(KeyColumn {
                name,
                used: used.unwrap_or(0),
                increment: 1,
                limit,
                floor: limit.saturating_neg() - 1,
            }),
            // Dropped or locked meanwhile, or text where a number is declared: SQLite allows it.
            Err(error) => {
                log::debug!("skipped `{name}` in the survey of keys: {error}");
                survey.skipped.push(name);
            }
        }
    }
    let keys: Vec<ForeignKey> = diesel::sql_query(FOREIGN_KEYS).load(conn)?;
    let narrow = keys
        .into_iter()
        .filter(|key| limit_of(&key.child_type) < limit_of(&key.parent_type));
    survey.narrow_foreign_keys = narrow
        .filter(|key| limit_of(&key.child_type).is_some())
        .map(|key| format!("{} -> {}", key.child, key.parent))
        .collect();
    Ok(survey)
}

/// The greatest value of a declared whole-number type; `None` for other types. SQLite itself keeps 64
/// bits in each of them; the width is what the programs that read the column were promised.
fn limit_of(declared: &str) -> Option<i64> {
    match declared {
        "TINYINT" => Some(127),
        "SMALLINT" | "INT2" => Some(32_767),
        "MEDIUMINT" => Some(8_388_607),
        "INT4" => Some(2_147_483_647),
        "INTEGER" | "INT" | "BIGINT" | "INT8" => Some(i64::MAX),
        _ => None,
    }
}

/// The last value that AUTOINCREMENT gave out; a table that was made anew may begin with 0, which is none.
pub(in crate::store) fn last_given(conn: &mut Conn, table: &str) -> QueryResult<Option<i64>> {
    let rows: Vec<Value> =
        diesel::sql_query("SELECT seq AS value FROM sqlite_sequence WHERE name = $1")
            .bind::<Text, _>(table)
            .load(conn)?;
    let last = rows.into_iter().find_map(|row| row.value);
    Ok(last.filter(|last| *last > 0))
}

fn greatest(conn: &mut Conn, table: &str, column: &str) -> QueryResult<Option<i64>> {
    value(
        conn,
        &format!(
            "SELECT max({}) AS value FROM {}",
            quoted(column),
            quoted(table)
        ),
    )
}

fn value(conn: &mut Conn, sql: &str) -> QueryResult<Option<i64>> {
    let row: Value = diesel::sql_query(sql).get_result(conn)?;
    Ok(row.value)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
