//! A node that dies with an operation in hand: whoever takes its place does it at once, not when a lease is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::node::Node;
use crate::support::postgres_server::PostgresServer;

const OLD: &str = "Old-Horse-51c0ffee";
/// The silence after which a node is dead is 15 s; the lease of an operation is 15 minutes.
const LIMIT: Duration = Duration::from_secs(15);

/// A way to a server that swallows everything until it is opened; answers its port and its handle.
async fn gate(server: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&open);
    tokio::runtime::Handle::current().spawn(async move {
        let mut passing = JoinSet::new();
        let mut swallowed = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            if shared.load(Ordering::SeqCst) {
                let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                passing.spawn(async move {
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            } else {
                swallowed.push(client);
            }
        }
    });
    (port, open)
}

#[tokio::test]
async fn an_operation_outlives_its_node_and_is_done_at_once() {
    let roles = ["ana".to_owned()];
    let Some(server) = PostgresServer::start_with_roles(&roles, OLD).await else {
        return;
    };
    let (port, open) = gate(server.port()).await;
    let mut node = Node::new("");
    node.start().await;
    let device = json!({"hostname": "db", "address": "127.0.0.1",
        "connectivities": [{"protocol": "postgresql", "port": port}]});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    let body =
        json!({"device": device, "username": "ana", "automatic_change": true, "secret": OLD});
    let credential = node.send(Method::POST, "/credentials", body).await["id"].clone();
    let order = json!({"kind": "test", "credential": credential});
    let operation = node.send(Method::POST, "/operations", order).await;
    let path = format!("/operations/{}", operation["id"].as_str().unwrap());
    node.until(&path, LIMIT, |found| found["state"] == "running")
        .await;

    node.kill();
    open.store(true, Ordering::SeqCst);
    node.start().await;
    let began = Instant::now();
    let done = node
        .until(&path, LIMIT, |found| found["state"] == "succeeded")
        .await;
    println!("taken up and done in {:?}", began.elapsed());
    assert_eq!(done["attempts"], 2, "{done:#}");
    assert_eq!(
        done["history"][0]["error_class"], "executor_lost",
        "{done:#}"
    );
    node.stop().await;
}
