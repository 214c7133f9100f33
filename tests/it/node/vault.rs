//! The vault of a whole node: secrets go in by HTTP, come out by `view`, and are nowhere else; its key changes while
//! the node runs, and a change that is killed goes on.

use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::node::Node;

const SECRETS: [&str; 3] = [
    "vault-one-51c0ffee",
    "vault-two-51c0ffee",
    "vault-three-51c0ffee",
];

/// Enough that a rotation takes several batches.
const MANY: usize = 700;

fn rotate(node: &Node) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotd"));
    command
        .args(["vault", "rotate-key", "--data-dir"])
        .arg(node.data_dir())
        .stdin(Stdio::null());
    command
}

async fn credential(node: &Node, device: &Value, username: &str, secret: &str) -> String {
    let body = json!({"device": device, "username": username, "automatic_change": false, "secret": secret});
    let made = node.send(Method::POST, "/credentials", body).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn view(node: &Node, id: &str) -> Value {
    let path = format!("/credentials/{id}/view");
    let shown = node
        .send(Method::POST, &path, json!({"reason": "test"}))
        .await;
    shown["secret"].clone()
}

#[tokio::test]
async fn secrets_are_shown_by_view_and_lie_nowhere() {
    let mut node = Node::new("log.level = \"trace\"");
    node.start().await;
    let device = json!({"hostname": "h", "address": "192.0.2.1"});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    let id = credential(&node, &device, "root", SECRETS[0]).await;
    assert_eq!(view(&node, &id).await, SECRETS[0]);
    let path = format!("/credentials/{id}");
    node.send(Method::PATCH, &path, json!({"secret": SECRETS[1]}))
        .await;
    assert_eq!(view(&node, &id).await, SECRETS[1]);
    // A refusal of a body that holds a secret.
    let bad = json!({"secret": SECRETS[2], "username": ""});
    let refused = node
        .request(Method::PATCH, &path)
        .json(&bad)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 422);
    let mut seen = vec![refused.text().await.unwrap(), node.output()];
    for list in [
        "/credentials",
        "/audit",
        "/events",
        "/tasks",
        "/processes",
        "/devices",
    ] {
        seen.push(Value::from(node.all(list).await).to_string());
    }
    node.stop().await;
    seen.push(node.log());
    for file in std::fs::read_dir(node.data_dir()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        seen.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    for secret in SECRETS {
        assert!(seen.iter().all(|text| !text.contains(secret)), "{secret}");
    }
}

#[tokio::test]
async fn the_key_changes_beside_a_running_node_and_a_killed_change_goes_on() {
    let mut node = Node::new("");
    node.start().await;
    let device = json!({"hostname": "h", "address": "192.0.2.1"});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    let mut ids = Vec::new();
    for number in 0..MANY {
        ids.push(credential(&node, &device, &format!("u{number}"), &format!("s{number}")).await);
    }
    // Killed at instants from before its first step to after its last: the delays are what is tried, nothing is awaited by them.
    for step in 0..6_u64 {
        let mut child = rotate(&node)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(15 * step)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let last = ids.len() - 1;
        assert_eq!(view(&node, &ids[last]).await, format!("s{last}"));
    }
    let output = rotate(&node).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("seals now"), "{said}");
    // The node has not been told: it finds the new key where it needs it.
    let new = credential(&node, &device, "late", "s-late").await;
    assert_eq!(view(&node, &new).await, "s-late");
    for (number, id) in ids.iter().enumerate().step_by(50) {
        assert_eq!(view(&node, id).await, format!("s{number}"));
    }
    node.stop().await;
    let output = rotate(&node).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains(&format!("{} secrets were sealed anew", MANY + 1)),
        "{said}"
    );
}
