//! Changes by NATS: each with its id, those of a thing in their order, none lost whatever is killed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::nats::{node_on, until_health, until_reason};
use crate::support::database::{Database, on_both};
use crate::support::nats_server::NatsServer;
use crate::support::node::{Node, POLL};

const LIMIT: Duration = Duration::from_secs(60);
/// Tasks registered at a time.
const BATCH: usize = 40;

const WORK: &str = r#"
    [[robot]]
    name = "custom.work"
    command = ["/bin/true"]
    instances = 4
"#;

/// A change as its readers see it.
#[derive(Debug)]
struct Told {
    subject: String,
    id: String,
    event: Value,
}

/// All that the stream of changes has, in its order.
async fn told(client: &jetstream::Context) -> Vec<Told> {
    let stream = client.get_stream("ROBOTD_CHANGES").await.unwrap();
    let count = usize::try_from(stream.cached_info().state.messages).unwrap();
    let consumer = stream
        .create_consumer(jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap().take(count);
    let mut all = Vec::with_capacity(count);
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        let headers = message.headers.as_ref().unwrap();
        all.push(Told {
            subject: message.subject.to_string(),
            id: headers.get("Nats-Msg-Id").unwrap().to_string(),
            event: serde_json::from_slice(&message.payload).unwrap(),
        });
    }
    all
}

/// What was told of each task, in order.
fn of_tasks(told: &[Told]) -> BTreeMap<String, Vec<String>> {
    let mut of = BTreeMap::<_, Vec<_>>::new();
    for change in told
        .iter()
        .filter(|told| told.event["type"] == "task.changed")
    {
        let data = &change.event["data"];
        if data["robot"] == "custom.work" {
            let text = |key: &str| data[key].as_str().unwrap().to_owned();
            of.entry(text("id")).or_default().push(text("status"));
        }
    }
    of
}

async fn register(node: &Node) {
    let task = json!({"robot": "custom.work", "max_attempts": 20});
    let tasks = json!({"tasks": vec![task; BATCH]});
    node.send(Method::POST, "/tasks/batch", tasks).await;
}

async fn until_all_succeeded(node: &Node) {
    for status in ["queued", "scheduled", "running", "queued"] {
        let path = format!("/tasks?robot=custom.work&status={status}&limit=1");
        node.until(&path, LIMIT, |page| {
            page["items"].as_array().unwrap().is_empty()
        })
        .await;
    }
}

async fn until_published(database: &Database, node: &Node) {
    let deadline = Instant::now() + LIMIT;
    while database.number("SELECT count(*) FROM change_outbox").await > 0 {
        assert!(Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(POLL).await;
    }
}

on_both!(changes_arrive_in_order_and_none_is_lost_over_kills_of_both_sides);

async fn changes_arrive_in_order_and_none_is_lost_over_kills_of_both_sides(database: &Database) {
    let Some(mut server) = NatsServer::start() else {
        return;
    };
    let mut node = node_on(database, &server.url(), WORK);
    node.start().await;
    until_health(&node, "ok").await;
    register(&node).await;
    // In the middle of it.
    node.until(
        "/tasks?robot=custom.work&status=succeeded&limit=1",
        LIMIT,
        |page| !page["items"].as_array().unwrap().is_empty(),
    )
    .await;
    node.kill();
    node.start().await;
    register(&node).await;
    server.kill();
    register(&node).await;
    until_all_succeeded(&node).await;
    let waiting = database.number("SELECT count(*) FROM change_outbox").await;
    assert!(waiting > 0, "changes wait while the server is away");
    let path = "/robots/custom.work";
    node.send(Method::PATCH, path, json!({"instances": 2}))
        .await;
    server.resume();
    until_published(database, &node).await;
    until_health(&node, "ok").await;

    let client = server.client().await;
    let all = told(&client).await;
    let ids: HashSet<_> = all.iter().map(|told| &told.id).collect();
    assert_eq!(ids.len(), all.len(), "each change once");
    let tasks = of_tasks(&all);
    assert_eq!(tasks.len(), BATCH * 3);
    for (task, statuses) in &tasks {
        let last = statuses.last().map(String::as_str);
        assert_eq!(last, Some("succeeded"), "{task}: {statuses:?}");
        // The kill adds rounds; within each the order holds, and nothing follows the end.
        let mut allowed =
            HashMap::from([("queued", vec!["running"]), ("scheduled", vec!["queued"])]);
        allowed.insert("running", vec!["succeeded", "queued", "scheduled"]);
        for pair in statuses.windows(2) {
            assert!(
                allowed[pair[0].as_str()].contains(&pair[1].as_str()),
                "{task}: {statuses:?}"
            );
        }
    }
    let runs = all
        .iter()
        .filter(|told| told.subject == "robotd.changes.process.custom.work.succeeded");
    assert_eq!(runs.count(), BATCH * 3);
    assert!(
        all.iter()
            .any(|told| told.subject == "robotd.changes.robot.custom.work")
    );
    let own = all
        .iter()
        .find(|told| told.subject == "robotd.changes.event.robot.settings_changed")
        .unwrap();
    assert_eq!(own.event["subject"], "custom.work");
    assert!(!all.iter().any(|told| told.subject.ends_with(".lagged")));
    node.stop().await;
}

#[tokio::test]
async fn what_nobody_takes_for_too_long_is_given_up_and_said_so() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let client = server.client().await;
    // Somebody else's stream: it is used as it is, and looked at.
    let foreign = Config {
        name: "ROBOTD_CHANGES".to_owned(),
        subjects: vec!["robotd.changes.robot.>".to_owned()],
        ..Config::default()
    };
    client.create_stream(foreign.clone()).await.unwrap();
    let toml = format!(
        "nats_url = \"{}\"\n[nats]\nstream_mib = 64\nchanges_kept = 1000\n{WORK}",
        server.url()
    );
    let mut node = Node::new(&toml.replace("instances = 4", "instances = 0"));
    node.start().await;
    until_reason(&node, "does not take `robotd.changes.>`").await;
    let task = json!({"robot": "custom.work"});
    let tasks = json!({"tasks": vec![task; 3_000]});
    node.send(Method::POST, "/tasks/batch", tasks).await;
    let deadline = Instant::now() + LIMIT;
    while !node.log().contains("changes were given up") {
        assert!(Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(POLL).await;
    }
    let mended = Config {
        subjects: vec!["robotd.changes.>".to_owned()],
        ..foreign
    };
    client.update_stream(mended).await.unwrap();
    until_health(&node, "ok").await;
    let all = told(&client).await;
    let mark = all
        .iter()
        .position(|told| told.subject == "robotd.changes.lagged")
        .unwrap();
    let missed = all[mark].event["data"]["missed"].as_u64().unwrap();
    assert_eq!(mark, 0, "what is missing was before the rest");
    let kept = of_tasks(&all).len();
    assert!(kept <= 1_000, "{kept}");
    assert!(
        missed >= 3_000 - u64::try_from(kept).unwrap(),
        "{missed} and {kept}"
    );
    node.stop().await;
}
