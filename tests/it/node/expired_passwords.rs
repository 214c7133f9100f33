//! The whole way: passwords that are past their time are ordered, changed on real machines, proven, and told of by mail.

use std::time::{Duration, Instant};

use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::is_full;
use crate::support::node::Node;
use crate::support::postgres_server::PostgresServer;
use crate::support::slapd::{self, Slapd};
use crate::support::smbd::Smbd;
use crate::support::smtp_server::SmtpServer;
use crate::support::sshd::Sshd;

/// Credentials of the full form, by hand: see the README, "Test it".
const CREDENTIALS: usize = 200;
/// As many as a build's time allows; a quarter of them on each kind of target.
const CREDENTIALS_IN_CI: usize = 8;
/// Kinds of targets.
const KINDS: usize = 4;
/// For the full form on a slow machine.
const LIMIT: Duration = Duration::from_mins(10);
const OLD: &str = "Old-Horse-51c0ffee";
const EXPIRED: &str = "operations.expired_password";
const EXECUTOR: &str = "operations.operation_executor";
const REPORT: &str = "notifications.password_change_report";

/// A machine, a database server, a directory and a Windows machine, with accounts that have the old password.
struct Targets {
    sshd: Sshd,
    postgres: PostgresServer,
    slapd: Slapd,
    smbd: Smbd,
    names: Vec<String>,
}

impl Targets {
    /// `None` where they cannot run, which was said loudly.
    async fn start(accounts: usize) -> Option<Self> {
        let names: Vec<String> = (0..accounts)
            .map(|number| format!("person{number}"))
            .collect();
        let people: Vec<&str> = names.iter().map(String::as_str).collect();
        let sshd = Sshd::start()?;
        for name in &names {
            sshd.add_account(name, OLD);
        }
        Some(Self {
            sshd,
            postgres: PostgresServer::start_with_roles(&names, OLD).await?,
            slapd: Slapd::start(&people, OLD)?,
            smbd: Smbd::start_for(&names, OLD)?,
            names,
        })
    }

    /// The ways to them.
    fn ways(&self) -> [(&'static str, Value); KINDS] {
        let key = self.sshd.host_key("ed25519").fingerprint;
        let ca = std::fs::read_to_string(&self.slapd.authority.ca).unwrap();
        [
            ("ssh", json!({"port": self.sshd.port, "host_key": key})),
            ("postgresql", json!({"port": self.postgres.port()})),
            ("ldaps", json!({"port": self.slapd.tls_port, "ca": ca})),
            ("windows_rpc", json!({"port": self.smbd.port})),
        ]
    }

    /// Puts them into the inventory, past their time; answers each credential with its account and where it is.
    async fn enrol(&self, node: &Node) -> Vec<(String, String, &'static str)> {
        let mut enrolled = Vec::new();
        for (protocol, mut way) in self.ways() {
            way["protocol"] = json!(protocol);
            let device = json!({"hostname": format!("{protocol}-1"), "address": "127.0.0.1", "connectivities": [way]});
            let device = node.send(Method::POST, "/devices", device).await["id"].clone();
            for name in &self.names {
                let name = match protocol {
                    "ldaps" => slapd::dn(name),
                    _ => name.clone(),
                };
                let body = json!({"device": device, "username": name, "automatic_change": true, "secret": OLD});
                let made = node.send(Method::POST, "/credentials", body).await;
                let id = made["id"].as_str().unwrap().to_owned();
                // After the secret was set, else it would be a new one.
                let end = json!({"expires_at": SystemClock.now()});
                node.send(Method::PATCH, &format!("/credentials/{id}"), end)
                    .await;
                enrolled.push((id, name, protocol));
            }
        }
        enrolled
    }

    /// The new secrets sign in from outside, and the old one does not.
    fn believe(&self, changed: &[(&(String, String, &'static str), &String)]) {
        for ((_, name, protocol), new) in changed {
            assert!(self.opens(protocol, name, new), "{protocol} {name}");
            assert!(
                !self.opens(protocol, name, OLD),
                "{protocol} {name}: the old one"
            );
        }
    }

    /// Whether the programs that come with the targets sign in, from outside.
    fn opens(&self, protocol: &str, name: &str, secret: &str) -> bool {
        match protocol {
            "ssh" => self.sshd.lets_in(name, secret),
            "postgresql" => self.postgres.lets_in(name, secret),
            "ldaps" => self.slapd.lets_in(name, secret),
            _ => self.smbd.lets_in(name, secret),
        }
    }
}

async fn run(node: &Node, robot: &str, configuration: Value) {
    let path = format!("/robots/{robot}");
    node.send(Method::PATCH, &path, configuration).await;
    let path = format!("{path}/run");
    node.send(Method::POST, &path, json!({})).await;
}

#[tokio::test]
async fn passwords_past_their_time_are_changed_proven_and_told_of() {
    let count = if is_full() {
        CREDENTIALS
    } else {
        CREDENTIALS_IN_CI
    };
    let (Some(mailbox), Some(targets)) = (SmtpServer::start(), Targets::start(count / KINDS).await)
    else {
        return;
    };
    let mut node = Node::new(&format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"robotd@example.org\"\n",
        mailbox.port
    ));
    node.start().await;
    let executor = format!("/robots/{EXECUTOR}");
    node.send(Method::PATCH, &executor, json!({"instances": 8}))
        .await;
    let enrolled = targets.enrol(&node).await;
    let began = Instant::now();
    let at_once = json!({"settings": {"quota": 500, "spread": "PT0S"}});
    run(&node, EXPIRED, at_once).await;
    let done = "/operations?state=succeeded&limit=500";
    let items = |page: &Value| page["items"].as_array().map_or(0, Vec::len);
    node.until(done, LIMIT, |page| items(page) >= count).await;
    println!("{count} passwords changed in {:?}", began.elapsed());

    each_was_changed_once(&node, count).await;
    let mut secrets = vec![OLD.to_owned()];
    for (id, name, protocol) in &enrolled {
        let new = secret_of(&node, id).await;
        assert!(
            !secrets.contains(&new),
            "{protocol} {name}: no secret twice"
        );
        secrets.push(new);
    }
    let changed: Vec<_> = enrolled.iter().zip(&secrets[1..]).collect();
    let believed = |of_one_kind| targets.believe(of_one_kind);
    std::thread::scope(|scope| {
        for of_one_kind in changed.chunks(count / KINDS) {
            let believed = &believed;
            scope.spawn(move || believed(of_one_kind));
        }
    });

    run(
        &node,
        REPORT,
        json!({"settings": {"recipients": ["ana@example.org"]}}),
    )
    .await;
    let mails = mailbox.wait_for_mails(1);
    let subject = format!("Subject: [robotd] Password changes: {count} succeeded");
    assert!(mails[0].contains(&subject), "{}", mails[0]);
    assert!(mails[0].contains(".xlsx"), "{}", mails[0]);
    let told = [
        mails[0].clone(),
        node.log(),
        Value::from(node.all("/events").await).to_string(),
    ];
    for secret in &secrets {
        assert!(
            !told.iter().any(|text| text.contains(secret)),
            "a secret was told"
        );
    }
    node.stop().await;
}

async fn each_was_changed_once(node: &Node, count: usize) {
    let operations = node.all("/operations").await;
    assert_eq!(operations.len(), count, "one each");
    for one in operations {
        let path = format!("/operations/{}", one["id"].as_str().unwrap());
        let shown = node.get(&path).await;
        assert_eq!(shown["requested_by"], EXPIRED, "{shown:#}");
        assert_eq!(shown["attempts"], 1, "{shown:#}");
    }
}

async fn secret_of(node: &Node, credential: &str) -> String {
    let path = format!("/credentials/{credential}/view");
    let shown = node
        .send(Method::POST, &path, json!({"reason": "test"}))
        .await;
    shown["secret"].as_str().unwrap().to_owned()
}
