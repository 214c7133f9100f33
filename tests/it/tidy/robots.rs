//! A robot is found by its name, and says in its first lines what an operator must know.

use super::scan::{Strings, strip};
use super::{Tree, assert_offence, assert_tidy};

/// The points every robot's module doc answers; `docs/ADDING-A-ROBOT.md` says what each means.
const POINTS: &[&str] = &[
    "**Looks at**",
    "**Changes**",
    "**Safe to repeat**",
    "**If it stops**",
];

/// The operator's own robots: their names come from `robotd.toml`, not from a path.
const OPERATORS_OWN: &str = "custom";

/// The robots' files, as (category, robot, path, text): `src/robots/<category>/<robot>.rs`, or
/// the `mod.rs` of a folder of that name where a robot needs a second file.
fn robot_files(tree: &Tree) -> Vec<(&str, &str, String, &str)> {
    let files = tree.under("src/robots/").filter_map(|(path, text)| {
        let mut parts = path.strip_suffix(".rs")?.split('/');
        let (category, robot) = (parts.next()?, parts.next()?);
        let of_robot = match (parts.next(), parts.next()) {
            (None, _) => robot != "mod",
            (Some(file), None) => file == "mod",
            _ => false,
        };
        let found = of_robot && category != OPERATORS_OWN;
        found.then(|| (category, robot, format!("src/robots/{path}"), text))
    });
    files.collect()
}

/// Robots whose declared name is not the one their path says.
fn names(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (category, robot, path, text) in robot_files(tree) {
        let expected = format!("{category}.{robot}");
        let code = strip(text, Strings::Keep);
        let declared = code
            .split_once("name: \"")
            .and_then(|(_, rest)| rest.split('"').next());
        match declared {
            Some(name) if name == expected => {}
            Some(name) => offences.push(format!("{path}: is named `{name}`, not `{expected}`")),
            None => offences.push(format!("{path}: declares no `name: \"{expected}\"`")),
        }
    }
    offences
}

/// Robots whose module doc leaves a point open.
fn headers(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (_, _, path, text) in robot_files(tree) {
        let header = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect::<Vec<_>>()
            .join("\n");
        for point in POINTS.iter().filter(|point| !header.contains(**point)) {
            offences.push(format!("{path}: the module doc has no point {point}"));
        }
    }
    offences
}

#[test]
fn the_tree_names_each_robot_by_its_path() {
    assert_tidy(&names(&Tree::read()));
}

#[test]
fn the_tree_has_a_full_header_on_each_robot() {
    assert_tidy(&headers(&Tree::read()));
}

#[test]
fn a_robot_named_unlike_its_path_is_found() {
    for (path, text) in [
        ("src/robots/mail/email_sender.rs", "name: \"mail.sender\","),
        (
            "src/robots/mail/email_sender.rs",
            "// name: \"mail.email_sender\"",
        ),
        (
            "src/robots/mail/email_sender/mod.rs",
            "name: \"email_sender\",",
        ),
    ] {
        assert_offence(&names(&Tree::of(&[(path, text)])), path);
    }
    assert_tidy(&names(&Tree::of(&[
        ("src/robots/mod.rs", ""),
        ("src/robots/mail/mod.rs", "mod email_sender;"),
        (
            "src/robots/mail/email_sender.rs",
            "name: \"mail.email_sender\",",
        ),
        (
            "src/robots/mail/email_collector/mod.rs",
            "name: \"mail.email_collector\",",
        ),
        ("src/robots/mail/email_collector/parse.rs", ""),
        ("src/robots/custom/command.rs", ""),
    ])));
}

#[test]
fn a_robot_that_leaves_a_point_open_is_found() {
    let path = "src/robots/mail/email_sender.rs";
    let header = |points: &[&str]| -> String {
        points
            .iter()
            .map(|point| format!("//! - {point}: x\n"))
            .collect()
    };
    assert_tidy(&headers(&Tree::of(&[(path, &header(POINTS))])));
    for left_out in POINTS {
        let rest: Vec<_> = POINTS.iter().copied().filter(|p| p != left_out).collect();
        // A mention further down is not part of the header.
        let text = format!("{}\n// {left_out}", header(&rest));
        assert_offence(&headers(&Tree::of(&[(path, &text)])), left_out);
    }
}
