//! A node seals secrets anew in the background, over its own death, until the old key can go.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::robot::inventory::{By, Inventory, NewItem};
use robotd::robot::registry::Registry;
use robotd::robot::safe::Safe;
use robotd::vault::MasterKey;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both};
use crate::support::node::{Node, POLL};

on_both!(an_old_key_is_emptied_over_a_death_and_goes);

const LIMIT: Duration = Duration::from_secs(40);

fn vault(node: &Node, url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robotd"))
        .arg("vault")
        .args(arguments)
        .args(["--database-url", url, "--data-dir"])
        .arg(node.data_dir())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Puts credentials with the secrets `s0` and so on into the database of a node that is down.
async fn fill(database: &Database, node: &Node, count: usize) -> Vec<InventoryId> {
    let master = MasterKey::read(&node.data_dir()).unwrap();
    let store = database.open_again().await;
    let safe = Safe::open(store.clone(), &master, SystemClock.now())
        .await
        .unwrap();
    let inventory = Inventory::new(store, safe, Arc::new(Registry::default()));
    let by = By {
        actor: "ana",
        now: SystemClock.now(),
    };
    let item = |body: Value, secret: Option<String>| NewItem {
        fields: body.as_object().unwrap().clone(),
        secret: secret.map(Into::into),
    };
    let device = item(json!({"hostname": "h", "address": "192.0.2.1"}), None);
    let device = inventory.create(Noun::Device, vec![device], by).await;
    let device = device.unwrap()[0].id;
    let credential = |number| {
        let username = format!("u{number}");
        let body = json!({"device": device, "username": username, "automatic_change": false});
        item(body, Some(format!("s{number}")))
    };
    let mut ids = Vec::new();
    for first in (0..count).step_by(500) {
        let batch = (first..first + 500).map(credential).collect();
        let made = inventory.create(Noun::Credential, batch, by).await.unwrap();
        ids.extend(made.into_iter().map(|item| item.id));
    }
    ids
}

async fn under(database: &Database, key: i64) -> i64 {
    let count = format!("SELECT count(*) FROM secret_versions WHERE key_id = {key}");
    database.number(&count).await
}

async fn an_old_key_is_emptied_over_a_death_and_goes(database: &Database) {
    let url = database.url();
    let mut node = Node::new("").on_database(&url);
    node.start().await;
    node.stop().await;
    // Several batches; each statement on a server takes its time.
    let many = match database.name {
        "sqlite" => 1_500,
        _ => 500,
    };
    let ids = fill(database, &node, many).await;
    let begun = vault(&node, &url, &["rotate-key", "--background"]);
    let said = String::from_utf8_lossy(&begun.stdout);
    assert!(said.contains(&format!("{many} secrets are left")), "{said}");
    assert_eq!(under(database, 1).await, i64::try_from(many).unwrap());

    // Killed with the first batches on disk.
    node.spawn();
    let deadline = Instant::now() + LIMIT;
    while under(database, 2).await == 0 {
        assert!(Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(POLL).await;
    }
    node.kill();
    let (old, new) = (under(database, 1).await, under(database, 2).await);
    assert!(
        old > 0 && new > 0,
        "{old} under the old key, {new} under the new one"
    );
    let early = vault(&node, &url, &["remove-key", "1"]);
    assert_eq!(early.status.code(), Some(1), "{early:?}");
    assert!(String::from_utf8_lossy(&early.stderr).contains("goes on"));

    node.start().await;
    let shown = async |node: &Node, number: usize| {
        let path = format!("/credentials/{}/view", ids[number]);
        let shown = node.send(Method::POST, &path, json!({})).await;
        assert_eq!(shown["secret"], format!("s{number}"));
    };
    for number in [0, many - 1] {
        shown(&node, number).await;
    }
    let deadline = Instant::now() + LIMIT;
    let unfinished = "SELECT count(*) FROM vault_keys WHERE finished_at IS NULL";
    while database.number(unfinished).await > 0 {
        assert!(Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(POLL).await;
    }
    let figures = reqwest::get(format!("{}/metrics", node.url())).await;
    let figures = figures.unwrap().text().await.unwrap();
    assert!(figures.contains("robotd_vault_seals_left 0\n"), "{figures}");
    let keys = vault(&node, &url, &["keys"]);
    let keys = String::from_utf8_lossy(&keys.stdout).into_owned();
    let last = |line: &str| line.split_whitespace().next_back().unwrap().to_owned();
    let seals: Vec<String> = keys.lines().skip(1).map(last).collect();
    assert_eq!(seals, ["0".to_owned(), many.to_string()], "{keys}");
    let removed = vault(&node, &url, &["remove-key", "1"]);
    assert!(removed.status.success(), "{removed:?}");
    node.stop().await;
    node.start().await;
    for number in [0, many - 1] {
        shown(&node, number).await;
    }
    node.stop().await;
}
