//! Promise 11: secrets never leave.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use robotd::store::StoreConfig;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::node::{Node, processes_matching};
use crate::support::rsyslog::Rsyslog;
use crate::support::seen::{Seen, children};
use crate::support::smtp_server::{FaultySmtpServer, USERNAME};

const LIMIT: Duration = Duration::from_secs(30);
const MAIL_PASSWORD: &str = "mail-pw-6f1c0e77";
const DATABASE_PASSWORD: &str = "db-pw-93ab41d2";
const ROBOT_SECRET: &str = "robot-key-5511aacc";
const HOOK_TOKEN: &str = "hook-token-1a2b3c4d";
const WRONG_TOKEN: &str = "robotd_wrong-token-77e0b1";

fn configuration(smtp: &FaultySmtpServer, collector: &Rsyslog) -> String {
    format!(
        r#"
        syslog = "{syslog}"
        drain_limit = "PT3S"

        [log]
        level = "trace"

        [mail]
        host = "localhost"
        port = {port}
        tls = "starttls"
        username = "{USERNAME}"
        password_file = "mail.password"
        ca_file = "{ca}"
        from = "robotd@example.org"

        [[robot]]
        name = "custom.sleeper"
        command = ["/bin/sh", "-c", "echo begun; sleep 86341"]
        env = {{ REPORT_KEY = "{ROBOT_SECRET}" }}

        [[robot]]
        name = "custom.hook"
        http = "http://127.0.0.1:9/hook"
        token_file = "hook.token"
        retry = {{ max_attempts = 1, initial = "PT1S", factor = 1.0, max = "PT1S" }}
        "#,
        syslog = collector.target("tcp", ""),
        port = smtp.starttls_port,
        ca = smtp.authority.ca.display(),
    )
}

fn write_secret(node: &Node, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(node.path(name), text).unwrap();
    std::fs::set_permissions(node.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn no_secret_is_in_anything_that_leaves() {
    let (Some(smtp), Some(collector)) = (FaultySmtpServer::start(), Rsyslog::start()) else {
        return;
    };
    let mut node = Node::new(&configuration(&smtp, &collector));
    let database = Database::postgres().await;
    if let Some(StoreConfig::Postgres { url, .. }) =
        database.as_ref().map(|database| &database.config)
    {
        // The server trusts loopback and takes any password.
        let url = url.replacen("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"), 1);
        assert!(url.contains(DATABASE_PASSWORD), "{url}");
        node = node.with_variable("ROBOTD_DATABASE_URL", &url);
    }
    write_secret(&node, "mail.password", MAIL_PASSWORD);
    write_secret(&node, "hook.token", HOOK_TOKEN);
    node.start().await;
    let mut seen = Seen::default();
    mail_fails_to_sign_in(&node, &smtp).await;
    hook_fails(&node).await;
    bad_requests(&node, &mut seen).await;
    look_at_children(&node, &mut seen).await;
    every_answer(&node, &mut seen).await;
    seen.add(
        "the collector",
        collector.wait_for_lines("raw.log", 1).join("\n"),
    );
    let secrets = [
        ("mail password", MAIL_PASSWORD.to_owned()),
        ("database password", DATABASE_PASSWORD.to_owned()),
        ("robot's variable", ROBOT_SECRET.to_owned()),
        ("hook token", HOOK_TOKEN.to_owned()),
        ("wrong token", WRONG_TOKEN.to_owned()),
        ("admin token", node.token()),
        (
            "master key",
            std::fs::read_to_string(node.data_dir().join("master.key"))
                .unwrap()
                .trim()
                .to_owned(),
        ),
    ];
    if database.is_some() {
        bad_starts(&node, &mut seen);
    }
    node.stop().await;
    seen.add("standard output", node.output());
    seen.add("the log", node.log());
    assert!(
        node.log().contains("TRACE") || node.log().contains("DEBUG"),
        "the log is as talkative as it can be"
    );
    seen.must_not_hold(&secrets);
}

/// A disk that is "low" leads to a mail, and the server refuses the password.
async fn mail_fails_to_sign_in(node: &Node, smtp: &FaultySmtpServer) {
    let settings = json!({"settings": {
        "recipients": ["ana@example.org"], "mounts": [{"path": "/", "warn_percent": 0.1, "critical_percent": 0.2}],
    }});
    let robot = "/robots/notifications.disk_space_monitors";
    node.send(Method::PATCH, robot, settings).await;
    node.send(Method::POST, &format!("{robot}/run"), json!({}))
        .await;
    let deadline = Instant::now() + LIMIT;
    while !smtp
        .happened()
        .iter()
        .any(|line| line.starts_with("sign-in refused"))
    {
        assert!(
            Instant::now() < deadline,
            "nobody signed in: {:?}\n{}",
            smtp.happened(),
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let path = "/processes?robot=mail.email_sender&limit=1";
    node.until(path, LIMIT, |page| page["items"][0]["outcome"] != "running")
        .await;
}

async fn hook_fails(node: &Node) {
    let task = node
        .send(Method::POST, "/robots/custom.hook/run", json!({}))
        .await;
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    node.until(&path, LIMIT, |task| task["status"] == "failed")
        .await;
}

/// Tokens in wrong places and changes that are refused: the answers and the log tell nothing back.
async fn bad_requests(node: &Node, seen: &mut Seen) {
    let client = reqwest::Client::new();
    let token = node.token();
    let url = format!("{}/api/v1/robots", node.url());
    for header in [
        format!("Bearer {WRONG_TOKEN}"),
        format!("Bearer {token}x"),
        format!("Bearer {token} {token}"),
        format!("Basic {token}"),
        token.clone(),
    ] {
        let answer = client
            .get(&url)
            .header("authorization", &header)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401);
        seen.add(
            "an answer to a bad token",
            format!(
                "{:?} {}",
                answer.headers().clone(),
                answer.text().await.unwrap()
            ),
        );
    }
    let bad = json!({"instances": "many", "settings": {"nothing": 1}});
    let answer = node
        .request(Method::PATCH, "/robots/custom.sleeper")
        .json(&bad)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 422);
    seen.add("a refused change", answer.text().await.unwrap());
    node.send(
        Method::PATCH,
        "/robots/custom.sleeper",
        json!({"instances": 2}),
    )
    .await;
}

/// Command lines of all processes of the node, and what commands and their guards have in their environment.
async fn look_at_children(node: &Node, seen: &mut Seen) {
    node.send(Method::POST, "/robots/custom.sleeper/run", json!({}))
        .await;
    let deadline = Instant::now() + LIMIT;
    while children(node.pid()).len() < 3 {
        assert!(
            Instant::now() < deadline,
            "guard, shell and sleep: {:?}",
            children(node.pid())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!processes_matching("sleep 86341").is_empty());
    for pid in children(node.pid()) {
        let file = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{name}")).unwrap())
                .into_owned()
        };
        seen.add("a child's command line", file("cmdline"));
        // Its own variable is what the operator gave it.
        let environment = file("environ");
        assert!(
            !environment.contains("ROBOTD_DATABASE_URL"),
            "{environment}"
        );
        seen.add(
            "a child's environment",
            environment.replace(ROBOT_SECRET, ""),
        );
    }
    seen.add(
        "the command line",
        std::fs::read_to_string(format!("/proc/{}/cmdline", node.pid())).unwrap(),
    );
}

async fn every_answer(node: &Node, seen: &mut Seen) {
    for path in [
        "/robots",
        "/tasks",
        "/processes",
        "/executions",
        "/ticks",
        "/audit",
        "/events",
        "/nodes",
        "/stats",
        "/openapi.json",
        "/../../health",
        "/../../metrics",
        "/robots/custom.sleeper",
        "/robots/custom.hook",
        "/robots/mail.email_sender",
    ] {
        for accept in ["application/json", "text/csv"] {
            let answer = node
                .request(Method::GET, path)
                .header("accept", accept)
                .send()
                .await
                .unwrap();
            assert!(!answer.status().is_server_error(), "{path}");
            seen.add(format!("{path} as {accept}"), answer.text().await.unwrap());
        }
    }
    for process in node.all("/processes").await {
        let path = format!("/processes/{}/log", process["id"].as_str().unwrap());
        seen.add(path.clone(), node.get(&path).await.to_string());
    }
    let failed: Value = node.get("/processes?robot=custom.hook").await;
    assert_eq!(failed["items"][0]["outcome"], "failed", "{failed:#}");
}

/// Databases that cannot be reached or read: the program says why it does not start, and not with what.
fn bad_starts(node: &Node, seen: &mut Seen) {
    for (url, command) in [
        (
            format!("postgres://robotd:{DATABASE_PASSWORD}@127.0.0.1:9/robotd"),
            "serve",
        ),
        (
            format!("postgres://robotd:{DATABASE_PASSWORD}@127.0.0.1:port/robotd"),
            "serve",
        ),
        (
            format!("postgres://robotd:{DATABASE_PASSWORD}@[::1/robotd?sslmode=never"),
            "serve",
        ),
        (
            format!("mysql://robotd:{DATABASE_PASSWORD}@127.0.0.1/robotd"),
            "serve",
        ),
        (
            format!("postgres://robotd:{DATABASE_PASSWORD}@127.0.0.1:9/robotd"),
            "check-config",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_robotd"))
            .args([
                command,
                "--data-dir",
                node.path("other").to_str().unwrap(),
                "--listen",
                "127.0.0.1:0",
            ])
            .env("ROBOTD_DATABASE_URL", &url)
            .output()
            .unwrap();
        assert!(
            command == "check-config" || !output.status.success(),
            "{url} was taken"
        );
        let told = [output.stdout, output.stderr].concat();
        seen.add(
            format!("{command} with {url:.12}…"),
            String::from_utf8_lossy(&told),
        );
    }
}
