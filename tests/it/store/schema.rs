//! The schema: the same in `schema.rs` and in both databases, and every step can be undone.

use std::path::PathBuf;

use robotd::store::{Store, StoreError};

use crate::support::database::{Database, databases};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// (table, column) as `schema.rs` has them.
fn declared() -> Vec<(String, Vec<(String, bool)>)> {
    let folder = root().join("src/store");
    let parts = std::fs::read_dir(folder.join("schema")).unwrap();
    let mut files: Vec<_> = parts.map(|part| part.unwrap().path()).collect();
    files.push(folder.join("schema.rs"));
    let text: String = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let mut tables = Vec::new();
    for block in text.split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let table = lines
            .next()
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned();
        let (mut columns, mut name) = (Vec::new(), None);
        for line in lines.take_while(|line| *line != "}") {
            if let Some(sql) = line.strip_prefix("#[sql_name = \"") {
                name = Some(sql.split('"').next().unwrap().to_owned());
            } else if let Some((column, kind)) = line.split_once(" -> ") {
                columns.push((
                    name.take().unwrap_or_else(|| column.to_owned()),
                    kind.starts_with("Nullable"),
                ));
            }
        }
        tables.push((table, columns));
    }
    tables
}

/// A SELECT of the columns of `table` in the database that are not declared so: by name, and whether they may be NULL.
/// A key's column on SQLite may be, and never is.
fn others(database: &str, table: &str, columns: &[(String, bool)]) -> String {
    let named: Vec<_> = columns
        .iter()
        .map(|(name, nullable)| format!("('{name}', {nullable})"))
        .collect();
    let named = named.join(", ");
    match database {
        "sqlite" => format!(
            "SELECT count(*) FROM pragma_table_info('{table}') WHERE (name, \"notnull\" = 0) NOT IN (VALUES {named}) \
             AND NOT (pk > 0 AND name IN (SELECT column1 FROM (VALUES {named})))"
        ),
        _ => format!(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped \
             AND attgenerated = '' AND (attname::text, NOT attnotnull) NOT IN (VALUES {named})"
        ),
    }
}

#[tokio::test]
async fn both_databases_have_the_columns_of_the_code() {
    for database in databases().await {
        for (table, columns) in declared() {
            let all = match database.name {
                "sqlite" => format!("SELECT count(*) FROM pragma_table_info('{table}')"),
                _ => format!(
                    "SELECT count(*) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 \
                     AND NOT attisdropped AND attgenerated = ''"
                ),
            };
            let (all, others) = (
                database.number(&all).await,
                database
                    .number(&others(database.name, &table, &columns))
                    .await,
            );
            let expected = (i64::try_from(columns.len()).unwrap(), 0);
            assert_eq!(
                (all, others),
                expected,
                "{}: {table} has {columns:?}",
                database.name
            );
        }
    }
}

/// Undoes every step, the newest first.
async fn undo(database: &Database) {
    let folder = root().join("migrations").join(database.name);
    let mut steps: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    steps.sort();
    for step in steps.iter().rev() {
        database
            .sql(&std::fs::read_to_string(step.join("down.sql")).unwrap())
            .await;
    }
    database.sql("DELETE FROM __diesel_schema_migrations").await;
}

#[tokio::test]
async fn every_step_is_undone_and_done_again() {
    for database in databases().await {
        undo(&database).await;
        let left = match database.name {
            "sqlite" => {
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            }
            _ => "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'",
        };
        assert_eq!(
            database.number(left).await,
            1,
            "only the list of migrations is left"
        );
        let store = database.open_again().await;
        super::make::ground(&store).await;
    }
}

#[tokio::test]
async fn a_newer_database_is_worked_on_unless_more_than_an_addition_was_made() {
    for database in databases().await {
        let applied = async |version: &str| {
            let insert = "INSERT INTO __diesel_schema_migrations (version) VALUES";
            database.sql(&format!("{insert} ('{version}')")).await;
        };
        applied("99991231000000").await;
        let store = database.open_again().await;
        super::make::ground(&store).await;
        let moved = store.export(Box::new(std::io::sink()), super::make::at(1));
        let error = moved.await.unwrap_err().to_string();
        assert!(error.contains("a newer robotd has added"), "{error}");

        applied("99991231900000").await;
        let error = Store::open(database.config.clone()).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Other(text) if text.contains("written by a newer robotd")),
            "{error}"
        );
    }
}
