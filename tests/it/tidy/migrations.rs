//! Each migration exists for both databases, can be taken back, and does not stand in the way of older nodes unless its
//! number says so.

use std::collections::BTreeSet;

use super::{Tree, assert_offence, assert_tidy};

const ENGINES: [&str; 2] = ["sqlite", "postgres"];

/// Migrations that one database lacks, and files that are missing or do nothing.
fn pairs(tree: &Tree) -> Vec<String> {
    let migrations: BTreeSet<&str> = tree
        .under("migrations/")
        .filter_map(|(path, _)| path.split('/').nth(1))
        .collect();
    let mut offences = Vec::new();
    for migration in migrations {
        for engine in ENGINES {
            for file in ["up.sql", "down.sql"] {
                let path = format!("migrations/{engine}/{migration}/{file}");
                match tree.0.get(&path) {
                    None => offences.push(format!("{path}: is missing")),
                    Some(text) if !has_statement(text) => {
                        offences.push(format!("{path}: does nothing"));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    offences
}

/// Steps of before that day were made when all nodes were stopped for an upgrade.
const FIRST_BESIDE_NODES: &str = "2026-11-27";
/// Steps numbered from here on are applied where no node works; see `store::backend::migrate`.
const CONTRACT_FROM: &str = "900000";

/// Statements of steps that are applied under nodes that work, and would be in their way: they forbid what these do, or keep
/// them waiting while they last.
fn in_the_way(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree.under("migrations/") {
        let mut parts = path.split('/');
        let (Some(_), Some(step), Some("up.sql")) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let number = step.get("2026-11-27-".len()..).unwrap_or_default();
        if step < FIRST_BESIDE_NODES || number >= CONTRACT_FROM {
            continue;
        }
        let lines = text.lines().filter(|line| !line.trim().starts_with("--"));
        let text = lines.collect::<Vec<_>>().join(" ").to_uppercase();
        for statement in text.split(';') {
            let words: Vec<_> = statement.split_whitespace().collect();
            let of = |table: &str| text.contains(&format!("CREATE TABLE {table} "));
            let fits = match words[..] {
                [] | ["CREATE", "TABLE", ..] | ["INSERT" | "UPDATE", ..] => true,
                ["ALTER", "TABLE", _, "ADD", "COLUMN", ..] => {
                    !statement.contains("NOT NULL") || statement.contains("DEFAULT")
                }
                // On a table that is in use its writers would wait, or be refused what they rely on.
                ["CREATE", "INDEX", _, "ON", table, ..]
                | ["CREATE", "UNIQUE", "INDEX", _, "ON", table, ..] => of(table),
                _ => false,
            };
            if !fits {
                let words = words.join(" ");
                offences.push(format!(
                    "migrations/{path}: `{words}` stands in the way of older nodes: number it from {CONTRACT_FROM} on, or add only"
                ));
            }
        }
    }
    offences
}

/// Whether anything but comments and blanks stands in the text.
fn has_statement(text: &str) -> bool {
    text.lines()
        .any(|line| !line.trim().is_empty() && !line.trim().starts_with("--"))
}

#[test]
fn the_tree_has_each_migration_for_both_databases() {
    assert_tidy(&pairs(&Tree::read()));
}

#[test]
fn the_tree_has_no_step_in_the_way_of_older_nodes() {
    assert_tidy(&in_the_way(&Tree::read()));
}

#[test]
fn a_step_in_the_way_of_older_nodes_is_found() {
    let step = |number: &str| format!("migrations/postgres/2026-11-27-{number}_x/up.sql");
    let (adds, changes) = (step("000001"), step("900001"));
    for text in [
        "DROP TABLE a;",
        "-- why\nALTER TABLE a DROP COLUMN b;",
        "ALTER TABLE a RENAME TO b;",
        "ALTER TABLE a ADD COLUMN b BIGINT NOT NULL;",
        "CREATE INDEX a_b ON a (b);",
        "CREATE UNIQUE INDEX a_b ON a (b);",
        "CREATE TABLE a (b BIGINT); DELETE FROM c;",
    ] {
        assert_offence(&in_the_way(&Tree::of(&[(&adds, text)])), &adds);
        assert_tidy(&in_the_way(&Tree::of(&[(&changes, text)])));
    }
    for text in [
        "CREATE TABLE a (b BIGINT);\nCREATE UNIQUE INDEX a_b ON a (b);",
        "ALTER TABLE a ADD COLUMN b BIGINT NOT NULL DEFAULT 0;",
        "-- DROP\nALTER TABLE a ADD COLUMN b BIGINT;\n",
    ] {
        assert_tidy(&in_the_way(&Tree::of(&[(&adds, text)])));
    }
}

#[test]
fn a_missing_or_empty_migration_is_found() {
    const WHOLE: [(&str, &str); 4] = [
        (
            "migrations/sqlite/1_tasks/up.sql",
            "CREATE TABLE a (b BIGINT);",
        ),
        ("migrations/sqlite/1_tasks/down.sql", "DROP TABLE a;"),
        (
            "migrations/postgres/1_tasks/up.sql",
            "CREATE TABLE a (b BIGINT);",
        ),
        ("migrations/postgres/1_tasks/down.sql", "DROP TABLE a;"),
    ];
    assert_tidy(&pairs(&Tree::of(&WHOLE)));
    for (at, (path, _)) in WHOLE.iter().enumerate() {
        let mut files = WHOLE.to_vec();
        files[at].1 = "-- nothing to take back\n";
        assert_offence(&pairs(&Tree::of(&files)), path);
        files.remove(at);
        assert_offence(&pairs(&Tree::of(&files)), path);
    }
}
