//! Secrets of accounts go to their targets and nowhere else: a node changes, reconciles, imports and fails, and what it leaves
//! and shows is searched for all of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::panel::rig::Visitor;
use crate::support::form::{form, media};
use crate::support::node::Node;
use crate::support::postgres_server::PostgresServer;
use crate::support::seen::{Seen, children};
use crate::support::smbd::Smbd;
use crate::support::smtp_server::SmtpServer;
use crate::support::sshd::Sshd;

const LIMIT: Duration = Duration::from_secs(40);
const ON_SSH: &str = "ssh-horse-7c51f0aa";
const ON_POSTGRES: &str = "pg-horse-7c51f0bb";
const ON_WINDOWS: &str = "Win-horse-7c51f0cc";
const WRONG: &str = "never-right-7c51f0dd";
const IMPORTED: &str = "imp \"quoted\\ 7c51f0ee";
const OF_A_BAD_ROW: &str = "imp-bad-7c51f0ff";
const REFUSED: &str = "refused \"body 7c51f011";
const EXECUTOR: &str = "operations.operation_executor";
const REPORT: &str = "notifications.password_change_report";

/// Texts that are taken down beside the test.
type Shared = Arc<Mutex<HashSet<String>>>;

/// Command lines and environments of all programs that the node starts. The task ends with the test.
fn watch_children(node: u32) -> Shared {
    let shared = Shared::default();
    let seen = Arc::clone(&shared);
    tokio::runtime::Handle::current().spawn(async move {
        loop {
            for pid in children(node) {
                for name in ["cmdline", "environ"] {
                    let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
                    seen.lock().unwrap().insert(text);
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    shared
}

/// What `/stream` tells as long as the node runs.
async fn follow_stream(node: &Node) -> Shared {
    let mut stream = reqwest::Client::new()
        .get(format!("{}/api/v1/stream", node.url()))
        .bearer_auth(node.token())
        .send()
        .await
        .unwrap();
    assert!(stream.status().is_success());
    let shared = Shared::default();
    let seen = Arc::clone(&shared);
    tokio::runtime::Handle::current().spawn(async move {
        while let Ok(Some(chunk)) = stream.chunk().await {
            let text = String::from_utf8_lossy(&chunk).into_owned();
            seen.lock().unwrap().insert(text);
        }
    });
    shared
}

struct Targets {
    sshd: Sshd,
    postgres: PostgresServer,
    smbd: Smbd,
}

impl Targets {
    async fn start() -> Option<Self> {
        let roles = ["ana".to_owned(), "eve".to_owned()];
        let targets = Self {
            sshd: Sshd::start()?,
            postgres: PostgresServer::start_with_roles(&roles, ON_POSTGRES).await?,
            smbd: Smbd::start(ON_WINDOWS)?,
        };
        targets.sshd.add_account("ana", ON_SSH);
        Some(targets)
    }

    /// A credential on each, and one whose secret does not open its account.
    async fn enrol(&self, node: &Node) -> Vec<Value> {
        let key = self.sshd.host_key("ed25519").fingerprint;
        let mut ids = Vec::new();
        for (protocol, port, key, accounts) in [
            ("ssh", self.sshd.port, json!(key), &[("ana", ON_SSH)][..]),
            (
                "postgresql",
                self.postgres.port(),
                Value::Null,
                &[("ana", ON_POSTGRES), ("eve", WRONG)],
            ),
            (
                "windows_rpc",
                self.smbd.port,
                Value::Null,
                &[("games", ON_WINDOWS)],
            ),
        ] {
            let device = json!({"hostname": protocol, "address": "127.0.0.1",
                "connectivities": [{"protocol": protocol, "port": port, "host_key": key}]});
            let device = node.send(Method::POST, "/devices", device).await["id"].clone();
            for (name, secret) in accounts {
                let body = json!({"device": device, "username": name, "automatic_change": true, "secret": secret});
                let made = node.send(Method::POST, "/credentials", body).await;
                ids.push(made["id"].clone());
            }
        }
        ids
    }
}

/// Carries an operation out as far as it goes at once; answers its state.
async fn done(node: &Node, kind: &str, credential: &Value) -> String {
    let order = json!({"kind": kind, "credential": credential});
    let made = node.send(Method::POST, "/operations", order).await;
    let path = format!("/operations/{}", made["id"].as_str().unwrap());
    let open = |view: &Value| view["state"] == "queued" || view["state"] == "running";
    let view = node.until(&path, LIMIT, |view| !open(view)).await;
    view["state"].as_str().unwrap().to_owned()
}

/// A file with a good and a bad row.
async fn import(node: &Node) -> String {
    let quoted = IMPORTED.replace('"', "\"\"");
    let file = format!(
        "hostname,address,username,secret,automatic_change\n\
         web-1,192.0.2.1,root,\"{quoted}\",false\nweb-2,192.0.2.2,root,{OF_A_BAD_ROW},perhaps\n"
    );
    let request = node.request(Method::POST, "/imports");
    let request = request.header("content-type", media());
    let body = form(&[("file", Some("devices.csv"), file.as_bytes())]);
    let answer = request.body(body).send().await.unwrap();
    let view: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let path = format!("/imports/{}", view["id"].as_str().unwrap());
    let done = node.until(&path, LIMIT, |view| !view["finished_at"].is_null());
    let done = done.await;
    assert_eq!((&done["created"], &done["refused"]), (&json!(1), &json!(1)));
    path
}

/// Bodies with a secret that are refused, each for another reason.
async fn refusals(node: &Node, credential: &Value, seen: &mut Seen) {
    let one = format!("/credentials/{}", credential.as_str().unwrap());
    let secret = Value::from(REFUSED).to_string();
    for (method, path, body) in [
        (
            Method::PATCH,
            one.as_str(),
            format!("{{\"secret\": {secret}, \"username\": \"\"}}"),
        ),
        (
            Method::PATCH,
            one.as_str(),
            format!("{{\"secret\": [{secret}]}}"),
        ),
        (
            Method::PATCH,
            one.as_str(),
            format!("{{\"secret\": {secret}, \"nothing\": 1}}"),
        ),
        (
            Method::PATCH,
            one.as_str(),
            format!("{{\"secret\": {secret}"),
        ),
        (
            Method::PATCH,
            one.as_str(),
            format!(
                "{{\"secret\": \"{}\"}}",
                REFUSED.repeat(1_000).replace('"', "\\\"")
            ),
        ),
        (
            Method::POST,
            "/credentials",
            format!(
                "{{\"device\": \"999999\", \"username\": \"u\", \"automatic_change\": false, \"secret\": {secret}}}"
            ),
        ),
    ] {
        let request = node.request(method, path);
        let request = request.header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path}");
        let place = format!("the refusal of {path}");
        seen.add(place, answer.text().await.unwrap());
    }
}

/// Every list, what is known of each thing, and the panel's pages.
async fn answers(node: &Node, import: &str, seen: &mut Seen) {
    let lists = robotd::api::routes().into_iter();
    let lists = lists.filter(|(method, path)| *method == "GET" && !path.contains('{'));
    let not_texts = ["/stream", ".xlsx", "/docs", "/docs/"];
    let mut paths: Vec<String> = lists
        .map(|(_, path)| path.to_owned())
        .filter(|path| !not_texts.iter().any(|end| path.ends_with(end)))
        .collect();
    for (list, below) in [
        ("processes", "/log"),
        ("operations", ""),
        ("credentials", ""),
        ("credentials", "/views"),
    ] {
        for one in node.all(&format!("/{list}")).await {
            paths.push(format!(
                "/api/v1/{list}/{}{below}",
                one["id"].as_str().unwrap()
            ));
        }
    }
    paths.push(format!("/api/v1{import}"));
    paths.push(format!("/api/v1{import}/rows"));
    let client = reqwest::Client::new();
    for path in paths {
        for accept in ["application/json", "text/csv"] {
            let request = client.get(format!("{}{path}", node.url()));
            let request = request.bearer_auth(node.token()).header("accept", accept);
            let answer = request.send().await.unwrap();
            assert!(!answer.status().is_server_error(), "{path}");
            seen.add(format!("{path} as {accept}"), answer.text().await.unwrap());
        }
    }
    let visitor = Visitor::signed_in(node, &node.token()).await;
    for page in [
        "/robots",
        "/robots/operations.operation_executor",
        "/tasks",
        "/tasks.csv",
        "/executions",
        "/nowhere",
    ] {
        let shown = visitor.get(page).await;
        seen.add(format!("the page {page}"), shown.text().await.unwrap());
    }
}

/// The mails, also with what base64 breaks into lines.
async fn mails(node: &Node, mailbox: &SmtpServer, seen: &mut Seen) {
    let path = format!("/robots/{REPORT}");
    let settings = json!({"settings": {"recipients": ["ana@example.org"], "attachment": "csv"}});
    node.send(Method::PATCH, &path, settings).await;
    node.send(Method::POST, &format!("{path}/run"), json!({}))
        .await;
    for mail in mailbox.wait_for_mails(1) {
        seen.add(
            "a mail without its line ends",
            mail.replace(['\r', '\n'], ""),
        );
        seen.add("a mail", mail);
    }
}

/// A started node that says all it can, with its temporary files in a folder of its own.
async fn talkative(mailbox: &SmtpServer) -> Node {
    let node = Node::new(&format!(
        "[log]\nlevel = \"trace\"\n[mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"robotd@example.org\"\n",
        mailbox.port
    ));
    let scratch = node.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut node = node.with_variable("TMPDIR", scratch.to_str().unwrap());
    node.start().await;
    // It would order what the test orders.
    let robot = "/robots/operations.password_reconciliation";
    node.send(Method::PATCH, robot, json!({"enabled": false}))
        .await;
    node
}

/// What is in force by now, and what never may be seen anyway.
async fn secrets(node: &Node, changed: [&Value; 3]) -> Vec<(&'static str, String)> {
    let mut secrets = Vec::new();
    let names = ["new on SSH", "new in PostgreSQL", "new in Windows"];
    for (name, id) in names.into_iter().zip(changed) {
        let path = format!("/credentials/{}/view", id.as_str().unwrap());
        let shown = node.send(Method::POST, &path, json!({})).await;
        secrets.push((name, shown["secret"].as_str().unwrap().to_owned()));
    }
    let master = std::fs::read_to_string(node.data_dir().join("master.key")).unwrap();
    secrets.push(("master key", master.trim().to_owned()));
    secrets.push(("admin token", node.token()));
    let known = [
        ("old on SSH", ON_SSH),
        ("old in PostgreSQL", ON_POSTGRES),
        ("old in Windows", ON_WINDOWS),
        ("wrong one", WRONG),
        ("imported one", IMPORTED),
        ("one of a refused row", OF_A_BAD_ROW),
        ("one of a refused body", REFUSED),
    ];
    secrets.extend(known.map(|(name, secret)| (name, secret.to_owned())));
    secrets
}

#[tokio::test]
async fn secrets_of_accounts_lie_and_are_shown_nowhere() {
    let (Some(mailbox), Some(targets)) = (SmtpServer::start(), Targets::start().await) else {
        return;
    };
    let mut node = talkative(&mailbox).await;
    let (stream, programs) = (follow_stream(&node).await, watch_children(node.pid()));
    let ids = targets.enrol(&node).await;
    let mut seen = Seen::default();
    let [ssh, postgres, wrong, windows] = ids.as_slice() else {
        panic!("four: {ids:?}")
    };
    for id in [ssh, postgres, windows] {
        assert_eq!(done(&node, "change_password", id).await, "succeeded");
    }
    assert_eq!(done(&node, "change_password", wrong).await, "failed");
    for id in [ssh, windows] {
        assert_eq!(done(&node, "reconcile", id).await, "succeeded");
    }
    let import = import(&node).await;
    refusals(&node, wrong, &mut seen).await;
    mails(&node, &mailbox, &mut seen).await;
    let secrets = secrets(&node, [ssh, postgres, windows]).await;
    answers(&node, &import, &mut seen).await;

    for (place, texts, one) in [
        (
            "a program's command line or environment",
            programs,
            "client",
        ),
        ("the stream", stream, EXECUTOR),
    ] {
        let texts = texts.lock().unwrap();
        assert!(texts.iter().any(|text| text.contains(one)), "{place}");
        for text in texts.iter() {
            seen.add(place, text);
        }
    }
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{name}", node.pid())).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        seen.add(format!("the node's {name}"), text);
    }
    // Not in order: robots ask the imported devices meanwhile, where nobody answers, and a draining node waits for them.
    node.kill();
    seen.add_files(&node.path(""), &["master.key", "admin.token"]);
    assert!(node.log().contains("DEBUG"), "it says all it can");
    seen.must_not_hold(&secrets);
}
