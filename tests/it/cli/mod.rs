//! The program itself: exit statuses, what is printed where, and one run in the foreground.

use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const ROBOTS: &str = r#"
    log = { level = "error" }
    [[robot]]
    name = "custom.hello"
    command = ["/bin/sh", "-c", "cat; echo; echo ::progress 40 copying; echo aside >&2; echo $ROBOTD_ROBOT $ROBOTD_ATTEMPT"]
    [[robot]]
    name = "custom.later"
    command = ["/bin/sh", "-c", "exit 75"]
    [[robot]]
    name = "custom.bad"
    command = ["/bin/sh", "-c", "exit 3"]
    [[robot]]
    name = "custom.flood"
    command = ["/bin/sh", "-c", "yes 'a line' | head -n 50000; echo last; exec sleep 60"]
    timeout = "PT4S"
"#;

fn place(toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("robotd.toml"), toml).unwrap();
    dir
}

fn command(dir: &TempDir, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotd"));
    command
        .args(words)
        .current_dir(dir.path())
        .stdin(Stdio::null());
    command
}

/// Status, standard output, standard error.
fn robotd(dir: &TempDir, words: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(dir, words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_run_in_the_foreground_answers_by_its_status() {
    let dir = place(ROBOTS);
    let (status, out, err) = robotd(&dir, &["run", "custom.hello", "--payload", "{\"a\":1}"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(out, "{\"a\":1}\ncustom.hello 1\n");
    assert!(
        err.contains("aside") && err.contains("40 % copying"),
        "{err}"
    );
    let (_, out, _) = robotd(&dir, &["run", "custom.hello"]);
    assert_eq!(
        out.lines().next(),
        Some("{}"),
        "no payload is an empty object"
    );
    for (name, expected) in [("later", 75), ("bad", 1), ("none", 64)] {
        let (status, _, err) = robotd(&dir, &["run", &format!("custom.{name}")]);
        assert_eq!(status, expected, "{name}: {err}");
    }
    let (status, _, err) = robotd(&dir, &["run", "custom.hello", "--payload", "{"]);
    assert_eq!(status, 64, "{err}");
}

#[test]
fn what_a_run_in_the_foreground_says_does_not_hold_it_up() {
    let dir = place(ROBOTS);
    let (status, out, err) = robotd(&dir, &["run", "custom.flood"]);
    assert_eq!(out.lines().last(), Some("last"), "{err}");
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("ran longer than its time limit"), "{err}");
}

#[test]
fn misuse_and_bad_configuration_have_their_statuses() {
    let dir = place("");
    for (words, expected) in [
        (&["--help"] as &[&str], 0),
        (&["--version"], 0),
        (&["nonsense"], 64),
        (&["serve", "--listen", "nowhere"], 64),
        (&["token", "create", "--name", "a b", "--role", "admin"], 64),
        (&["token", "create", "--name", "a", "--role", "god"], 64),
        (&["check-config"], 0),
        (&["check-config", "--config", "missing.toml"], 78),
        (&["check-config", "--nats-url", "nats://u:secret@h"], 78),
        (&["robots"], 0),
        (&["robot", "no.such"], 64),
        (&["openapi"], 0),
        (&["completions", "bash"], 0),
        (&["task", "list", "--data-dir", "nowhere"], 77),
    ] {
        let (status, _, err) = robotd(&dir, words);
        assert_eq!(status, expected, "{words:?}: {err}");
    }
    let nobody = ["task", "list", "--url", "http://127.0.0.1:1"];
    let asked = command(&dir, &nobody)
        .env("ROBOTD_TOKEN", "x")
        .output()
        .unwrap();
    assert_eq!(asked.status.code(), Some(69));
    let bad = command(&dir, &["check-config"])
        .env("ROBOTD_NODE", "a b")
        .output()
        .unwrap();
    assert_eq!(bad.status.code(), Some(78));
    let text = String::from_utf8(bad.stderr).unwrap();
    assert!(text.contains("--node (ROBOTD_NODE)"), "{text}");
}

#[test]
fn a_flag_wins_over_its_variable_and_that_over_the_file() {
    let dir = place("node = 'file'");
    let shown = |words: &[&str], variable: Option<&str>| {
        let mut command = command(&dir, words);
        if let Some(value) = variable {
            command.env("ROBOTD_NODE", value);
        }
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("node")).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(shown(&["check-config"], None), "file");
    assert_eq!(shown(&["check-config"], Some("variable")), "variable");
    assert_eq!(
        shown(&["check-config", "--node", "flag"], Some("variable")),
        "flag"
    );
}

#[test]
fn a_token_is_printed_once_and_its_name_is_taken() {
    let dir = place("log = { level = 'error' }");
    let create = ["token", "create", "--name", "x", "--role", "viewer"];
    let (status, out, err) = robotd(&dir, &create);
    assert_eq!(status, 0, "{err}");
    assert!(out.starts_with("rbt_") && out.lines().count() == 1, "{out}");
    let (status, _, err) = robotd(&dir, &create);
    assert_eq!(status, 73, "{err}");
    let (_, listed, _) = robotd(&dir, &["token", "list"]);
    assert!(
        listed.contains("viewer") && !listed.contains(out.trim()),
        "{listed}"
    );
    assert_eq!(robotd(&dir, &["token", "revoke", "x"]).0, 0);
    assert_eq!(robotd(&dir, &create).0, 0, "a withdrawn name is free");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let dir = place("");
    let mut child = command(&dir, &["openapi"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(
        ended.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}
