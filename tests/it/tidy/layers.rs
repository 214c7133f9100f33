//! Imports go down only, and each outside library stays in its layer.

use super::scan::{self, Strings, item_end, line, name, strip, words};
use super::{Tree, assert_offence, assert_tidy};

/// The layer of each top module. A module may name those of a lower layer, itself, and in the
/// topmost layer its siblings. The reason for the order is in `docs/ARCHITECTURE.md`.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["clock"],
    &["store", "connect", "vault"],
    &["robot"],
    &["robots", "intake", "runtime"],
    &["api"],
    &["panel"],
    &["main", "cli", "app", "config", "trial", "bench", "selftest"],
];

/// Crates that may be named in some modules only.
const CONFINED: &[(&str, &[&str])] = &[
    ("diesel", &["store"]),
    ("diesel_async", &["store"]),
    ("diesel_migrations", &["store"]),
    ("actix", &["runtime", "app"]),
    ("actix_web", &["api", "panel", "app"]),
    ("actix_web_lab", &["api", "panel", "app"]),
    ("actix_multipart", &["api"]),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The module path of a source file: `src/store/queries/task.rs` is `store::queries::task`.
fn module_path(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').filter(|part| *part != "mod").collect()
}

/// Imports that do not go down.
fn imports(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree.rust(&["src"]) {
        let module = module_path(path);
        // The list of modules itself.
        if module == ["lib"] {
            continue;
        }
        let Some(own) = layer(module[0]) else {
            offences.push(format!("{path}: `{}` is in no layer", module[0]));
            continue;
        };
        let code = strip(text, Strings::Blank);
        for (at, target) in named_modules(&code, module.len()) {
            let place = format!(
                "{path}:{}: `{}` names `{target}`",
                line(&code, at),
                module[0]
            );
            match layer(target) {
                _ if target == module[0] => {}
                None => offences.push(format!("{place}, which is in no layer")),
                Some(other) if other < own || (other == own && own == LAYERS.len() - 1) => {}
                Some(_) => offences.push(format!("{place}, which is not below it")),
            }
        }
    }
    offences
}

/// Every top module that code names, by `crate::` or by climbing with `super::` to the root.
fn named_modules(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let mut named = Vec::new();
    for at in words(code, "crate") {
        // `$crate::` in a macro is a path like any other.
        if let Some(rest) = code[at..].strip_prefix("crate::") {
            named.extend(heads(rest).into_iter().map(|head| (at, head)));
        }
    }
    for at in words(code, "super") {
        let chain_start = !code[..at].ends_with("super::");
        let rest = code[at..].trim_start_matches("super::");
        let climbed = (code.len() - at - rest.len()) / "super::".len();
        if chain_start && climbed == depth + inline_depth(code, at) {
            named.extend(heads(rest).into_iter().map(|head| (at, head)));
        }
    }
    named
}

/// The first names of a path, or of each path in a group: `{a::b, c}` gives `a` and `c`.
fn heads(rest: &str) -> Vec<&str> {
    if !rest.starts_with('{') {
        return Vec::from([name(rest)]);
    }
    let group = &rest[1..item_end(rest, 0) - 1];
    let mut depth = 0;
    let paths = group.split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    paths
        .map(|path| name(path.trim()))
        .filter(|head| !head.is_empty() && *head != "self")
        .collect()
}

/// How many `mod x { … }` blocks stand around an offset.
fn inline_depth(code: &str, at: usize) -> usize {
    words(&code[..at], "mod")
        .filter(|&start| {
            let end = item_end(code, start);
            code[..end].ends_with('}') && end > at
        })
        .count()
}

/// Crates named outside the modules that may name them.
fn confined(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree.rust(&["src"]) {
        let code = strip(text, Strings::Blank);
        for (library, modules) in CONFINED {
            if modules.contains(&module_path(path)[0]) {
                continue;
            }
            for at in scan::words(&code, library) {
                let named = code[at + library.len()..].starts_with("::")
                    || code[..at].trim_end().ends_with("use");
                if named {
                    let at = line(&code, at);
                    offences.push(format!(
                        "{path}:{at}: `{library}` is named outside {modules:?}"
                    ));
                }
            }
        }
    }
    offences
}

#[test]
fn the_tree_imports_downwards_only() {
    assert_tidy(&imports(&Tree::read()));
}

#[test]
fn the_tree_keeps_each_library_in_its_layer() {
    assert_tidy(&confined(&Tree::read()));
}

#[test]
fn an_import_going_up_or_sideways_is_found() {
    for (path, text) in [
        ("src/domain/task.rs", "use crate::clock::Clock;"),
        ("src/store/mod.rs", "use crate::vault::Key;"),
        ("src/connect/smtp.rs", "fn f() { crate::store::open() }"),
        (
            "src/robots/mail/email_sender.rs",
            "use crate::runtime::Handle;",
        ),
        (
            "src/intake/mod.rs",
            "use crate::{domain::Event, runtime::{Handle}};",
        ),
        ("src/robot/mod.rs", "pub use crate::{domain, api};"),
        ("src/clock.rs", "use super::store::Store;"),
        (
            "src/store/queries/task.rs",
            "mod t { use super::super::super::super::api::A; }",
        ),
        ("src/sundries.rs", "fn f() {}"),
        ("src/api/mod.rs", "use crate::sundries::f;"),
    ] {
        assert_offence(&imports(&Tree::of(&[(path, text)])), path);
    }
}

#[test]
fn an_import_going_down_is_let_through() {
    let tree = Tree::of(&[
        ("src/lib.rs", "pub use crate::anything::Thing;"),
        (
            "src/domain/pool.rs",
            "use crate::domain::{retry, task::Task};",
        ),
        ("src/clock.rs", "mod tests { use super::*; }"),
        (
            "src/api/mod.rs",
            "// use crate::panel;\nuse crate::{self as r, runtime::Handle};",
        ),
        (
            "src/store/mod.rs",
            "pub(crate) fn f() { \"crate::api\"; super::store::g() }",
        ),
        ("src/app.rs", "use crate::{cli, config::Config, panel};"),
    ]);
    assert_tidy(&imports(&tree));
}

#[test]
fn a_library_outside_its_layer_is_found() {
    for (path, text) in [
        ("src/robots/mail/email_sender.rs", "use diesel::prelude::*;"),
        ("src/api/mod.rs", "fn f() { diesel_async::g() }"),
        ("src/api/mod.rs", "use actix::Addr;"),
        ("src/intake/http.rs", "use actix::prelude::*;"),
        ("src/metrics.rs", "use actix_web::web;"),
    ] {
        assert_offence(&confined(&Tree::of(&[(path, text)])), path);
    }
    assert_tidy(&confined(&Tree::of(&[
        ("src/store/hot.rs", "use diesel::prelude::*;"),
        ("src/runtime/pool.rs", "use actix::Addr;"),
        ("src/api/mod.rs", "use actix_web::web; // actix::Addr"),
        ("src/app.rs", "use actix::System; use actix_web::App;"),
    ])));
}
