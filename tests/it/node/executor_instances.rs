//! The executor uses its instances: what is ordered at once is worked on at once, and an account by one of them at a time.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::gate::Gate;
use crate::support::node::Node;
use crate::support::sshd::Sshd;

const OLD: &str = "Right-Horse-7";
const EXECUTOR: &str = "operations.operation_executor";
/// As many as the catalogue gives the robot.
const INSTANCES: usize = 4;
/// No longer than a target that does not answer is waited for.
const LIMIT: Duration = Duration::from_secs(40);

#[tokio::test]
async fn slow_targets_are_worked_on_at_the_same_time_and_an_account_by_one_at_a_time() {
    let Some(sshd) = Sshd::start() else { return };
    let server = SocketAddr::from(([127, 0, 0, 1], sshd.port));
    // Nobody gets through before four are there: fewer instances would wait in vain.
    let gate = Gate::start(server, INSTANCES).await;
    let mut node = Node::new("");
    node.start().await;
    let robot = format!("/robots/{EXECUTOR}");
    // The others would ask the machine too.
    for robot in [
        robot.as_str(),
        "/robots/operations.connectivity_test",
        "/robots/operations.password_reconciliation",
    ] {
        node.send(Method::PATCH, robot, json!({"enabled": false}))
            .await;
    }
    let key = sshd.host_key("ed25519").fingerprint;
    let device = json!({"hostname": "h", "address": "127.0.0.1",
        "connectivities": [{"protocol": "ssh", "port": gate.port, "host_key": key}]});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    let mut ids = Vec::new();
    for name in ["ana", "bob", "eve", "joe"] {
        sshd.add_account(name, OLD);
        let body =
            json!({"device": device, "username": name, "automatic_change": true, "secret": OLD});
        let made = node.send(Method::POST, "/credentials", body).await;
        ids.push(made["id"].clone());
    }
    let order = async |kind: &str, credential: &Value| {
        let body = json!({"kind": kind, "credential": credential});
        node.send(Method::POST, "/operations", body).await["id"].clone()
    };
    let mut of_one = Vec::new();
    for kind in ["reconcile", "change_password", "test"] {
        of_one.push(order(kind, &ids[0]).await);
    }
    for id in &ids[1..] {
        order("test", id).await;
    }
    // All orders together have made one task.
    let waiting = node.all(&format!("/tasks?robot={EXECUTOR}")).await;
    let waiting = waiting.iter().filter(|task| task["status"] == "queued");
    assert_eq!(waiting.count(), 1);
    node.send(Method::PATCH, &robot, json!({"enabled": true}))
        .await;
    let done = "/operations?state=succeeded&limit=500";
    let all = of_one.len() + ids.len() - 1;
    node.until(done, LIMIT, |page| {
        page["items"].as_array().map(Vec::len) == Some(all)
    })
    .await;

    let mut last_end = DateTime::UNIX_EPOCH;
    for id in of_one {
        let path = format!("/operations/{}", id.as_str().unwrap());
        let shown = node.get(&path).await;
        let [attempt] = shown["history"].as_array().unwrap().as_slice() else {
            panic!("one attempt: {shown}")
        };
        let at =
            |moment: &str| -> DateTime<Utc> { attempt[moment].as_str().unwrap().parse().unwrap() };
        assert!(last_end <= at("started_at"), "{shown}: after {last_end}");
        last_end = at("ended_at");
    }
    node.stop().await;
}
