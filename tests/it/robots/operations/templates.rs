//! Passwords that are set by the commands of an operator's templates, as an account's policy says.

use std::os::unix::fs::PermissionsExt as _;

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{OperationKind, OperationState};
use robotd::robot::inventory::{By, NewItem};
use serde_json::{Value, json};

use super::{OLD, current, done, inventory, kept, machine, make, opens};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(passwords_are_set_by_the_templates_of_a_policy);

/// What somebody set behind robotd's back.
const OTHER: &str = "Somebody-else-5";

/// A script that notes by which template it was run, and sets what it reads.
fn script(sshd: &Sshd, name: &str, end: &str) -> String {
    let (path, used) = (sshd.open_file(name), sshd.open_file("used"));
    let text = format!(
        "echo \"$*\" >>{}\nIFS= read -r line\n{end}\n",
        used.display()
    );
    std::fs::write(&path, text).unwrap();
    format!(
        "/bin/sh {} {name} {{account}}\n{{account}}:{{new_password}}\n",
        path.display()
    )
}

async fn point(rig: &Rig<'_>, policy: InventoryId, body: Value) {
    let patch = NewItem {
        fields: body.as_object().unwrap().clone(),
        secret: None,
    };
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let noun = Noun::CredentialPolicy;
    inventory(rig)
        .change(noun, policy, None, &patch, by)
        .await
        .unwrap();
}

/// The three templates: one that changes, one that reconciles, and one that fails.
async fn templates(rig: &Rig<'_>, sshd: &Sshd) -> [InventoryId; 3] {
    let used = sshd.open_file("used");
    std::fs::write(&used, "").unwrap();
    std::fs::set_permissions(used, std::fs::Permissions::from_mode(0o666)).unwrap();
    let sets = "printf '%s\\n' \"$line\" | sudo -n /usr/sbin/chpasswd";
    let mut made = [InventoryId(0); 3];
    for (place, (name, kind, end)) in made.iter_mut().zip([
        ("change", "change_password", sets),
        ("reconcile", "reconcile_password", sets),
        ("broken", "change_password", "exit 3"),
    ]) {
        let steps = script(sshd, name, end);
        let body = json!({"name": name, "kind": kind, "protocol": "ssh", "steps": steps});
        *place = make(rig, Noun::OperationTemplate, body, None).await;
    }
    made
}

async fn passwords_are_set_by_the_templates_of_a_policy(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    for name in ["ana", "admin"] {
        sshd.add_account(name, OLD);
        sshd.allow_sudo(name, "ALL=(root) NOPASSWD: /usr/sbin/chpasswd");
    }
    let [change, reconcile, broken] = templates(&rig, &sshd).await;
    let policy = json!({"name": "p", "change_template": change, "reconcile_template": reconcile});
    let policy = make(&rig, Noun::CredentialPolicy, policy, None).await;
    let account = |name: &str| json!({"device": at, "username": name, "automatic_change": true});
    let (mut ana, mut admin) = (account("ana"), account("admin"));
    (ana["policy"], admin["privileged"]) = (json!(policy), json!(true));
    let ana = make(&rig, Noun::Credential, ana, Some(OLD)).await;
    make(&rig, Noun::Credential, admin, Some(OLD)).await;
    let succeeded = (OperationState::Succeeded, None);
    let changed = done(&rig, OperationKind::ChangePassword, ana).await;
    assert_eq!(changed, succeeded, "{:?}", rig.log);
    let new = current(&rig, ana).await;
    assert!(new != OLD && opens(&sshd, "ana", &new) && !opens(&sshd, "ana", OLD));
    sshd.set_password("ana", OTHER);
    rig.pass(1_801);
    let reset = done(&rig, OperationKind::Reconcile, ana).await;
    assert_eq!(reset, succeeded, "{:?}", rig.log);
    let new = current(&rig, ana).await;
    assert!(opens(&sshd, "ana", &new) && !opens(&sshd, "ana", OTHER));

    point(&rig, policy, json!({"change_template": broken})).await;
    what_a_failed_command_did_the_account_says(&rig, &sshd, ana, &new).await;
    point(&rig, policy, json!({"change_template": reconcile})).await;
    rig.pass(1_801);
    let wrong = (OperationState::Failed, Some("invalid".to_owned()));
    assert_eq!(done(&rig, OperationKind::Test, ana).await, wrong);
    let used = std::fs::read_to_string(sshd.open_file("used")).unwrap();
    assert_eq!(used, "change ana\nreconcile ana\nbroken ana\n");
    let log = rig.log.lock().unwrap().join("\n");
    assert!(!log.contains(&new) && !log.contains(OLD), "{log}");
    a_password_is_proven_by_the_template_too(&rig, &sshd, at).await;
}

async fn what_a_failed_command_did_the_account_says(
    rig: &Rig<'_>,
    sshd: &Sshd,
    ana: InventoryId,
    current_one: &str,
) {
    let open = (OperationState::Unverified, Some("protocol".to_owned()));
    let failed = done(rig, OperationKind::ChangePassword, ana).await;
    assert_eq!(failed, open, "{:?}", rig.log);
    assert!(kept(rig, ana).await[1].is_some() && opens(sshd, "ana", current_one));
    rig.pass(1_801);
    let settled = done(rig, OperationKind::Reconcile, ana).await;
    assert_eq!(settled, (OperationState::Succeeded, None), "{:?}", rig.log);
    assert!(kept(rig, ana).await[1].is_none() && current(rig, ana).await == current_one);
}

/// The command says no although the account has signed in: what was changed stays open until the command says yes.
async fn a_password_is_proven_by_the_template_too(rig: &Rig<'_>, sshd: &Sshd, at: InventoryId) {
    sshd.add_account("bob", OLD);
    let refuses = sshd.open_file("refuses");
    let end = format!("test ! -e {}", refuses.display());
    let steps = script(sshd, "verify", &end).replace("new_password", "password");
    let body =
        json!({"name": "verify", "kind": "verify_password", "protocol": "ssh", "steps": steps});
    let verify = make(rig, Noun::OperationTemplate, body, None).await;
    let policy = json!({"name": "q", "verify_template": verify});
    let policy = make(rig, Noun::CredentialPolicy, policy, None).await;
    let bob = json!({"device": at, "username": "bob", "automatic_change": true, "policy": policy});
    let bob = make(rig, Noun::Credential, bob, Some(OLD)).await;
    std::fs::write(&refuses, "").unwrap();
    let open = (OperationState::Unverified, Some("protocol".to_owned()));
    let changed = done(rig, OperationKind::ChangePassword, bob).await;
    assert_eq!(changed, open, "{:?}", rig.log);
    assert_eq!(current(rig, bob).await, OLD);
    let (_, candidate) = kept(rig, bob).await[1].clone().unwrap();
    assert!(opens(sshd, "bob", &candidate));
    std::fs::remove_file(refuses).unwrap();
    rig.pass(1_801);
    let settled = done(rig, OperationKind::Reconcile, bob).await;
    assert_eq!(settled, (OperationState::Succeeded, None), "{:?}", rig.log);
    assert_eq!(current(rig, bob).await, candidate);
    let used = std::fs::read_to_string(sshd.open_file("used")).unwrap();
    assert!(used.ends_with("verify bob\nverify bob\n"), "{used}");
    let log = rig.log.lock().unwrap().join("\n");
    assert!(!log.contains(&candidate) && !log.contains(OLD), "{log}");
}
