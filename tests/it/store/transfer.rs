//! A whole database on its way through a file, from one engine to the other and back.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, RunQueryDsl as _};
use robotd::domain::access::Role;
use robotd::domain::audit::{GENESIS_HASH, verify};
use robotd::store::audit::{AuditFilter, NewAudit};
use robotd::store::event::NewEvent;
use robotd::store::mail::NewMail;
use robotd::store::transfer::{Incoming, TransferError};
use robotd::store::{Store, StoreConfig, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::make::{at, event, first, ground, success, task};
use crate::support::database::{Database, databases, on_both};

on_both!(
    what_is_made_after_the_move_is_new,
    a_file_that_is_not_whole_changes_nothing
);

fn audit(number: i64) -> NewAudit {
    NewAudit {
        actor: "tester".to_owned(),
        action: "robot.change".to_owned(),
        object: format!("test.{number}"),
        before: None,
        after: Some(json!({"factor": 1.5, "text": "é"})),
    }
}

/// An SQLite database that has rows in every table.
async fn filled() -> Database {
    let database = Database::sqlite().await;
    let store = &database.store;
    let (robots, node) = ground(store).await;
    for number in 0..3 {
        store.audit_append(audit(number), at(number)).await.unwrap();
    }
    let mut keyed = task(robots[0]);
    keyed.unique_key = Some("key".to_owned());
    let tasks = vec![keyed, task(robots[1]), task(robots[2])];
    store.task_add(tasks, at(1)).await.unwrap();
    let claims = vec![(robots[0], 9), (robots[1], 9)];
    let claimed = store.task_claim(node, claims, at(2)).await.unwrap();
    store
        .task_complete(vec![success(&claimed[0], 3)])
        .await
        .unwrap();
    database.sql(include_str!("other_tables.sql")).await;
    database
}

async fn export(store: &Store, folder: &Path) -> (PathBuf, Vec<String>) {
    let path = folder.join(store.backend());
    let file = Box::new(File::create(&path).unwrap());
    let moved = store.export(file, at(9)).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(usize::try_from(moved.rows).unwrap(), lines.len() - 2);
    (path, lines)
}

async fn import(store: &Store, path: &Path) -> Result<u64, TransferError> {
    let file = BufReader::new(File::open(path).unwrap());
    Ok(store.import(Incoming::open(Box::new(file))?).await?.rows)
}

/// The tables, as the first line has them.
fn tables(lines: &[String]) -> Value {
    let mut header: Value = serde_json::from_str(&lines[0]).unwrap();
    header["tables"].take()
}

fn names(list: &Value) -> Vec<&str> {
    let names = list.as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap()).collect()
}

/// Both databases, read by SQLite itself: rows of one that are not in the other, of the tables that its catalogue knows.
fn assert_equal_files(one: &Database, other: &Database) {
    use diesel::sql_types::{BigInt, Text};
    let path = |database: &Database| match &database.config {
        StoreConfig::Sqlite { path } => path.to_str().unwrap().to_owned(),
        StoreConfig::Postgres { .. } => panic!("SQLite only"),
    };
    let mut conn = diesel::SqliteConnection::establish(&path(one)).unwrap();
    conn.batch_execute(&format!("ATTACH '{}' AS other", path(other)))
        .unwrap();
    #[derive(diesel::QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let all: Vec<Name> =
        diesel::sql_query("SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> '__diesel_schema_migrations'")
            .load(&mut conn)
            .unwrap();
    assert!(all.len() > 30);
    for Name { name } in all {
        for (from, without) in [("main", "other"), ("other", "main")] {
            let lost = format!(
                "(SELECT count(*) FROM (SELECT * FROM {from}.{name} EXCEPT SELECT * FROM {without}.{name}))"
            );
            let lost: i64 = diesel::select(diesel::dsl::sql::<BigInt>(&lost))
                .get_result(&mut conn)
                .unwrap();
            assert_eq!(
                lost, 0,
                "rows of `{name}` in {from} that are not in {without}"
            );
        }
    }
}

#[tokio::test]
async fn all_rows_survive_the_way_there_and_back() {
    let folder = TempDir::new().unwrap();
    let here = filled().await;
    let (file, lines) = export(&here.store, folder.path()).await;
    for table in tables(&lines).as_array().unwrap() {
        assert_ne!(table["rows"], 0, "no row of {} is tried", table["name"]);
    }
    let back = Database::sqlite().await;
    match Database::postgres().await {
        None => {
            import(&back.store, &file).await.unwrap();
        }
        Some(there) => {
            import(&there.store, &file).await.unwrap();
            let (file, moved) = export(&there.store, folder.path()).await;
            assert_eq!(tables(&moved), tables(&lines));
            assert_eq!(moved[1..moved.len() - 1], lines[1..lines.len() - 1]);
            import(&back.store, &file).await.unwrap();
        }
    }
    assert_equal_files(&here, &back);
}

/// The list of tables is the code's; here is what the databases themselves know.
#[tokio::test]
async fn no_table_and_no_column_is_forgotten() {
    let folder = TempDir::new().unwrap();
    for database in databases().await {
        let (_, lines) = export(&database.store, folder.path()).await;
        let listed = tables(&lines);
        let listed = listed.as_array().unwrap();
        let found = match database.name {
            "sqlite" => {
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            }
            _ => "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
        };
        assert_eq!(
            database.number(found).await,
            i64::try_from(listed.len() + 1).unwrap(),
            "{}: `schema/list.rs` lacks a table (beside the list of migrations)",
            database.name
        );
        for table in listed {
            let name = table["name"].as_str().unwrap();
            let columns = names(&table["columns"]).join("', '");
            let known = |and: &str| match database.name {
                "sqlite" => format!(
                    "SELECT count(*) FROM (SELECT name AS found, * FROM pragma_table_info('{name}')) WHERE TRUE {and}"
                ),
                _ => format!(
                    "SELECT count(*) FROM (SELECT column_name AS found FROM information_schema.columns \
                     WHERE table_schema = 'public' AND table_name = '{name}' AND is_generated = 'NEVER') AS c WHERE TRUE {and}"
                ),
            };
            let count = i64::try_from(names(&table["columns"]).len()).unwrap();
            assert_eq!(database.number(&known("")).await, count, "{name}");
            let same = known(&format!("AND found IN ('{columns}')"));
            assert_eq!(database.number(&same).await, count, "{name}");
            if database.name == "sqlite" {
                let apart = known("AND pk > 0 AND pk <> cid + 1");
                let apart = database.number(&apart).await;
                assert_eq!(apart, 0, "`{name}` does not begin with its key");
            }
        }
    }
}

/// A copy of a filled database, moved to the engine of `database`.
async fn what_is_made_after_the_move_is_new(database: &Database) {
    let folder = TempDir::new().unwrap();
    let (file, _) = export(&filled().await.store, folder.path()).await;
    import(&database.store, &file).await.unwrap();
    let store = database.open_again().await;
    let (robots, node) = ground(&store).await;
    assert_eq!(robots.len(), 3);
    let begun = store.robot_register(vec![("test.new".to_owned(), at(9))]);
    assert!(begun.await.unwrap()[0].id > robots[2]);
    // The key is known; the task that ran goes on, the one that waited is offered.
    let mut keyed = task(robots[0]);
    keyed.unique_key = Some("key".to_owned());
    let added = store.task_add(vec![keyed, task(robots[0])], at(10)).await;
    let added = added.unwrap();
    assert!(added[0].existing && !added[1].existing);
    let claims = vec![(robots[0], 9), (robots[2], 9)];
    let claimed = store.task_claim(node, claims, at(11)).await.unwrap();
    assert_eq!(claimed.len(), 2);
    let ends = claimed.iter().map(|claimed| success(claimed, 12)).collect();
    store.task_complete(ends).await.unwrap();
    let new = NewEvent {
        event: event("new"),
        wakes: Vec::new(),
    };
    let appended = store.event_append(vec![new], at(13)).await.unwrap();
    assert_eq!(appended.accepted, 1);
    let made = store.token_create("new", Role::Viewer, [7; 32], at(14));
    made.await.unwrap();
    let mail = NewMail {
        recipient: "ops@example.org".to_owned(),
        subject: "s".to_owned(),
        text: "t".to_owned(),
        priority: 1,
        expires_at: at(99),
    };
    let applied = store.alert_apply(Vec::new(), vec![mail], Vec::new(), at(15));
    applied.await.unwrap();
    store.audit_append(audit(9), at(16)).await.unwrap();
    let newest = database.number("SELECT max(id) FROM syslog_outbox").await;
    assert_eq!(newest, 901, "an id that was given out and is gone");
    let trail = store.audit_list(AuditFilter::default(), first(500)).await;
    let mut trail = trail.unwrap().items;
    trail.reverse();
    assert_eq!(trail.len(), 4);
    verify(GENESIS_HASH, &trail).unwrap();
}

/// Joins lines to a file.
fn write(folder: &Path, lines: &[String]) -> PathBuf {
    let path = folder.join("changed");
    let mut text = lines.join("\n");
    text.push('\n');
    std::fs::write(&path, text).unwrap();
    path
}

/// The lines with another header.
fn with_header(lines: &[String], change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut header = serde_json::from_str(&lines[0]).unwrap();
    change(&mut header);
    let mut lines = lines.to_vec();
    lines[0] = header.to_string();
    lines
}

fn without(lines: &[String], at: usize) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.remove(at);
    lines
}

fn replaced(lines: &[String], from: &str, to: &str) -> Vec<String> {
    assert!(lines[1..].iter().any(|line| line.contains(from)), "{from}");
    let mut lines = lines.to_vec();
    for line in &mut lines[1..] {
        *line = line.replace(from, to);
    }
    lines
}

/// Files made of `lines` that are not whole, and what is said of each.
fn damaged(lines: &[String]) -> Vec<(Vec<String>, &'static str)> {
    let header = |change: fn(&mut Value)| with_header(lines, change);
    let last = lines.len() - 1;
    let mut longer = lines.to_vec();
    longer.push(String::new());
    vec![
        (vec!["hello".to_owned()], "not an export"),
        (header(|h| h["format"] = json!("x")), "not an export"),
        (
            header(|h| h["version"] = json!(2)),
            "version 2 of the format",
        ),
        (header(|h| h["more"] = json!(2)), "line 1 is damaged"),
        (
            header(|h| {
                h["migrations"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!("99991231000000"))
            }),
            "a newer robotd (0.1.0; its step `99991231000000`",
        ),
        (
            header(|h| drop(h["migrations"].as_array_mut().unwrap().pop())),
            "an older robotd",
        ),
        (
            header(|h| drop(h["tables"].as_array_mut().unwrap().pop())),
            "its list of tables",
        ),
        (
            header(|h| h["tables"][2]["rows"] = json!(1_000)),
            "is damaged",
        ),
        (lines[..last].to_vec(), "the file ends before it"),
        (lines[..last / 2].to_vec(), "the file ends before it"),
        (without(lines, last / 2), "is damaged"),
        (replaced(lines, "\"test.b\"", "\"test.x\""), "the SHA-256"),
        (
            replaced(lines, "\"test.b\"", "17"),
            "no text for column `name` in `robots`",
        ),
        (
            replaced(lines, "\"test.b\",", ""),
            "9 values for 10 columns",
        ),
        (longer, "more follows it"),
    ]
}

async fn a_file_that_is_not_whole_changes_nothing(database: &Database) {
    let folder = TempDir::new().unwrap();
    let (file, lines) = export(&filled().await.store, folder.path()).await;
    for (lines, says) in damaged(&lines) {
        let error = import(&database.store, &write(folder.path(), &lines)).await;
        let error = error.unwrap_err();
        assert!(
            matches!(&error, TransferError::File(text) if text.contains(says)),
            "{says}: {error}"
        );
    }
    let whole = std::fs::read_to_string(&file).unwrap();
    let half_a_line = whole.len() - lines[lines.len() - 1].len() / 2;
    std::fs::write(folder.path().join("cut"), &whole[..half_a_line]).unwrap();
    let error = import(&database.store, &folder.path().join("cut")).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("the file ends in the middle of it"), "{text}");
    // A check of the same key may be there already; nothing else.
    database.store.key_check_set("c0ffee").await.unwrap();
    import(&database.store, &file).await.unwrap();
    let again = import(&database.store, &file).await.unwrap_err();
    assert!(
        matches!(&again, TransferError::Store(StoreError::Conflict { what }) if what.contains("not empty")),
        "{again}"
    );
}
