//! Files and functions stay short enough to read.

use std::collections::BTreeSet;

use super::scan::{Strings, item_end, line, name, strip, words};
use super::{Tree, assert_offence, assert_tidy};

/// A longer file has more than one subject.
const FILE_LINES_MAX: usize = 400;

/// A longer function does not fit on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Files over the limit today. The list may only shrink: an entry that is no longer over it fails.
const FILES_OVER: &[&str] = &[];

/// Functions over the limit today, as `path::function`. The list may only shrink.
const FUNCTIONS_OVER: &[&str] = &[];

fn files_over(tree: &Tree) -> BTreeSet<String> {
    tree.rust(&["src", "tests", "benches"])
        .filter(|(_, text)| text.lines().count() > FILE_LINES_MAX)
        .map(|(path, _)| path.to_owned())
        .collect()
}

fn functions_over(tree: &Tree) -> BTreeSet<String> {
    let mut over = BTreeSet::new();
    for (path, text) in tree.rust(&["src", "tests", "benches"]) {
        let code = strip(text, Strings::Blank);
        for at in words(&code, "fn") {
            let function = name(code[at + 2..].trim_start());
            // A function pointer's type has no name.
            if function.is_empty() {
                continue;
            }
            let lines = line(&code, item_end(&code, at)) - line(&code, at) + 1;
            if lines > FUNCTION_LINES_MAX {
                over.insert(format!("{path}::{function}"));
            }
        }
    }
    over
}

/// Compares today's offenders with the list of those that are known.
fn ratchet(over: &BTreeSet<String>, known: &[&str], limit: usize) -> Vec<String> {
    let new = over
        .iter()
        .filter(|entry| !known.contains(&entry.as_str()))
        .map(|entry| format!("`{entry}` has more than {limit} lines: split it by its nouns"));
    let mended = known
        .iter()
        .filter(|entry| !over.contains(**entry))
        .map(|entry| format!("`{entry}` has at most {limit} lines now: take it off the list"));
    new.chain(mended).collect()
}

#[test]
fn the_tree_has_no_new_long_file() {
    assert_tidy(&ratchet(
        &files_over(&Tree::read()),
        FILES_OVER,
        FILE_LINES_MAX,
    ));
}

#[test]
fn the_tree_has_no_new_long_function() {
    let over = functions_over(&Tree::read());
    assert_tidy(&ratchet(&over, FUNCTIONS_OVER, FUNCTION_LINES_MAX));
}

#[test]
fn a_long_file_is_found_at_the_first_line_too_many() {
    let most = "\n".repeat(FILE_LINES_MAX);
    assert!(files_over(&Tree::of(&[("src/a.rs", &most)])).is_empty());
    let over = files_over(&Tree::of(&[("src/a.rs", &format!("{most}\n"))]));
    assert_offence(&ratchet(&over, &[], FILE_LINES_MAX), "src/a.rs");
}

#[test]
fn a_long_function_is_found_at_the_first_line_too_many() {
    let function = |lines: usize| format!("fn f() -> [u8; 4] {{{}}}", "\n".repeat(lines - 1));
    let most = function(FUNCTION_LINES_MAX);
    assert!(functions_over(&Tree::of(&[("src/a.rs", &most)])).is_empty());
    let over = functions_over(&Tree::of(&[(
        "src/a.rs",
        &function(FUNCTION_LINES_MAX + 1),
    )]));
    assert_offence(&ratchet(&over, &[], FUNCTION_LINES_MAX), "src/a.rs::f");
}

#[test]
fn the_list_of_offenders_may_only_shrink() {
    let over = BTreeSet::from(["src/a.rs".to_owned()]);
    assert_tidy(&ratchet(&over, &["src/a.rs"], FILE_LINES_MAX));
    let mended = ratchet(&BTreeSet::new(), &["src/a.rs"], FILE_LINES_MAX);
    assert_offence(&mended, "take it off the list");
}
