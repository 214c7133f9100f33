//! What a page reads does not grow with what is behind it: blocks of the database by statement, over few rows and over many.
//!
//! `robotd bench pages` has the times.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::id::NodeId;
use robotd::store::{Store, StoreConfig};
use serde_json::json;
use tokio_postgres::NoTls;

use super::rig::Visitor;
use crate::support::counterpart::PATIENCE;
use crate::support::node::Node;
use crate::support::postgres_server::PostgresServer;

/// Finished tasks with their processes, and as many ticks and entries of the audit trail, at first.
const FEW: u32 = 2_000;
/// Those that come then.
const MORE: u32 = 12_000;
/// Blocks that a statement may read more of then: a level of an index for each of its searches, beside half as much again.
const BLOCKS_MORE: f64 = 30.0;

/// Not those by outcome: whether it walks over the newest rows or sorts those of the outcome the server decides by how many there
/// are.
const PAGES: [&str; 10] = [
    "/",
    "/robots",
    "/robots/mail.email_sender",
    "/executions",
    "/tasks",
    "/tasks?robot=mail.email_sender",
    "/processes",
    "/ticks",
    "/ticks?robot=mail.email_sender",
    "/audit",
];

#[tokio::test]
async fn what_a_page_reads_does_not_grow_with_what_is_behind_it() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let rules = "host all all 127.0.0.1/32 trust\n";
    let counting = "shared_preload_libraries = 'pg_stat_statements'\n";
    server.reconfigure(counting, rules, &[]);
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    client
        .batch_execute("CREATE EXTENSION pg_stat_statements")
        .await
        .unwrap();
    let mut node = Node::new("").on_database(&server.url());
    node.start().await;
    nothing_else_runs(&node).await;
    let config = StoreConfig::Postgres {
        url: server.url(),
        connections: 2,
    };
    let store = Store::open(config.clone()).await.unwrap();
    let visitor = Visitor::signed_in(&node, &node.token()).await;

    let mut read = Vec::new();
    for (count, hours) in [(FEW, 22), (MORE, 12)] {
        fill(&store, count, hours).await;
        let config = config.clone();
        let settled = tokio::task::spawn_blocking(move || config.settle());
        settled.await.unwrap().unwrap();
        client
            .execute("SELECT pg_stat_statements_reset()", &[])
            .await
            .unwrap();
        for page in PAGES {
            assert_eq!(visitor.get(page).await.status(), 200, "{page}");
        }
        read.push(blocks(&client).await);
    }
    let grown: Vec<_> = read[1]
        .iter()
        .filter_map(|(statement, after)| {
            let before = read[0].get(statement)?;
            let grown = *after > before * 1.5 + BLOCKS_MORE;
            grown.then(|| format!("{before} then {after} blocks: {statement}"))
        })
        .collect();
    assert!(grown.is_empty(), "{}", grown.join("\n"));
    for noun in ["tasks_done", "ticks", "audit"] {
        let asked = read[1].keys().any(|statement| statement.contains(noun));
        assert!(asked, "nothing asked for {noun}");
    }
}

/// Robots of the catalogue count days and queues by themselves.
async fn nothing_else_runs(node: &Node) {
    for robot in node.all("/robots").await {
        let path = format!("/robots/{}", robot["name"].as_str().unwrap());
        node.send(Method::PATCH, &path, json!({"enabled": false}))
            .await;
    }
    let none = |page: &serde_json::Value| page["items"].as_array().unwrap().is_empty();
    node.until("/executions", PATIENCE, none).await;
}

/// Rows of some hours that began `hours` ago: of the last day, and not of the last hour, whose runs are counted by design.
async fn fill(store: &Store, count: u32, hours: i64) {
    let from = SystemClock.now() - TimeDelta::hours(hours);
    let step = 9 * 3_600_000_000 / i64::from(count);
    let node = NodeId(1);
    store
        .bench_fill_finished(node, count, from, step)
        .await
        .unwrap();
    store
        .bench_fill_ticks(node, count, from, step)
        .await
        .unwrap();
    store.bench_fill_audit(count, from, step).await.unwrap();
}

/// Blocks that one call of each statement has read so far, in the mean.
async fn blocks(client: &tokio_postgres::Client) -> BTreeMap<String, f64> {
    let rows = client
        .query(
            "SELECT query, (sum(shared_blks_hit + shared_blks_read) / sum(calls))::float8 FROM pg_stat_statements \
             WHERE query NOT ILIKE '%vacuum%' AND query NOT ILIKE '%pg_stat%' GROUP BY query",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
