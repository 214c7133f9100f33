//! Keys that give way to others: by a whole operation, and cut off at each step.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use robotd::connect::ssh::{HostKeyPolicy, SshTarget};
use robotd::connect::target::{
    AdmissionOrder, Command, Credential, Failure, Limits, Login, PasswordChange, Probed, Ran,
    Target,
};
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::{CredentialKind, Noun};
use robotd::domain::operation::{AttemptEnd, OperationKind, OperationState};
use robotd::domain::secret::Secret;
use robotd::robot::inventory::{By, NewItem};
use robotd::robots::password_change::{Ended, Place, Tries};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::Notify;

use super::targets::SUCCEEDED;
use super::{done, inventory, kept, machine, ordered};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(a_key_gives_way_to_another);

const PASSWORD: &str = "Right-Horse-7";
const PASSPHRASE: &str = "open-sesame-31";
const ED25519: &[&str] = &["-t", "ed25519"];
const RSA: &[&str] = &["-t", "rsa", "-b", "2048"];

/// The accounts' own files, and one of this machine's that they cannot write to.
const KEYS: &str = "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys-%u";

fn target(sshd: &Sshd) -> SshTarget {
    let limits = Limits {
        connect: Duration::from_secs(20),
        whole: Duration::from_secs(60),
    };
    let pinned = HostKeyPolicy::Pinned(vec![sshd.host_key("ed25519")]);
    SshTarget::new("127.0.0.1", sshd.port, pinned, limits)
}

async fn signs_in(sshd: &Sshd, name: &str, key: &str, passphrase: &str) -> bool {
    let login = Login {
        account: name.to_owned(),
        credential: Credential::PrivateKey {
            key: key.into(),
            passphrase: (!passphrase.is_empty()).then(|| SecretString::from(passphrase)),
        },
    };
    target(sshd).probe(&login).await.is_ok()
}

async fn register(
    rig: &Rig<'_>,
    at: InventoryId,
    name: &str,
    key: &str,
    passphrase: &str,
) -> InventoryId {
    let body = json!({"device": at, "username": name, "kind": "ssh_key", "automatic_change": true});
    let new = NewItem {
        fields: body.as_object().unwrap().clone(),
        secret: Some(Secret {
            text: key.into(),
            passphrase: (!passphrase.is_empty()).then(|| passphrase.into()),
        }),
    };
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let made = inventory(rig).create(Noun::Credential, vec![new], by).await;
    made.unwrap()[0].id
}

async fn a_key_gives_way_to_another(database: &Database) {
    let Some(sshd) = Sshd::start_with(KEYS) else {
        return;
    };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    let options = "no-agent-forwarding,environment=\"A=b c\",from=\"127.0.0.1\"";
    for (name, kind, passphrase, word) in [
        ("ana", ED25519, PASSPHRASE, "ssh-ed25519"),
        ("bob", RSA, "", "ssh-rsa"),
        ("joe", &["-t", "ecdsa"], "", "ssh-ed25519"),
    ] {
        sshd.add_account(name, PASSWORD);
        let old = sshd.add_own_key(name, kind, passphrase, options);
        let before = sshd.must(&["cat", &sshd.own_keys(name)], "");
        let id = register(&rig, at, name, &old, passphrase).await;
        let operation = ordered(&rig, OperationKind::RotateSshKey, id).await;
        rig.run(super::EXECUTOR, json!({})).await.unwrap();
        let ended = super::stands(&rig, operation).await;
        assert_eq!(
            ended.state,
            OperationState::Succeeded,
            "{name}: {:?}",
            rig.log
        );
        let [current, candidate] = kept(&rig, id).await;
        let (version, new) = current.unwrap();
        assert_eq!(
            (version, candidate, ended.candidate),
            (2, None, Some(2)),
            "{name}"
        );
        assert!(signs_in(&sshd, name, &new, passphrase).await, "{name}");
        assert!(!signs_in(&sshd, name, &old, passphrase).await, "{name}");
        assert!(
            passphrase.is_empty() || !signs_in(&sshd, name, &new, "").await,
            "it is encrypted"
        );
        only_the_key_is_another(&sshd, name, &before, &format!("{options} {word} "));
        let attempts = rig.tools.store.operation_attempts(operation).await.unwrap();
        let steps: Vec<_> = attempts[0]
            .steps
            .iter()
            .map(|step| &step.what[..7])
            .collect();
        assert_eq!(steps, ["run `sh", "sign in", "run `sh"], "{name}");
        let told = serde_json::to_string(&attempts[0].steps).unwrap();
        assert!(
            told.contains("robotd-done") && !told.contains("PRIVATE KEY"),
            "{told}"
        );
        assert_eq!(done(&rig, OperationKind::Test, id).await, SUCCEEDED);
    }
    assert_eq!(
        rig.rows("events", "type = 'credential.password_changed'")
            .await,
        3
    );
    what_cannot_be_edited_is_left_alone(&rig, &sshd, at).await;
}

/// The line of the new key begins with `line`; all else is as it was.
fn only_the_key_is_another(sshd: &Sshd, name: &str, before: &str, line: &str) {
    let after = sshd.must(&["cat", &sshd.own_keys(name)], "");
    let (was, is): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let whole = |lines: &[&str]| (lines.len(), lines[0].to_owned());
    assert_eq!(whole(&is), whole(&was), "{name}: the comment stays");
    let (old, new) = (was.last().unwrap(), is.last().unwrap());
    assert!(new.starts_with(line), "{new}");
    assert_eq!(old.rsplit(' ').next(), new.rsplit(' ').next(), "{name}");
    let stat = sshd.must(&["stat", "-c", "%a %U", &sshd.own_keys(name)], "");
    assert_eq!(stat.trim(), format!("640 {name}"));
}

/// A key that lies elsewhere, and one that may run one command only.
async fn what_cannot_be_edited_is_left_alone(rig: &Rig<'_>, sshd: &Sshd, at: InventoryId) {
    sshd.add_account("eve", PASSWORD);
    let elsewhere = sshd.add_own_key("eve", ED25519, "", "restrict");
    sshd.must(&["mv", &sshd.own_keys("eve"), "/etc/ssh/keys-eve"], "");
    sshd.must(&["chmod", "644", "/etc/ssh/keys-eve"], "");
    sshd.add_account("kim", PASSWORD);
    let forced = sshd.add_own_key("kim", ED25519, "", "command=\"true\"");
    for (name, key) in [("eve", elsewhere), ("kim", forced)] {
        let id = register(rig, at, name, &key, "").await;
        let failed = (OperationState::Failed, Some("unsupported".to_owned()));
        assert_eq!(
            done(rig, OperationKind::RotateSshKey, id).await,
            failed,
            "{:?}",
            rig.log
        );
        let [current, candidate] = kept(rig, id).await;
        assert_eq!(
            (current.unwrap().1, candidate),
            (key.clone(), None),
            "{name}"
        );
        assert!(signs_in(sshd, name, &key, "").await, "{name}");
    }
}

/// Where the robot dies: at so many a call of its target, before or after it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dies {
    Before(usize),
    After(usize),
}

/// A real machine whose robot dies.
struct Deadly {
    real: SshTarget,
    dies: Option<Dies>,
    calls: AtomicUsize,
    reached: Notify,
}

impl Deadly {
    async fn call<T>(&self, work: impl Future<Output = T>) -> T {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.dies_if(Dies::Before(call)).await;
        let done = work.await;
        self.dies_if(Dies::After(call)).await;
        done
    }

    async fn dies_if(&self, here: Dies) {
        if self.dies == Some(here) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Target for Deadly {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        self.call(self.real.probe(login)).await
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        self.call(self.real.change_password(change)).await
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        self.call(self.real.admit(order)).await
    }

    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        self.call(self.real.run(login, command)).await
    }
}

/// One attempt; none where the robot died in it.
async fn attempt(
    (rig, sshd): (&Rig<'_>, &Sshd),
    (id, account): (InventoryId, &str),
    kind: OperationKind,
    dies: Option<Dies>,
) -> Option<Ended> {
    let target = Deadly {
        real: target(sshd),
        dies,
        calls: AtomicUsize::new(0),
        reached: Notify::new(),
    };
    let inventory = inventory(rig);
    let place = Place {
        inventory: &inventory,
        clock: rig.clock.as_ref(),
        target: &target,
        credential: id,
        account,
        kind: CredentialKind::SshKey,
        actor: "robot",
    };
    let mut tries = Tries::new(2);
    let work = async {
        match kind {
            OperationKind::Reconcile => place.reconcile(&mut tries).await,
            _ => place.rotate(&mut tries).await,
        }
    };
    tokio::select! {
        ended = work => Some(ended.unwrap()),
        () = target.reached.notified() => None,
    }
}

/// The calls of a rotation: it adds the new key, tries it, and takes the old one out.
#[tokio::test]
async fn a_rotation_that_dies_leaves_a_recorded_key_that_opens() {
    let Some(sshd) = Sshd::start_with(KEYS) else {
        return;
    };
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let at = machine(&rig, &sshd).await;
    let (rotate, reconcile) = (OperationKind::RotateSshKey, OperationKind::Reconcile);
    for (number, (dies, settles, changed)) in [
        (Dies::Before(1), rotate, true),
        (Dies::Before(1), reconcile, false),
        (Dies::After(1), rotate, true),
        (Dies::After(1), reconcile, true),
        (Dies::Before(2), rotate, true),
        (Dies::After(2), rotate, true),
        (Dies::Before(3), reconcile, true),
        (Dies::After(3), rotate, true),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("u{number}");
        sshd.add_account(&name, PASSWORD);
        let old = sshd.add_own_key(&name, ED25519, "", "restrict");
        let id = register(&rig, at, &name, &old, "").await;
        let place = (&rig, &sshd);
        let died = attempt(place, (id, &name), rotate, Some(dies)).await;
        assert_eq!(died, None, "{dies:?}");
        let recorded = kept(&rig, id).await.map(Option::unwrap);
        let mut opening = 0;
        for (_, key) in &recorded {
            opening += usize::from(signs_in(&sshd, &name, key, "").await);
        }
        assert!(opening > 0, "{dies:?}: a recorded key opens the account");

        let ended = attempt(place, (id, &name), settles, None).await.unwrap();
        assert_eq!(ended.end, AttemptEnd::Done, "{dies:?}: {:?}", ended.detail);
        let [current, candidate] = kept(&rig, id).await;
        let current = current.unwrap().1;
        assert_eq!((candidate, current != old), (None, changed), "{dies:?}");
        if changed {
            assert_eq!(current, recorded[1].1, "{dies:?}: the same candidate");
        }
        assert!(signs_in(&sshd, &name, &current, "").await, "{dies:?}");
        let lines = sshd.must(&["cat", &sshd.own_keys(&name)], "");
        let keys = lines.lines().filter(|line| line.starts_with("restrict "));
        assert_eq!(keys.count(), 1, "{dies:?}: {lines}");
    }
}

/// A candidate that was let in, and that somebody narrowed since, goes with its line.
#[tokio::test]
async fn a_key_that_does_not_open_is_taken_back_with_its_line() {
    let Some(sshd) = Sshd::start_with(KEYS) else {
        return;
    };
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let at = machine(&rig, &sshd).await;
    sshd.add_account("ana", PASSWORD);
    let old = sshd.add_own_key("ana", ED25519, "", "restrict");
    let id = register(&rig, at, "ana", &old, "").await;
    let (place, rotate) = ((&rig, &sshd), OperationKind::RotateSshKey);
    let died = attempt(place, (id, "ana"), rotate, Some(Dies::After(1))).await;
    assert_eq!(died, None);
    let file = sshd.own_keys("ana");
    let before = sshd.must(&["cat", &file], "");
    let candidate = before.lines().last().unwrap();
    let narrowed = before.replace(candidate, &format!("from=\"192.0.2.1\",{candidate}"));
    sshd.must(&["sh", "-c", &format!("cat > {file}")], &narrowed);

    let reconcile = OperationKind::Reconcile;
    let ended = attempt(place, (id, "ana"), reconcile, None).await.unwrap();
    assert_eq!(ended.end, AttemptEnd::Done, "{:?}", ended.detail);
    let [current, none] = kept(&rig, id).await;
    assert_eq!((current.unwrap().1, none), (old, None));
    let after = sshd.must(&["cat", &file], "");
    assert_eq!(after.lines().count() + 1, before.lines().count(), "{after}");
    assert!(!after.contains("192.0.2.1"), "{after}");
}
