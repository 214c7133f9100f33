//! Each migration exists for both databases and can be taken back.

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
