//! Keys that sign in, with a passphrase or without, and the accounts that set what nobody knows any more.

use robotd::clock::SystemClock;
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{OperationKind, OperationState};
use robotd::domain::secret::Secret;
use robotd::robot::inventory::{By, InventoryError, NewItem};
use serde_json::{Value, json};

use super::targets::{OTHER, SUCCEEDED, fill};
use super::{
    EXECUTOR, OLD, RETRY, current, done, inventory, kept, machine, make, opens, ordered, stands,
};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    an_encrypted_key_signs_in_by_its_passphrase_only,
    an_account_of_the_device_or_of_the_policy_sets_what_nobody_knows,
);

const PASSPHRASE: &str = "open-sesame-31";
const WRONG: &str = "closed-sesame-7";
const KEY: &[&str] = &["-t", "ed25519"];

fn failed(class: &str) -> (OperationState, Option<String>) {
    (OperationState::Failed, Some(class.to_owned()))
}

fn with(key: &str, passphrase: Option<&str>) -> Secret {
    Secret {
        text: key.into(),
        passphrase: passphrase.map(Into::into),
    }
}

async fn change(rig: &Rig<'_>, noun: Noun, id: InventoryId, body: Value, secret: Option<Secret>) {
    let patch = NewItem {
        fields: body.as_object().unwrap().clone(),
        secret,
    };
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let changed = inventory(rig).change(noun, id, None, &patch, by).await;
    changed.unwrap();
}

/// The account of a key, registered with it.
async fn key(rig: &Rig<'_>, at: InventoryId, name: &str, secret: Secret) -> InventoryId {
    let body =
        json!({"device": at, "username": name, "kind": "ssh_key", "automatic_change": false});
    let fields = body.as_object().unwrap().clone();
    let secret = Some(secret);
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let new = vec![NewItem { fields, secret }];
    let made = inventory(rig).create(Noun::Credential, new, by).await;
    made.unwrap()[0].id
}

async fn lies_nowhere(rig: &Rig<'_>, text: &str) {
    for (table, column) in [
        ("operation_attempts", "detail"),
        ("events", "body"),
        ("audit_trail", "after_json"),
        ("syslog_outbox", "text"),
    ] {
        let found = rig.rows(table, &format!("{column} LIKE '%{text}%'")).await;
        assert_eq!(found, 0, "{table}.{column}");
    }
    let log = rig.log.lock().unwrap().join("\n");
    assert!(!log.contains(text), "{log}");
}

async fn an_encrypted_key_signs_in_by_its_passphrase_only(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    let pkcs8 = &["-t", "rsa", "-b", "2048", "-m", "PKCS8"][..];
    for (name, form) in [("ana", KEY), ("bob", pkcs8)] {
        sshd.add_account(name, OLD);
        let text = sshd.add_key(name, form, PASSPHRASE);
        assert!(text.starts_with("-----BEGIN"));
        let id = key(&rig, at, name, with(&text, Some(PASSPHRASE))).await;
        assert_eq!(
            done(&rig, OperationKind::Test, id).await,
            SUCCEEDED,
            "{:?}",
            rig.log
        );
        let connections = || sshd.log().matches("Connection from").count();
        let spoken_to = connections();
        for wrong in [Some(WRONG), None] {
            change(
                &rig,
                Noun::Credential,
                id,
                json!({}),
                Some(with(&text, wrong)),
            )
            .await;
            let refused = done(&rig, OperationKind::Test, id).await;
            assert_eq!(refused, failed("passphrase"), "{wrong:?} {:?}", rig.log);
        }
        assert_eq!(connections(), spoken_to, "nobody was asked");
        for (table, spent) in [
            ("operation_attempts", "refused > 0"),
            ("sign_in_tries", "count > 0"),
        ] {
            assert_eq!(rig.rows(table, spent).await, 0, "{table}");
        }
        change(
            &rig,
            Noun::Credential,
            id,
            json!({}),
            Some(with(&text, Some(PASSPHRASE))),
        )
        .await;
        let rotated = rig.tools.safe.rotate(&SystemClock, |_| ()).await.unwrap();
        assert!(rotated.damaged.is_empty());
        let again = done(&rig, OperationKind::Test, id).await;
        assert_eq!(again, SUCCEEDED, "under another data key: {:?}", rig.log);
    }
    for text in [PASSPHRASE, WRONG, "-----BEGIN"] {
        lies_nowhere(&rig, text).await;
    }
}

/// Two administrators who sign in by keys, and whom `sudo` lets set passwords.
async fn an_account_of_the_device_or_of_the_policy_sets_what_nobody_knows(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    for name in ["ana", "bob", "admin", "common"] {
        sshd.add_account(name, OTHER);
    }
    let [own, common_key] = [("admin", ""), ("common", PASSPHRASE)].map(|(name, passphrase)| {
        sshd.allow_sudo(name, "ALL=(root) NOPASSWD: /usr/sbin/chpasswd");
        sshd.add_key(name, KEY, passphrase)
    });
    // An account that all machines have, registered once, elsewhere.
    let office = json!({"hostname": "office", "address": "192.0.2.1"});
    let office = make(&rig, Noun::Device, office, None).await;
    let common = key(&rig, office, "common", with(&common_key, Some(PASSPHRASE))).await;
    let policy = json!({"name": "p", "privileged_credential": common});
    let policy = make(&rig, Noun::CredentialPolicy, policy, None).await;
    it_is_not_removed(&rig, common).await;
    let lost = json!({"username": "ana", "policy": policy});
    let ana = fill(&rig, at, lost, OLD).await;
    what_is_disabled_sets_nothing(&rig, ana, (common, policy)).await;
    sshd.must(&["faillock", "--user", "ana", "--reset"], "");
    let reset = done(&rig, OperationKind::Reconcile, ana).await;
    assert_eq!(reset, SUCCEEDED, "{:?}", rig.log);
    let new = current(&rig, ana).await;
    assert!(new != OLD && opens(&sshd, "ana", &new) && !opens(&sshd, "ana", OTHER));
    let signed_in = || ["admin", "common"].map(|name| accepted(&sshd, name));
    assert_eq!(signed_in(), [0, 1]);

    // The device's own goes before.
    let admin = json!({"username": "admin", "kind": "ssh_key", "privileged": true});
    let admin = fill(&rig, at, admin, &own).await;
    let kept_as_it_is = done(&rig, OperationKind::ChangePassword, admin).await;
    assert_eq!(kept_as_it_is, failed("unsupported"));
    sshd.set_password("ana", OTHER);
    rig.pass(1_801);
    let reset = done(&rig, OperationKind::ChangePassword, ana).await;
    assert_eq!(reset, SUCCEEDED, "{:?}", rig.log);
    assert_eq!(signed_in(), [1, 1]);
    // Robots do not touch what they are not told to.
    let bob = json!({"username": "bob", "automatic_change": false});
    let bob = fill(&rig, at, bob, OLD).await;
    let lost = done(&rig, OperationKind::Reconcile, bob).await;
    assert_eq!(lost, failed("auth_failed"));
    assert!(opens(&sshd, "bob", OTHER) && kept(&rig, bob).await[1].is_none());
    for (event, times) in [("mismatch", 2), ("reconciled", 1)] {
        let told = format!("type = 'credential.{event}'");
        assert_eq!(rig.rows("events", &told).await, times, "{event}");
    }
    a_reset_without_a_try_left_is_proven_later(&rig, &sshd, ana).await;
}

/// How often an account was let in by its key.
fn accepted(sshd: &Sshd, name: &str) -> usize {
    let line = format!("Accepted publickey for {name}");
    sshd.log().matches(&line).count()
}

/// Neither a policy's credential that is disabled, nor that of a policy that does not hold.
async fn what_is_disabled_sets_nothing(
    rig: &Rig<'_>,
    ana: InventoryId,
    (common, policy): (InventoryId, InventoryId),
) {
    let why = "detail LIKE '%`privileged_credential` is disabled'";
    for (noun, id) in [(Noun::Credential, common), (Noun::CredentialPolicy, policy)] {
        change(rig, noun, id, json!({"enabled": false}), None).await;
        let lost = done(rig, OperationKind::Reconcile, ana).await;
        assert_eq!(lost, failed("auth_failed"), "{noun:?}");
        assert_eq!(rig.rows("operation_attempts", why).await, 1, "{noun:?}");
        change(rig, noun, id, json!({"enabled": true}), None).await;
        rig.pass(1_801);
    }
}

async fn it_is_not_removed(rig: &Rig<'_>, id: InventoryId) {
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let removed = inventory(rig).remove(Noun::Credential, id, None, by).await;
    let Err(InventoryError::Refused(reasons)) = removed else {
        panic!("{removed:?}")
    };
    let told = format!("{reasons:?}");
    assert!(told.contains("1 credential policy refers to it"), "{told}");
}

/// With a candidate that is false too, both tries are used: what is set then is proven after the window.
async fn a_reset_without_a_try_left_is_proven_later(rig: &Rig<'_>, sshd: &Sshd, ana: InventoryId) {
    rig.pass(1_801);
    sshd.set_password("ana", OTHER);
    let by = By {
        actor: "test",
        now: rig.now(),
    };
    let new = "Not-in-force-1";
    let inventory = inventory(rig);
    inventory.candidate_set(ana, &new.into(), by).await.unwrap();
    let operation = ordered(rig, OperationKind::Reconcile, ana).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let open = stands(rig, operation).await;
    assert_eq!(open.state, OperationState::Unverified);
    let shadow = sshd.shadow("ana");
    rig.pass(1_801);
    sshd.must(&["faillock", "--user", "ana", "--reset"], "");
    rig.run(RETRY, json!({})).await.unwrap();
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let done = stands(rig, operation).await;
    assert_eq!(done.state, OperationState::Succeeded, "{:?}", rig.log);
    assert_eq!(sshd.shadow("ana"), shadow, "it was set once");
    assert_eq!(current(rig, ana).await, new);
    assert!(opens(sshd, "ana", new));
}
