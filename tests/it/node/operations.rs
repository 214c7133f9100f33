//! A node is killed in the middle of a change of a password: a recorded secret opens the account, and the next node finds out
//! which.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::id::InventoryId;
use robotd::robot::inventory::{Inventory, Secrets};
use robotd::robot::registry::Registry;
use robotd::robot::safe::Safe;
use robotd::store::StoreConfig;
use robotd::vault::MasterKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::node::{Node, POLL};
use crate::support::sshd::Sshd;

const OLD: &str = "Right-Horse-7";
const LIMIT: Duration = Duration::from_secs(20);
/// As if the time had passed for which an account is left alone.
const PASSED: &str =
    "UPDATE sign_in_tries SET at = 0; UPDATE operations SET run_at = 0 WHERE finished_at IS NULL";
const RETRY: &str = "operations.operation_executor_retry";

/// A machine that stops at a moment of a change, tells the test, and goes on when it is told.
struct Halting {
    sshd: Sshd,
    folder: PathBuf,
}

impl Halting {
    /// PAM's modules run in their order: `before` when the old password was taken and the new one not yet asked for, `after`
    /// when the new one is on disk and the answer not yet given, `proven` when the new one has signed in.
    fn start() -> Option<Self> {
        let sshd = Sshd::start()?;
        let folder = sshd.open_file("");
        let script = folder.join("halt");
        let text = format!(
            "#!/bin/sh\ncd {}\n[ \"$1\" != proven ] || [ -e changed ] || exit 0\n\
             [ \"$1\" != after ] || touch changed\n[ \"$1\" = \"$(cat moment)\" ] || exit 0\n\
             touch reached\nread go < go\n",
            folder.display()
        );
        sshd.must(
            &[
                "sh",
                "-c",
                &format!(
                    "cat > {0} && chmod 755 {0} && mkfifo -m 666 {1}/go",
                    script.display(),
                    folder.display()
                ),
            ],
            &text,
        );
        let line = |kind: &str, moment: &str| {
            format!(
                "{kind} optional pam_exec.so quiet {} {moment}\n",
                script.display()
            )
        };
        let own = line("password", "before")
            + "password required pam_unix.so obscure yescrypt\n"
            + &line("password", "after");
        sshd.must(&["sh", "-c", "cat > /etc/pam.d/passwd"], &own);
        sshd.must(
            &["sh", "-c", "cat >> /etc/pam.d/sshd"],
            &line("session", "proven"),
        );
        Some(Self { sshd, folder })
    }

    fn halt_at(&self, moment: &str) {
        for old in ["changed", "reached"] {
            let _none = std::fs::remove_file(self.folder.join(old));
        }
        std::fs::write(self.folder.join("moment"), moment).unwrap();
    }

    async fn reached(&self, node: &Node) {
        let deadline = Instant::now() + LIMIT;
        while !self.folder.join("reached").exists() {
            assert!(
                Instant::now() < deadline,
                "{}\n{}",
                node.log(),
                self.sshd.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Lets go whoever waits, and halts nobody any more.
    fn go_on(&self) {
        std::fs::write(self.folder.join("moment"), "never").unwrap();
        // Opened to read as well, so that it does not wait for somebody who is gone.
        let mut go = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.folder.join("go"))
            .unwrap();
        go.write_all(b"go\n").unwrap();
    }

    fn opens(&self, name: &str, secret: &str) -> bool {
        let opens = self.sshd.lets_in(name, secret);
        self.sshd.must(&["faillock", "--user", name, "--reset"], "");
        opens
    }
}

/// What the vault knows of a credential: the secret in force, and the candidate.
async fn recorded(database: &Database, node: &Node, id: &Value) -> [Option<String>; 2] {
    let master = MasterKey::read(&node.data_dir()).unwrap();
    let store = database.open_again().await;
    let safe = Safe::open(store.clone(), &master, SystemClock.now())
        .await
        .unwrap();
    let inventory = Inventory::new(store, safe, Registry::default().into());
    let id: InventoryId = id.as_str().unwrap().parse().unwrap();
    let Secrets {
        current, candidate, ..
    } = inventory.secrets(id).await.unwrap();
    [current, candidate].map(|one| one.map(|one| one.secret.expose_secret().to_owned()))
}

#[tokio::test]
async fn a_node_that_is_killed_in_a_change_leaves_a_secret_that_opens() {
    let Some(machine) = Halting::start() else {
        return;
    };
    let database = Database::sqlite().await;
    let StoreConfig::Sqlite { path } = &database.config else {
        panic!("a file")
    };
    let url = format!("sqlite://{}", path.display());
    let mut node = Node::new("").on_database(&url);
    node.start().await;
    let key = machine.sshd.host_key("ed25519").fingerprint;
    let device = json!({"hostname": "h", "address": "127.0.0.1",
        "connectivities": [{"protocol": "ssh", "port": machine.sshd.port, "host_key": key}]});
    let device = node.send(Method::POST, "/devices", device).await["id"].clone();
    for (moment, name) in [("before", "ana"), ("after", "bob"), ("proven", "eve")] {
        machine.sshd.add_account(name, OLD);
        machine.halt_at(moment);
        let body =
            json!({"device": device, "username": name, "automatic_change": true, "secret": OLD});
        let id = node.send(Method::POST, "/credentials", body).await["id"].clone();
        let order = json!({"kind": "change_password", "credential": id});
        let change = node.send(Method::POST, "/operations", order).await["id"].clone();
        machine.reached(&node).await;
        node.kill();
        machine.go_on();

        let [current, candidate] = recorded(&database, &node, &id).await;
        let (current, candidate) = (current.unwrap(), candidate.unwrap());
        assert_eq!(
            current, OLD,
            "{moment}: nothing is in force that was not recorded as proven"
        );
        let opening = [&current, &candidate].map(|secret| machine.opens(name, secret));
        assert_eq!(
            opening,
            [moment == "before", moment != "before"],
            "{moment}"
        );

        node.start().await;
        // What the dead one had in hand is found at once, and one sign-in is left: where the candidate is refused, the account is
        // left alone.
        let path = format!("/operations/{}", change.as_str().unwrap());
        if moment == "before" {
            let far = (SystemClock.now() + TimeDelta::minutes(20)).to_rfc3339();
            node.until(&path, LIMIT, |view| {
                view["state"] == "unverified" && view["run_at"].as_str() > Some(&far)
            })
            .await;
            database.sql(PASSED).await;
        }
        let order = json!({"kind": "reconcile", "credential": id});
        let reconcile = node.send(Method::POST, "/operations", order).await["id"].clone();
        node.send(Method::POST, &format!("/robots/{RETRY}/run"), json!({}))
            .await;
        for operation in [&reconcile, &change] {
            let path = format!("/operations/{}", operation.as_str().unwrap());
            let done = node
                .until(&path, LIMIT, |view| view["state"] == "succeeded")
                .await;
            assert!(done["finished_at"].is_string(), "{moment}");
        }
        let [current, candidate] = recorded(&database, &node, &id).await;
        assert_eq!(candidate, None, "{moment}");
        assert!(machine.opens(name, &current.unwrap()), "{moment}");
    }
    node.stop().await;
}
