//! Events by NATS: each once whatever is killed, and what cannot be accepted is put aside with its reason.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer::Info};
use robotd::store::StoreConfig;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::database::{Database, on_both};
use crate::support::mute_proxy::MuteProxy;
use crate::support::nats_server::{NatsServer, PASSWORD, USER, publish};
use crate::support::node::{Node, POLL};

const LIMIT: Duration = Duration::from_secs(30);
/// Clients that publish while the server is away.
const CLIENTS: usize = 16;

/// Two robots listen to orders; they have no instances, so that what they are to do can be counted.
const LISTENERS: &str = r#"
    [[robot]]
    name = "custom.first"
    command = ["/bin/true"]
    events = ["order.*"]
    instances = 0

    [[robot]]
    name = "custom.second"
    command = ["/bin/true"]
    events = ["order.placed"]
    instances = 0
"#;

/// A node on `database` that listens to the server at `address`.
pub fn node_on(database: &Database, address: &str, robots: &str) -> Node {
    let toml =
        format!("nats_url = \"{address}\"\n[nats]\nack_wait = \"PT2S\"\nstream_mib = 64\n{robots}");
    let node = Node::new(&toml);
    match &database.config {
        StoreConfig::Sqlite { path } => node.on_database(&format!("sqlite://{}", path.display())),
        StoreConfig::Postgres { url, .. } => node.on_database(url),
    }
}

fn order(id: &str, data: Value) -> Vec<u8> {
    json!({"specversion": "1.0", "id": id, "source": "/shop/1", "type": "order.placed", "data": data})
        .to_string()
        .into_bytes()
}

/// The consumer of events as the server sees it, once robotd has made it.
async fn consumer(client: &jetstream::Context) -> Option<Info> {
    let stream = client.get_stream("ROBOTD_EVENTS").await.ok()?;
    stream.consumer_info("robotd").await.ok()
}

/// Waits until everything that was published is settled.
async fn until_settled(client: &jetstream::Context, node: &Node) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let info = consumer(client).await;
        if let Some(info) = &info
            && info.num_pending == 0
            && info.num_ack_pending == 0
        {
            return;
        }
        assert!(Instant::now() < deadline, "{info:?}\n{}", node.log());
        tokio::time::sleep(POLL).await;
    }
}

pub async fn until_health(node: &Node, wanted: &str) -> Value {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = reqwest::get(format!("{}/health", node.url()))
            .await
            .unwrap();
        let body: Value = answer.json().await.unwrap();
        if body["status"] == wanted {
            return body;
        }
        assert!(
            Instant::now() < deadline,
            "not {wanted}: {body:#}\n{}",
            node.log()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until `/health` gives a reason that says `wanted`.
pub async fn until_reason(node: &Node, wanted: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let told = until_health(node, "degraded").await["reasons"].to_string();
        if told.contains(wanted) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "not {wanted}: {told}\n{}",
            node.log()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// How many tasks each event made, by robot and the event's id.
async fn tasks_of_events(node: &Node) -> HashMap<(String, String), usize> {
    let mut found = HashMap::new();
    for robot in ["custom.first", "custom.second"] {
        for task in node.all(&format!("/tasks?robot={robot}")).await {
            let id = task["payload"]["id"].as_str().unwrap().to_owned();
            *found.entry((robot.to_owned(), id)).or_default() += 1;
        }
    }
    found
}

on_both!(
    good_events_are_tasks_once_and_bad_ones_dead_letters,
    a_kill_between_commit_and_acknowledgement_makes_no_second_task,
    a_server_that_is_away_costs_no_event_and_doubles_none,
);

async fn good_events_are_tasks_once_and_bad_ones_dead_letters(database: &Database) {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let client = server.client().await;
    let mut node = node_on(database, &server.url(), LISTENERS);
    node.start().await;
    until_health(&node, "ok").await;
    until_settled(&client, &node).await;

    let large = publish_good_and_bad(&client).await;
    until_settled(&client, &node).await;

    let found = tasks_of_events(&node).await;
    let wanted = ["custom.first", "custom.second"].iter().flat_map(|robot| {
        ["structured", "binary"].map(|id| ((robot.to_string(), id.to_owned()), 1))
    });
    assert_eq!(found, wanted.collect());
    let events = node.all("/events?source=/shop/1").await;
    let told = events.iter().find(|event| event["event"]["id"] == "binary");
    let mut told = told.unwrap()["event"].clone();
    told.as_object_mut().unwrap().remove("time");
    assert_eq!(
        told,
        json!({"specversion": "1.0", "id": "binary", "source": "/shop/1", "type": "order.placed",
            "subject": "café", "datacontenttype": "text/plain", "data": "hello"})
    );

    letters_say_why(&client, &large).await;
    assert!(!node.log().contains("private"), "{}", node.log());
    let stream = client.get_stream("ROBOTD_EVENTS").await.unwrap();
    assert_eq!(
        stream.cached_info().state.messages,
        0,
        "what is settled is gone"
    );
    node.stop().await;
}

/// Two events, one of them twice, and three messages that are none; answers the last.
async fn publish_good_and_bad(client: &jetstream::Context) -> Vec<u8> {
    let subject = "robotd.events.shop";
    publish(client, subject, &[], &order("structured", json!({"n": 1}))).await;
    // The same event under two ids of the broker: it cannot know.
    publish(
        client,
        subject,
        &[("Nats-Msg-Id", "a")],
        &order("structured", json!(2)),
    )
    .await;
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "binary"),
        ("ce-source", "/shop/1"),
        ("ce-type", "order.placed"),
        ("ce-subject", "caf%C3%A9"),
        ("content-type", "text/plain"),
    ];
    publish(client, subject, &binary, b"hello").await;
    publish(client, "robotd.events.other", &[], b"no JSON, and private").await;
    let nameless = json!({"specversion": "1.0", "id": "", "source": "/s", "type": "order.placed"});
    publish(client, subject, &[], nameless.to_string().as_bytes()).await;
    let large = order("large", json!("x".repeat(70_000)));
    publish(
        client,
        subject,
        &[("Content-Type", "application/cloudevents+json")],
        &large,
    )
    .await;
    large
}

/// What lies aside is there as it came, with the reason.
async fn letters_say_why(client: &jetstream::Context, large: &[u8]) {
    let letters = client.get_stream("ROBOTD_DEAD").await.unwrap();
    assert_eq!(letters.cached_info().state.messages, 3);
    let mut reasons = Vec::new();
    for sequence in 1..=3 {
        let letter = letters.get_raw_message(sequence).await.unwrap();
        let header = |headers: &HeaderMap, name: &str| headers.get(name).unwrap().to_string();
        reasons.push(header(&letter.headers, "Robotd-Reason"));
        let published = header(&letter.headers, "Robotd-Subject");
        assert_eq!(
            published.replace(".events.", ".dead."),
            letter.subject.to_string()
        );
        assert!(header(&letter.headers, "Robotd-Message").starts_with("ROBOTD_EVENTS:"));
        if sequence == 3 {
            assert_eq!(letter.payload, *large, "it can be read again as it was");
            assert_eq!(
                header(&letter.headers, "Content-Type"),
                "application/cloudevents+json"
            );
        }
    }
    reasons.sort();
    let told = [
        "`data`: the event may have 64 KiB",
        "`id`: must have 1 to 256",
        "the payload is not JSON (line 1",
    ];
    for (reason, told) in reasons.iter().zip(told) {
        assert!(reason.contains(told), "{reasons:?}");
    }
}

async fn a_kill_between_commit_and_acknowledgement_makes_no_second_task(database: &Database) {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let client = server.client().await;
    let proxy = MuteProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port))).await;
    let mut node = node_on(database, &format!("nats://{}", proxy.address), LISTENERS);
    node.start().await;
    let deadline = Instant::now() + LIMIT;
    while consumer(&client)
        .await
        .is_none_or(|info| info.num_waiting == 0)
    {
        assert!(Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(POLL).await;
    }
    proxy.set_mute(true);
    publish(&client, "robotd.events.shop", &[], &order("1", Value::Null)).await;
    node.until("/events?source=/shop/1", LIMIT, |page| {
        page["items"].as_array().unwrap().len() == 1
    })
    .await;
    node.kill();
    let info = consumer(&client).await.unwrap();
    assert_eq!(
        info.num_ack_pending, 1,
        "committed, and nobody told the server: {info:?}"
    );
    proxy.set_mute(false);
    node.start().await;
    until_settled(&client, &node).await;
    let info = consumer(&client).await.unwrap();
    assert!(
        info.delivered.consumer_sequence >= 2,
        "it was delivered again: {info:?}"
    );
    assert_eq!(node.all("/events?source=/shop/1").await.len(), 1);
    assert!(tasks_of_events(&node).await.into_values().eq([1, 1]));
    node.stop().await;
}

/// How long the server is away, and how many events are published around that.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration but their environment"
)]
fn outage() -> (Duration, usize) {
    let (seconds, events) = match std::env::var("ROBOTD_TEST_NATS_OUTAGE_SECONDS") {
        Ok(seconds) => (seconds.parse().unwrap(), 5_000),
        Err(_) => (3, 1_500),
    };
    (Duration::from_secs(seconds), events)
}

async fn a_server_that_is_away_costs_no_event_and_doubles_none(database: &Database) {
    let Some(mut server) = NatsServer::start() else {
        return;
    };
    let mut node = node_on(database, &server.url(), LISTENERS);
    node.start().await;
    until_health(&node, "ok").await;
    let client = server.client().await;
    let (away, events) = outage();
    let (next, tries) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, next, tries) = (server.client().await, Arc::clone(&next), Arc::clone(&tries));
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return;
                }
                let event = order(&number.to_string(), json!(number));
                // Without an id of the broker, so that what was stored and not heard of is there twice.
                let tried = publish(&client, "robotd.events.shop", &[], &event).await;
                tries.fetch_add(tried, Ordering::Relaxed);
            }
        });
    }
    while next.load(Ordering::Relaxed) < events / 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill();
    let gone = Instant::now();
    until_reason(&node, "NATS").await;
    while gone.elapsed() < away {
        tokio::time::sleep(POLL).await;
    }
    assert!(
        next.load(Ordering::Relaxed) < events,
        "the server was away while events were published"
    );
    server.resume();
    let back = Instant::now();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(
        tries.load(Ordering::Relaxed) > events,
        "some were published again"
    );
    until_settled(&client, &node).await;
    eprintln!(
        "{}: {events} events, published {} times, all stored {:?} after the server was back",
        database.name,
        tries.load(Ordering::Relaxed),
        back.elapsed()
    );
    until_health(&node, "ok").await;
    let found = tasks_of_events(&node).await;
    assert_eq!(
        found.len(),
        events * 2,
        "each event is a task of both robots"
    );
    assert!(found.values().all(|tasks| *tasks == 1), "and one of each");
    node.stop().await;
}

#[tokio::test]
async fn tls_and_a_password_are_spoken_and_the_password_told_to_nobody() {
    let Some(server) = NatsServer::start_guarded() else {
        return;
    };
    let ca = server.authority.as_ref().unwrap().ca.display();
    let toml = |password: &str| {
        format!(
            "[nats]\nuser = \"{USER}\"\npassword_file = \"{password}\"\nca_file = \"{ca}\"\nstream_mib = 64\n{LISTENERS}"
        )
    };
    let mut node = Node::new(&toml("password"))
        .with_variable("ROBOTD_NATS_URL", &server.url())
        .with_variable("ROBOTD_LOG_LEVEL", "trace");
    std::fs::write(node.path("password"), PASSWORD).unwrap();
    node.start().await;
    until_health(&node, "ok").await;
    let client = server.client().await;
    publish(&client, "robotd.events.shop", &[], &order("1", Value::Null)).await;
    until_settled(&client, &node).await;
    assert!(tasks_of_events(&node).await.into_values().eq([1, 1]));
    node.stop().await;

    std::fs::write(node.path("password"), "something-else").unwrap();
    node.start().await;
    until_reason(&node, "authorization violation").await;
    for secret in [PASSWORD, "something-else"] {
        assert!(!node.log().contains(secret));
    }
    node.kill();
}
