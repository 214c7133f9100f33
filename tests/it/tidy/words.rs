//! Names and calls that do not belong here.

use std::collections::BTreeSet;

use super::scan::{Strings, item_end, line, name, split_tests, strip, words};
use super::{Tree, assert_offence, assert_tidy};

/// Names that say nothing about what is inside, so that everything ends up there.
const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "misc", "util", "utils",
];

/// The crate roots that may carry an inner `#![allow]`: tests and benches, see `clippy.toml`.
const MAY_ALLOW: &[&str] = &["tests", "benches"];

/// Files, folders and inline modules with a name that says nothing.
fn names(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree.rust(&["src", "tests", "benches"]) {
        for part in path.trim_end_matches(".rs").split('/') {
            if EMPTY_NAMES.contains(&part) {
                offences.push(format!("{path}: `{part}` says nothing: name the noun"));
            }
        }
        let code = strip(text, Strings::Blank);
        for at in words(&code, "mod") {
            let module = name(code[at + 3..].trim_start());
            let inline = code[..item_end(&code, at)].ends_with('}');
            if inline && EMPTY_NAMES.contains(&module) {
                let at = line(&code, at);
                offences.push(format!("{path}:{at}: `mod {module}` says nothing"));
            }
        }
    }
    offences
}

/// Silenced lints, skipped tests, unfinished code, sleeping tests, unwraps in what ships.
fn calls(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    let test_files = test_files(tree);
    for (path, text) in tree.rust(&["src", "tests", "benches"]) {
        let code = strip(text, Strings::Blank);
        let (mut ships, mut tests) = split_tests(&code);
        if !path.starts_with("src/") || test_files.contains(path) {
            tests = std::mem::take(&mut ships);
        }
        let mut find = |code: &str, word: &str, instead: &str| {
            for (at, _) in code.match_indices(word) {
                let at = line(code, at);
                offences.push(format!("{path}:{at}: `{word}`: {instead}"));
            }
        };
        find(&code, "#[allow(", "use `#[expect(.., reason = \"..\")]`");
        if !MAY_ALLOW.contains(&path.split('/').next().unwrap_or_default()) {
            find(&code, "#![allow(", "use `#[expect(.., reason = \"..\")]`");
        }
        find(&code, "#[ignore", "a test runs or goes");
        find(&code, "todo!(", "finish it or leave it out");
        find(&code, "unimplemented!(", "finish it or leave it out");
        find(&tests, "thread::sleep", "use virtual time or a signal");
        find(&ships, ".unwrap()", "return the error");
    }
    offences
}

/// The files of modules that are declared as `#[cfg(test)] mod x;`.
fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for (path, text) in tree.rust(&["src"]) {
        let (_, tests) = split_tests(&strip(text, Strings::Blank));
        let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
        for at in words(&tests, "mod") {
            let module = name(tests[at + 3..].trim_start());
            files.insert(format!("{stem}/{module}.rs"));
            files.insert(format!("{stem}/{module}/mod.rs"));
        }
    }
    files
}

#[test]
fn the_tree_has_only_names_that_say_something() {
    assert_tidy(&names(&Tree::read()));
}

#[test]
fn the_tree_has_no_silenced_skipped_or_unfinished_code() {
    assert_tidy(&calls(&Tree::read()));
}

#[test]
fn an_empty_name_is_found() {
    for (path, text) in [
        ("src/utils.rs", ""),
        ("src/api/common/paging.rs", ""),
        ("tests/it/helpers/mod.rs", ""),
        ("src/api/mod.rs", "fn f() {}\nmod misc { fn g() {} }"),
    ] {
        assert_offence(&names(&Tree::of(&[(path, text)])), path);
    }
    assert_tidy(&names(&Tree::of(&[(
        "src/robots/task_manager/mod.rs",
        "mod executor; // utils",
    )])));
}

#[test]
fn a_call_that_does_not_belong_here_is_found() {
    for (path, text) in [
        ("src/a.rs", "#[allow(dead_code)]\nfn f() {}"),
        ("src/a.rs", "#![allow(dead_code)]"),
        ("tests/it/a.rs", "#[test]\n#[ignore]\nfn f() {}"),
        ("src/a.rs", "fn f() { todo!() }"),
        ("src/a.rs", "fn f() { unimplemented!(\"later\") }"),
        ("tests/it/a.rs", "fn f() { std::thread::sleep(d) }"),
        (
            "src/a.rs",
            "#[cfg(test)]\nmod tests { fn f() { thread::sleep(d) } }",
        ),
        (
            "src/a.rs",
            "fn f() { g().unwrap() }\n#[cfg(test)]\nmod tests {}",
        ),
    ] {
        assert_offence(&calls(&Tree::of(&[(path, text)])), path);
    }
}

#[test]
fn what_only_looks_like_such_a_call_is_let_through() {
    assert_tidy(&calls(&Tree::of(&[
        (
            "src/a.rs",
            "/// `.unwrap()`\nfn f() { \"todo!()\"; g().unwrap_or(1) }",
        ),
        (
            "src/b.rs",
            "#[cfg(test)]\nmod tests { fn f() { g().unwrap() } }",
        ),
        (
            "tests/it/main.rs",
            "#![allow(clippy::unwrap_used)]\nfn f() { g().unwrap() }",
        ),
    ])));
}
