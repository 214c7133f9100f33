//! A node is killed in the middle of a publication: the service shows the old certificate or the new one, and the next node
//! finishes.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::node::{Node, POLL};
use crate::support::web_machine::{ACCOUNT, NAME, WebMachine, hanging, is_one_pair};

const PASSWORD: &str = "Right-Horse-7";
const LIMIT: Duration = Duration::from_secs(40);

/// What stands between a certificate and its service.
async fn bound(node: &Node, machine: &WebMachine) -> String {
    let made =
        async |noun: &str, body: Value| node.send(Method::POST, noun, body).await["id"].clone();
    let key = machine.sshd.host_key("ed25519").fingerprint;
    let way = json!({"protocol": "ssh", "port": machine.sshd.port, "host_key": key});
    let device = json!({"hostname": "h", "address": "127.0.0.1", "connectivities": [way]});
    let device = made("/devices", device).await;
    let account = json!({"device": device, "username": ACCOUNT, "automatic_change": false, "secret": PASSWORD});
    let account = made("/credentials", account).await;
    let issuer = made(
        "/certificate-issuers",
        json!({"name": "Ours", "kind": "internal", "lifetime": "P90D"}),
    )
    .await;
    let path = format!("/certificate-issuers/{}/key", issuer.as_str().unwrap());
    node.send(Method::POST, &path, json!({})).await;
    let first = made("/certificates", json!({"certificate": machine.pem})).await;
    let automation =
        json!({"name": "www", "issuer": issuer, "certificate": first, "names": [NAME]});
    let automation = made("/certificate-automations", automation).await;
    let command =
        |name: &str, action: &[&str]| hanging(&machine.sshd, name, &machine.nginx.command(action));
    let binding = json!({
        "name": "nginx", "automation": automation, "credential": account, "directory": machine.directory,
        "port": machine.nginx.port, "test": command("test", &["-t", "-q"]), "reload": command("reload", &["-s", "reload"]),
    });
    made("/certificate-bindings", binding).await;
    automation.as_str().unwrap().to_owned()
}

/// Kills the node when the machine hangs in this command of the binding.
async fn kill_at(command: &str, node: &mut Node, machine: &WebMachine, automation: &str) {
    let [hang, reached] =
        ["hang", "reached"].map(|end| machine.sshd.open_file(&format!("{command}.{end}")));
    std::fs::write(&hang, "").unwrap();
    let path = format!("/certificate-automations/{automation}/renew");
    node.send(Method::POST, &path, json!({})).await;
    let deadline = Instant::now() + LIMIT;
    while !reached.exists() {
        assert!(Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(POLL).await;
    }
    node.kill();
    std::fs::remove_file(hang).unwrap();
    std::fs::remove_file(reached).unwrap();
}

/// The serial number of the certificate in force.
async fn in_force(node: &Node, automation: &str) -> Value {
    let path = format!("/certificate-automations/{automation}");
    let current = node.get(&path).await["current"].clone();
    let path = format!("/certificates/{}", current.as_str().unwrap());
    node.get(&path).await["serial"].clone()
}

#[tokio::test]
async fn a_node_that_is_killed_in_a_publication_leaves_one_certificate_served() {
    let now = SystemClock.now();
    let life = (now - TimeDelta::days(60), now + TimeDelta::days(5));
    let Some(machine) = WebMachine::start(life, PASSWORD) else {
        return;
    };
    let database = Database::sqlite().await;
    let mut node = Node::new("").on_database(&database.url());
    node.start().await;
    let automation = bound(&node, &machine).await;
    let mut served = json!(machine.nginx.serial());
    for command in ["test", "reload"] {
        kill_at(command, &mut node, &machine, &automation).await;
        let shown = machine.nginx.serial();
        assert_eq!(shown, served, "{command}: it goes on showing what it has");
        assert!(is_one_pair(&machine.sshd, &machine.directory), "{command}");
        // As if the time had passed for which a sign-in counts that may have been refused.
        database.sql("UPDATE sign_in_tries SET at = 0").await;
        node.start().await;
        // Not merely another one: for a moment nobody may answer.
        let deadline = Instant::now() + LIMIT;
        let renewed = in_force(&node, &automation).await;
        while machine.nginx.serial() != renewed {
            assert!(Instant::now() < deadline, "{command}: {}", node.log());
            tokio::time::sleep(POLL).await;
        }
        assert_ne!(renewed, served, "{command}");
        served = renewed;
        assert!(is_one_pair(&machine.sshd, &machine.directory), "{command}");
    }
    node.stop().await;
}
