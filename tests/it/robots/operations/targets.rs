//! Operations at every kind of target, and by the accounts that may help another one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{ChangeCause, OperationKind, OperationState};
use robotd::domain::task::PRIORITY_DEFAULT;
use robotd::robot::inventory::{By, NewItem};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    EXECUTOR, OLD, credential, current, device, done, inventory, kept, machine, make, stands,
};
use crate::robots::rig::{Rig, count};
use crate::support::authority::Authority;
use crate::support::database::{Database, on_both};
use crate::support::postgres_server::PostgresServer;
use crate::support::slapd::{self, ADMIN, Slapd};
use crate::support::smbd::Smbd;
use crate::support::sshd::Sshd;

on_both!(a_command_runs_once_and_shows_no_secret);

/// Closes an account by its device's privileged one and opens it again; `lets_in` says whether the secret in force signs in.
pub async fn closes_and_opens(rig: &Rig<'_>, id: InventoryId, lets_in: impl AsyncFn(&str) -> bool) {
    let secret = current(rig, id).await;
    for (kind, closed) in [
        (OperationKind::Deactivate, true),
        (OperationKind::Activate, false),
    ] {
        let ended = done(rig, kind, id).await;
        assert_eq!(ended, SUCCEEDED, "{kind}: {:?}", rig.log);
        assert_eq!(lets_in(&secret).await, !closed, "{kind}");
        let since = state(rig, id, "deactivated_at").await;
        assert_eq!(since.is_null(), !closed, "{kind}");
        let said = if closed { "disabled" } else { "match" };
        assert_eq!(state(rig, id, "secret_state").await, json!(said), "{kind}");
        if closed {
            let refused = (OperationState::Failed, Some("invalid".to_owned()));
            assert_eq!(done(rig, OperationKind::Test, id).await, refused);
        }
        rig.pass(1_801);
    }
}

/// What somebody set behind robotd's back.
pub const OTHER: &str = "Somebody-else-5";

pub async fn fill(rig: &Rig<'_>, device: InventoryId, body: Value, secret: &str) -> InventoryId {
    let mut fields = json!({"device": device, "automatic_change": true});
    let (Value::Object(fields), Value::Object(more)) = (&mut fields, body) else {
        panic!("objects")
    };
    fields.extend(more);
    let fields = Value::Object(fields.clone());
    make(rig, Noun::Credential, fields, Some(secret)).await
}

pub const SUCCEEDED: (OperationState, Option<String>) = (OperationState::Succeeded, None);

/// What is known of a credential beside its fields.
async fn state(rig: &Rig<'_>, id: InventoryId, field: &str) -> Value {
    let item = inventory(rig).get(Noun::Credential, id).await.unwrap();
    item.state[field].clone()
}

async fn way(rig: &Rig<'_>, port: u16, way: Value) -> InventoryId {
    let body =
        json!({"hostname": format!("tls{port}"), "address": "127.0.0.1", "connectivities": [way]});
    make(rig, Noun::Device, body, None).await
}

#[tokio::test]
async fn a_password_is_changed_in_a_directory() {
    let Some(slapd) = Slapd::start(&["ana", "bob"], OLD) else {
        return;
    };
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let ca = std::fs::read_to_string(&slapd.authority.ca).unwrap();
    for (name, port, speaks) in [
        (
            "ana",
            slapd.tls_port,
            json!({"protocol": "ldaps", "ca": ca}),
        ),
        ("bob", slapd.port, json!({"protocol": "ldap", "ca": ca})),
    ] {
        let mut speaks = speaks;
        speaks["port"] = json!(port);
        let at = way(&rig, port, speaks).await;
        let dn = slapd::dn(name);
        let id = credential(&rig, at, &dn, OLD).await;
        assert_eq!(
            done(&rig, OperationKind::ChangePassword, id).await,
            SUCCEEDED,
            "{:?}",
            rig.log
        );
        let new = current(&rig, id).await;
        assert!(slapd.lets_in(&dn, &new) && !slapd.lets_in(&dn, OLD));
        // Nobody knows it any more: the administrator of the directory sets one.
        let admin = json!({"username": ADMIN, "privileged": true});
        fill(&rig, at, admin, OLD).await;
        let by = By {
            actor: "ana",
            now: rig.now(),
        };
        let patch = NewItem {
            secret: Some("Never-right-1".into()),
            ..NewItem::default()
        };
        inventory(&rig)
            .change(Noun::Credential, id, None, &patch, by)
            .await
            .unwrap();
        assert_eq!(
            done(&rig, OperationKind::Reconcile, id).await,
            SUCCEEDED,
            "{:?}",
            rig.log
        );
        assert!(slapd.lets_in(&dn, &current(&rig, id).await));
        assert_eq!(state(&rig, id, "secret_state").await, json!("match"));
        closes_and_opens(&rig, id, async |secret| slapd.lets_in(&dn, secret)).await;
    }
    assert_eq!(
        rig.rows("events", "type = 'credential.reconciled'").await,
        2
    );
}

#[tokio::test]
async fn a_password_is_changed_in_postgresql_by_what_the_device_says_of_its_certificate() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let Some(authority) = Authority::make(folder.path()) else {
        return;
    };
    server.reconfigure(
        "ssl = on\nssl_cert_file = 'own.pem'\nssl_key_file = 'own.key'\n",
        "host all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        &[("own.pem", &authority.cert), ("own.key", &authority.key)],
    );
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let pem = std::fs::read_to_string(&authority.ca).unwrap();
    let der = rustls_pki_types::pem::PemObject::from_pem_file(&authority.cert);
    let der: rustls_pki_types::CertificateDer<'_> = der.unwrap();
    let digest = hex(&Sha256::digest(&der));
    let port = server.port();
    for (name, trust, expected) in [
        ("ana", json!({"ca": pem}), SUCCEEDED),
        ("bob", json!({"host_key": digest.to_uppercase()}), SUCCEEDED),
        (
            "eve",
            json!({"host_key": "00".repeat(32)}),
            (OperationState::Failed, Some("tls".to_owned())),
        ),
        (
            "kim",
            json!({"host_key": "trust_on_first_use"}),
            (OperationState::Failed, Some("invalid".to_owned())),
        ),
    ] {
        client
            .batch_execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{OLD}'"))
            .await
            .unwrap();
        let mut speaks = trust;
        speaks["protocol"] = json!("postgresql");
        speaks["port"] = json!(port);
        let body = json!({"hostname": name, "address": "127.0.0.1", "connectivities": [speaks]});
        let at = make(&rig, Noun::Device, body, None).await;
        let id = credential(&rig, at, name, OLD).await;
        assert_eq!(
            done(&rig, OperationKind::ChangePassword, id).await,
            expected,
            "{name}: {:?}",
            rig.log
        );
        let secret = current(&rig, id).await;
        assert_eq!(secret != OLD, expected == SUCCEEDED, "{name}");
        assert!(server.lets_in(name, &secret), "{name}");
        if name == "ana" {
            only_a_superuser_closes_it(&rig, (at, id), &client, &server).await;
        }
    }
}

async fn only_a_superuser_closes_it(
    rig: &Rig<'_>,
    (at, id): (InventoryId, InventoryId),
    client: &tokio_postgres::Client,
    server: &PostgresServer,
) {
    let nobody = (OperationState::Failed, Some("unsupported".to_owned()));
    assert_eq!(done(rig, OperationKind::Deactivate, id).await, nobody);
    let boss = format!("CREATE ROLE boss SUPERUSER LOGIN PASSWORD '{OLD}'");
    client.batch_execute(&boss).await.unwrap();
    let boss = json!({"username": "boss", "privileged": true});
    fill(rig, at, boss, OLD).await;
    closes_and_opens(rig, id, async |secret| server.lets_in("ana", secret)).await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A program that Samba asks whether it wants a new password.
struct Judge(TempDir);

impl Judge {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for (file, mode) in [("asked", 0o666), ("refuses", 0o644), ("judge", 0o755)] {
            let script = format!(
                "#!/bin/sh\ncat >/dev/null\necho x >>{0}/asked\ntest \"$(wc -l <{0}/asked)\" -gt \"$(cat {0}/refuses)\"\n",
                at.display()
            );
            let text = if file == "judge" { &script } else { "" };
            std::fs::write(at.join(file), text).unwrap();
            std::fs::set_permissions(at.join(file), Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(at, Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn option(&self) -> String {
        format!("check password script = {}/judge", self.0.path().display())
    }

    /// It refuses the first so many.
    fn refuses(&self, count: usize) {
        std::fs::write(self.0.path().join("refuses"), count.to_string()).unwrap();
    }

    fn asked(&self) -> usize {
        let asked = std::fs::read_to_string(self.0.path().join("asked"));
        asked.unwrap().lines().count()
    }
}

/// Samba locks after three. Its administrator sets what is not known any more, for a local account and one of a domain.
#[tokio::test]
async fn a_password_is_changed_in_windows() {
    let judge = Judge::new();
    let Some(smbd) = Smbd::start_with(OLD, &judge.option()) else {
        return;
    };
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let at = device(&rig, "windows_rpc", smbd.port, json!(null)).await;
    let games = credential(&rig, at, "games", OLD).await;
    let news = fill(&rig, at, json!({"username": "news", "domain": "TEST"}), OLD).await;
    let speaks = json!({"protocol": "windows_rpc", "port": smbd.port});
    let member = way(&rig, 1, speaks).await;
    let same = json!({"username": "News", "domain": "test"});
    let same = fill(&rig, member, same, OLD).await;
    judge.refuses(99);
    let unwanted = (OperationState::Failed, Some("password_policy".to_owned()));
    let refused = done(&rig, OperationKind::ChangePassword, games).await;
    assert_eq!((refused, judge.asked()), (unwanted, 3), "{:?}", rig.log);
    assert!(smbd.lets_in("games", OLD) && kept(&rig, games).await[1].is_none());
    judge.refuses(4);
    for (name, id) in [("games", games), ("news", news)] {
        assert_eq!(
            done(&rig, OperationKind::ChangePassword, id).await,
            SUCCEEDED,
            "{:?}",
            rig.log
        );
        let new = current(&rig, id).await;
        assert!(smbd.lets_in(name, &new) && !smbd.lets_in(name, OLD));
        smbd.administrate("pdbedit", &["-z", "-u", name], "");
    }
    assert_eq!(judge.asked(), 6, "the first of this round was unwanted too");
    assert_eq!(current(&rig, news).await, current(&rig, same).await);
    one_change_is_for_all_registrations(&rig, &smbd, [news, same]).await;
    smbd.set_password("games", OTHER);
    let lost = (OperationState::Failed, Some("auth_failed".to_owned()));
    assert_eq!(done(&rig, OperationKind::Test, games).await, lost);
    assert_eq!(state(&rig, games, "secret_state").await, json!("mismatch"));
    fill(
        &rig,
        at,
        json!({"username": "root", "privileged": true}),
        OLD,
    )
    .await;
    rig.pass(1_801);
    assert_eq!(
        done(&rig, OperationKind::ChangePassword, games).await,
        SUCCEEDED,
        "{:?}",
        rig.log
    );
    assert!(smbd.lets_in("games", &current(&rig, games).await));
    closes_and_opens(&rig, games, async |secret| smbd.lets_in("games", secret)).await;
}

/// An account of the domain that is registered for two devices has come to its end.
async fn one_change_is_for_all_registrations(rig: &Rig<'_>, smbd: &Smbd, ids: [InventoryId; 2]) {
    let end = rig.micros() + 1_000_000;
    let expire = format!("UPDATE credentials SET expires_at = {end} WHERE domain IS NOT NULL");
    rig.database.sql(&expire).await;
    rig.pass(2);
    let before = current(rig, ids[0]).await;
    let expired = "operations.expired_password";
    let outcome = rig.run(expired, json!({})).await.unwrap();
    assert_eq!(count(&outcome, "operations_ordered"), 1);
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let [new, other] = [current(rig, ids[0]).await, current(rig, ids[1]).await];
    assert!(new == other && new != before, "{:?}", rig.log);
    assert!(smbd.lets_in("news", &new));
    let changed = rig.rows("operations", "kind = 0 AND cause = 1").await;
    assert_eq!(changed, 1, "and once");
    // The other registration signs in by what it was given.
    assert_eq!(done(rig, OperationKind::Test, ids[1]).await, SUCCEEDED);
}

async fn a_command_runs_once_and_shows_no_secret(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let at = machine(&rig, &sshd).await;
    let id = credential(&rig, at, "ana", OLD).await;
    sshd.add_account("kay", OLD);
    let text = sshd.add_key("kay", &["-t", "ed25519"], "");
    let by_key =
        json!({"device": at, "username": "kay", "kind": "ssh_key", "automatic_change": false});
    let by_key = make(&rig, Noun::Credential, by_key, Some(&text)).await;
    let place = sshd.open_file("seen");
    let steps = |line: &str| format!("{line}\n{{account}}:{{password}}\n");
    let template = |name: &str, steps: String| json!({"name": name, "kind": "run_command", "protocol": "ssh", "steps": steps});
    let line = format!("sh -c 'tee -a {}; exit $1' name", place.display());
    let good = template("good", steps(&format!("{line} 0")));
    let bad = template("bad", steps(&format!("{line} 3")));
    let mut off = template("off", steps(&format!("{line} 0")));
    off["enabled"] = json!(false);
    let plain = template("plain", "/usr/bin/id {account}".to_owned());
    let mut ends = Vec::new();
    for (credential, body) in [(id, good), (id, bad), (id, off), (by_key, plain)] {
        let template = make(&rig, Noun::OperationTemplate, body, None).await;
        let order = robotd::store::operation::NewOperation {
            kind: OperationKind::RunTemplate,
            credential,
            run_at: None,
            expires_at: None,
            template: Some(template),
            priority: PRIORITY_DEFAULT,
            requested_by: "ana".to_owned(),
            cause: ChangeCause::Ordered,
        };
        let (store, registry) = (&rig.tools.store, &rig.tools.registry);
        let made = robotd::robot::operation::order(store, registry, vec![order], rig.now()).await;
        let outcome = rig.run(EXECUTOR, json!({})).await.unwrap();
        let found = stands(&rig, made.unwrap()[0]).await;
        assert_eq!(found.template, Some(template));
        assert_eq!(count(&outcome, "operations_again"), 0);
        ends.push((found.state, found.error_class));
    }
    let failed = |class: &str| (OperationState::Failed, Some(class.to_owned()));
    assert_eq!(
        ends,
        [SUCCEEDED, failed("protocol"), failed("invalid"), SUCCEEDED]
    );
    let seen = std::fs::read_to_string(place).unwrap();
    assert_eq!(seen, format!("ana:{OLD}\n").repeat(2));
    let log = rig.log.lock().unwrap().join("\n");
    assert!(
        log.contains("ana:[secret]") && log.contains("exited with 3"),
        "{log}"
    );
    assert!(!log.contains(OLD));
    for (shown, attempts) in [(OLD, 0), ("[secret]", 2)] {
        let shown = format!("detail LIKE '%{shown}%' OR steps LIKE '%{shown}%'");
        assert_eq!(rig.rows("operation_attempts", &shown).await, attempts);
    }
    // A command says nothing of the secret in force.
    assert_eq!(state(&rig, id, "secret_state").await, Value::Null);
}
