//! The rules of the house that a machine can check, read off the source tree as plain text.
//!
//! Each check is a function from a [`Tree`] to a list of offences, so that it can be shown to fail
//! on a small tree made in the test: a checker that never fails proves nothing. The test named
//! `the_tree_…` beside it runs it on the real tree.
//!
//! Text scanning is enough because rustfmt has already given the code one shape. What needs types
//! (unwraps, banned calls) is clippy's: see `clippy.toml` and `[lints]` in `Cargo.toml`.

mod layers;
mod migrations;
mod robots;
mod scan;
mod size;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files the rules speak about: path from the root of the repository, and text.
struct Tree(BTreeMap<String, String>);

impl Tree {
    /// A tree made by a test.
    fn of(files: &[(&str, &str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    /// Reads this repository: its Rust files and its migrations.
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeMap::new();
        for folder in ["src", "tests", "benches", "migrations"] {
            read_folder(root, Path::new(folder), &mut files);
        }
        Self(files)
    }

    /// The Rust files under one of the folders given.
    fn rust<'t>(&'t self, folders: &'t [&str]) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.0
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| {
                path.ends_with(".rs")
                    && folders
                        .iter()
                        .any(|folder| path.split('/').next() == Some(*folder))
            })
    }

    /// The paths under `folder`, which ends with a slash, without that beginning.
    fn under<'t>(&'t self, folder: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.0
            .iter()
            .filter_map(move |(path, text)| Some((path.strip_prefix(folder)?, text.as_str())))
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    // Not every folder exists from the first day.
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return;
    };
    for entry in entries {
        let entry = entry.expect("the folder is readable");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("the file has a type").is_dir() {
            read_folder(root, &path, files);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "sql") {
            let text = fs::read_to_string(root.join(&path)).expect("the source is UTF-8");
            files.insert(path.to_str().expect("the path is UTF-8").to_owned(), text);
        }
    }
}

/// Fails with every offence on a line of its own.
#[track_caller]
fn assert_tidy(offences: &[String]) {
    assert!(offences.is_empty(), "\n  {}\n", offences.join("\n  "));
}

/// Fails unless exactly one offence was found and it names what it must.
#[track_caller]
fn assert_offence(offences: &[String], names: &str) {
    assert_eq!(offences.len(), 1, "offences: {offences:?}");
    assert!(offences[0].contains(names), "offences: {offences:?}");
}

#[test]
fn the_real_tree_is_read() {
    let tree = Tree::read();
    for path in ["src/lib.rs", "src/main.rs", "tests/it/tidy/scan.rs"] {
        assert!(tree.0.contains_key(path), "`{path}` was not read");
    }
}
