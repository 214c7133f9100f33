//! The master key of a database is replaced: whatever is cut off, one key opens everything and the other one nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::robot::safe::{Safe, SafeError};
use robotd::store::StoreError;
use robotd::vault::{MasterKey, SealError};
use serde_json::{Value, json};

use crate::support::database::{Database, on_both};
use crate::support::node::Node;

on_both!(
    another_master_key_takes_over_whole_or_not_at_all,
    a_key_that_is_made_meanwhile_is_never_left_behind,
);

const SECRET: &str = "Right-Horse-7";
/// Kills of the command, each a little later: from before its first step to after its last.
const KILLS: u64 = 4;
const STEP: Duration = Duration::from_millis(50);

fn vault(node: &Node, url: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotd"));
    command
        .arg("vault")
        .args(words)
        .args(["--database-url", url, "--data-dir"])
        .arg(node.data_dir())
        .stdin(Stdio::null());
    command
}

fn change(node: &Node, url: &str, file: Option<&Path>) -> Output {
    let mut command = vault(node, url, &["change-master-key"]);
    if let Some(file) = file {
        command.arg("--new-key-file").arg(file);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn key_file(node: &Node, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = node.path(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn check(path: &Path) -> String {
    MasterKey::read_file(path).unwrap().check_value()
}

/// A started node shows the secret: its master key opens a data key that opens it.
async fn opens(node: &mut Node, credential: &Value) {
    node.start().await;
    let path = format!("/credentials/{}/view", credential.as_str().unwrap());
    let shown = node.send(Method::POST, &path, json!({})).await;
    assert_eq!(shown["secret"], SECRET);
    node.stop().await;
}

async fn another_master_key_takes_over_whole_or_not_at_all(database: &Database) {
    let url = database.url();
    let mut node = Node::new("").on_database(&url);
    node.start().await;
    let device = json!({"hostname": "h", "address": "192.0.2.1"});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    let body =
        json!({"device": device, "username": "u", "automatic_change": false, "secret": SECRET});
    let credential = node.send(Method::POST, "/credentials", body).await["id"].clone();
    // A node holds the keys that it has read: nobody takes them away from it.
    let refused = change(&node, &url, None);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(
        said(&refused).contains("stop all nodes first"),
        "{}",
        said(&refused)
    );
    node.stop().await;
    assert!(
        vault(&node, &url, &["rotate-key"])
            .output()
            .unwrap()
            .status
            .success()
    );

    let first = MasterKey::path_in(&node.data_dir());
    let before = check(&first);
    what_is_no_other_key_is_refused(&node, &url, &first);
    let next = "0123456789abcdef".repeat(4);
    let file = key_file(&node, "next", &next, 0o600);
    let changed = change(&node, &url, Some(&file));
    assert!(changed.status.success(), "{}", said(&changed));
    assert!(said(&changed).contains("2 data keys"), "{}", said(&changed));
    assert_eq!(check(&first), check(&file));
    opens(&mut node, &credential).await;
    let former = node
        .data_dir()
        .join(format!("master.key.old-{}", before.get(..8).unwrap()));
    assert_eq!(check(&former), before);
    the_former_key_opens_nothing(database, &node, &url, &former).await;

    // Cut off when the database has the new key and the directory has not: the next start goes on.
    let behind = key_file(&node, "data/master.key.new", &next, 0o600);
    std::fs::copy(&former, &first).unwrap();
    opens(&mut node, &credential).await;
    assert_eq!(check(&first), check(&file));
    assert!(!behind.exists());
    killed_at_any_instant_one_key_fits(&node, &url).await;
    opens(&mut node, &credential).await;
    let audited = "SELECT count(*) FROM audit_trail WHERE action = 'vault.change_master_key'";
    assert!(database.number(audited).await >= 1);
}

fn what_is_no_other_key_is_refused(node: &Node, url: &str, first: &Path) {
    let (text, before) = (std::fs::read_to_string(first).unwrap(), check(first));
    for (name, words, mode, reason) in [
        ("short", "00", 0o600, "64 hexadecimal digits"),
        ("open", &"00".repeat(32), 0o644, "chmod 600"),
        ("same", &text, 0o600, "the one in force"),
    ] {
        let file = key_file(node, name, words, mode);
        let refused = change(node, url, Some(&file));
        assert!(
            said(&refused).contains(reason),
            "{name}: {}",
            said(&refused)
        );
        assert!(
            !refused.status.success() && check(first) == before,
            "{name}"
        );
    }
}

async fn killed_at_any_instant_one_key_fits(node: &Node, url: &str) {
    for number in 0..KILLS {
        let mut child = vault(node, url, &["change-master-key"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // What is tried is the delay; nothing is awaited by it.
        tokio::time::sleep(STEP * u32::try_from(number).unwrap()).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = vault(node, url, &["keys"]).output().unwrap();
        assert!(listed.status.success(), "{number}: {}", said(&listed));
    }
}

async fn the_former_key_opens_nothing(database: &Database, node: &Node, url: &str, former: &Path) {
    let key = MasterKey::read_file(former).unwrap();
    let store = database.open_again().await;
    let error = Safe::open(store, &key, SystemClock.now())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SafeError::Seal(SealError::Broken)),
        "{error}"
    );
    let first = MasterKey::path_in(&node.data_dir());
    let text = std::fs::read(&first).unwrap();
    std::fs::copy(former, &first).unwrap();
    let refused = vault(node, url, &["keys"]).output().unwrap();
    let words = said(&refused);
    assert!(!refused.status.success(), "{words}");
    assert!(
        words.contains("is not the master key of this database"),
        "{words}"
    );
    std::fs::write(&first, text).unwrap();
}

/// Beside a change of the master key another command may make a data key: one of the two is refused.
async fn a_key_that_is_made_meanwhile_is_never_left_behind(database: &Database) {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [old, new] = folders
        .each_ref()
        .map(|folder| MasterKey::create(folder.path()).unwrap());
    let (store, now) = (&database.store, SystemClock.now());
    store.key_check_set(&old.check_value()).await.unwrap();
    let safe = Safe::open(store.clone(), &old, now).await.unwrap();
    let (changed, begun) = tokio::join!(
        Safe::change_master_key(store, (&old, &new), now),
        safe.begin_rotation(now),
    );
    let one_is_refused = matches!(
        (&changed, &begun),
        (Ok(1), Err(SafeError::Seal(SealError::Broken)))
            | (Ok(2), Ok(_))
            | (Err(SafeError::Store(StoreError::Conflict { .. })), Ok(_))
    );
    assert!(one_is_refused, "{changed:?} {begun:?}");
    let in_force = if changed.is_ok() { &new } else { &old };
    Safe::open(store.clone(), in_force, now).await.unwrap();
    let late = safe.begin_rotation(now).await;
    assert_eq!(late.is_err(), changed.is_ok(), "{late:?}");
    Safe::open(store.clone(), in_force, now).await.unwrap();
}
