//! `robotd data`: a node moves from one database to another and goes on, and an import that is killed leaves nothing.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::store::make::{at, ground};
use crate::support::database::{Database, on_both};
use crate::support::node::Node;

on_both!(an_import_that_is_killed_leaves_an_empty_database);

const SECRET: &str = "moved-51c0ffee";

const ROBOTS: &str = r#"
    [[robot]]
    name = "custom.work"
    command = ["/bin/true"]
    instances = 4
"#;

/// Queued on the first database, run on the second.
const TASKS: usize = 40;

fn data(way: &str, file: &Path, data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotd"));
    command
        .args(["data", way])
        .arg(file)
        .arg("--data-dir")
        .arg(data_dir)
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Exit status, and what was said.
fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

async fn switch(node: &Node, enabled: bool) {
    let body = json!({"enabled": enabled});
    node.send(Method::PATCH, "/robots/custom.work", body).await;
}

async fn view(node: &Node, credential: &str) -> Value {
    let path = format!("/credentials/{credential}/view");
    let body = json!({"reason": "test"});
    node.send(Method::POST, &path, body).await["secret"].clone()
}

/// A node with a secret and work that waits; answers the credential.
async fn prepare(node: &Node) -> String {
    let device = json!({"hostname": "h", "address": "192.0.2.1"});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    let body =
        json!({"device": device, "username": "root", "automatic_change": false, "secret": SECRET});
    let credential = node.send(Method::POST, "/credentials", body).await;
    switch(node, false).await;
    let task = json!({"robot": "custom.work"});
    let tasks = json!({"tasks": vec![task; TASKS]});
    node.send(Method::POST, "/tasks/batch", tasks).await;
    credential["id"].as_str().unwrap().to_owned()
}

/// What the first node has beside its database.
fn copy(from: &Node, to: &Node, name: &str) {
    fs::create_dir_all(to.data_dir()).unwrap();
    fs::copy(from.data_dir().join(name), to.data_dir().join(name)).unwrap();
}

/// Exports beside the node that runs, then ends it; the file has no secret and is nobody else's.
async fn leave(node: &mut Node) -> PathBuf {
    let file = node.path("first.export");
    let (status, said) = run(&mut data("export", &file, &node.data_dir()));
    assert_eq!(status, 0, "{said}");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    for secret in [SECRET, &node.token()] {
        assert!(!text.contains(secret), "a secret is in the file");
    }
    let (status, said) = run(&mut data("export", &file, &node.data_dir()));
    assert_eq!(status, 73, "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "written over");
    node.stop().await;
    file
}

#[tokio::test]
async fn a_moved_database_goes_on() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let mut first = Node::new(ROBOTS);
    first.start().await;
    let credential = prepare(&first).await;
    let file = leave(&mut first).await;

    let url = database.url();
    let mut second = Node::new(ROBOTS).on_database(&url);
    let key = second.data_dir().join("master.key");
    let import = || {
        let mut command = data("import", &file, key.parent().unwrap());
        run(command.args(["--database-url", &url]))
    };
    let refused = |wanted: i32, says: &str| {
        let (status, said) = import();
        assert!(status == wanted && said.contains(says), "{status} {said}");
    };
    refused(78, "did not exist");
    fs::create_dir_all(second.data_dir()).unwrap();
    fs::write(&key, "00".repeat(32)).unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    refused(78, "is not the master key");
    copy(&first, &second, "master.key");
    copy(&first, &second, "admin.token");
    assert_eq!(import().0, 0);
    refused(69, "not empty");

    // The old token lets in, the secret opens, and what waited is done.
    second.start().await;
    assert_eq!(view(&second, &credential).await, SECRET);
    switch(&second, true).await;
    let done = "/tasks?robot=custom.work&status=succeeded";
    let all_done = |page: &Value| page["items"].as_array().unwrap().len() == TASKS;
    let page = format!("{done}&limit=500");
    second.until(&page, Duration::from_secs(30), all_done).await;
    refused(69, "another robotd");
    let back = second.path("second.export");
    let mut export = data("export", &back, &second.data_dir());
    let (status, said) = run(export.args(["--database-url", &url]));
    assert_eq!(status, 0, "{said}");
    second.stop().await;

    let mut third = Node::new(ROBOTS);
    copy(&first, &third, "master.key");
    copy(&first, &third, "admin.token");
    let (status, said) = run(&mut data("import", &back, &third.data_dir()));
    assert_eq!(status, 0, "{said}");
    third.start().await;
    assert_eq!(view(&third, &credential).await, SECRET);
    assert_eq!(third.all(done).await.len(), TASKS);
    third.stop().await;
}

#[test]
fn what_cannot_be_exported_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    let (status, said) = run(&mut data("export", &file, &folder.path().join("none")));
    assert!(
        status == 65 && said.contains("not even a table"),
        "{status} {said}"
    );
    assert!(!file.exists() && !folder.path().join("none").exists());
    let (status, said) = run(&mut data("import", &file, folder.path()));
    assert!(
        status == 73 && said.contains("No such file"),
        "{status} {said}"
    );
    fs::write(&file, "no export\n").unwrap();
    let (status, said) = run(&mut data("import", &file, folder.path()));
    assert!(
        status == 65 && said.contains("not an export"),
        "{status} {said}"
    );
    assert!(
        !folder.path().join("robotd.db").exists(),
        "a bad file makes no database"
    );
}

/// Rows of the file that is imported in part, and the length of each: 9 MiB.
const ROWS: u32 = 2_250;
const ROW_BYTES: usize = 4_096;
/// By how much an import may grow, in KiB, from a third of the file to nine tenths: less than what it read meanwhile.
const GROWTH_MAX: u64 = 3 * 1_024;

/// Peak memory of a process in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let mut words = line.unwrap().split_whitespace();
    words.nth(1).unwrap().parse().unwrap()
}

async fn an_import_that_is_killed_leaves_an_empty_database(database: &Database) {
    let folder = tempfile::tempdir().unwrap();
    let source = Database::sqlite().await;
    let (_, node) = ground(&source.store).await;
    let filled = source.store.bench_fill_finished(node, ROWS, at(0), 1_000);
    filled.await.unwrap();
    let long = format!("UPDATE tasks_done SET payload = printf('%.{ROW_BYTES}c', 'x')");
    source.sql(&long).await;
    let file = folder.path().join("export");
    let out = Box::new(fs::File::create(&file).unwrap());
    source.store.export(out, at(1)).await.unwrap();

    // Through a pipe, so that it is known how far the import has come: the pipe itself holds 64 KiB.
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let import = |file: &Path| {
        let mut command = data("import", file, folder.path());
        command.args(["--database-url", &database.url()]);
        command
    };
    let mut child = import(&pipe)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let bytes = fs::read(&file).unwrap();
    let mut into = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let (third, most) = (bytes.len() / 3, bytes.len() * 9 / 10);
    into.write_all(&bytes[..third]).unwrap();
    let begun = peak(child.id());
    into.write_all(&bytes[third..most]).unwrap();
    let grown = peak(child.id()) - begun;
    // SQLite keeps pages in a cache of 16 MiB, which this file does not fill.
    assert!(
        database.name == "sqlite" || grown < GROWTH_MAX,
        "by {grown} KiB"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    drop(into);
    assert_eq!(database.number("SELECT count(*) FROM robots").await, 0);
    assert_eq!(database.number("SELECT count(*) FROM tasks_done").await, 0);

    let (status, said) = run(&mut import(&file));
    assert_eq!(status, 0, "{said}");
    let rows = database.number("SELECT count(*) FROM tasks_done").await;
    assert_eq!(rows, i64::from(ROWS));
}
