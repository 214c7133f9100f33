//! Accounts that are closed and opened again by another one.

use std::time::Duration;

use robotd::connect::ssh::{HostKeyPolicy, SshTarget};
use robotd::connect::target::{Credential, Limits, Login, Target as _};
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::OperationKind;
use robotd::robots::fitness;
use serde_json::json;

use super::targets::{SUCCEEDED, closes_and_opens, fill};
use super::{OLD, done, inventory, machine, make, opens};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(an_account_is_closed_for_its_password_and_for_its_key);

fn target(sshd: &Sshd) -> SshTarget {
    let limits = Limits {
        connect: Duration::from_secs(20),
        whole: Duration::from_secs(60),
    };
    let pinned = HostKeyPolicy::Pinned(vec![sshd.host_key("ed25519")]);
    SshTarget::new("127.0.0.1", sshd.port, pinned, limits)
}

async fn an_account_is_closed_for_its_password_and_for_its_key(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    for name in ["ana", "kay", "admin"] {
        sshd.add_account(name, OLD);
    }
    let [kay_key, admin_key] =
        ["kay", "admin"].map(|name| sshd.add_key(name, &["-t", "ed25519"], ""));
    sshd.allow_sudo("admin", "ALL=(root) NOPASSWD: /usr/sbin/usermod");
    let ana = fill(&rig, at, json!({"username": "ana"}), OLD).await;
    let kay = json!({"username": "kay", "kind": "ssh_key"});
    let kay = fill(&rig, at, kay, &kay_key).await;

    what_cannot_be_is_refused(&rig, at, (ana, kay), &admin_key).await;

    let shadow = sshd.shadow("ana");
    closes_and_opens(&rig, ana, async |secret| opens(&sshd, "ana", secret)).await;
    assert_eq!(sshd.shadow("ana"), shadow);
    let signs_in = async |key: &str| {
        let login = Login {
            account: "kay".to_owned(),
            credential: Credential::PrivateKey {
                key: key.into(),
                passphrase: None,
            },
        };
        target(&sshd).probe(&login).await.is_ok()
    };
    closes_and_opens(&rig, kay, signs_in).await;
    // What is closed is not worked on by robots that look for work.
    assert_eq!(done(&rig, OperationKind::Deactivate, ana).await, SUCCEEDED);
    rig.pass(90_000);
    let orders = format!("kind IN (0, 1) AND credential_id = {ana}");
    for robot in ["password_reconciliation", "expired_password"] {
        let name = format!("operations.{robot}");
        rig.run(&name, json!({})).await.unwrap();
        assert_eq!(rig.rows("operations", &orders).await, 0, "{robot}");
    }
}

/// By its kind of secret, its way, and who may do it.
async fn what_cannot_be_is_refused(
    rig: &Rig<'_>,
    at: InventoryId,
    (ana, kay): (InventoryId, InventoryId),
    admin_key: &str,
) {
    let refusal = async |kind, id| {
        let refused = fitness::refusal(&inventory(rig), kind, id).await.unwrap();
        refused.map(|error| format!("{} {}", error.field, error.detail))
    };
    let nobody = refusal(OperationKind::Deactivate, ana).await.unwrap();
    assert!(
        nobody.starts_with("kind does not fit") && nobody.contains("privileged"),
        "{nobody}"
    );
    let admin = json!({"username": "admin", "kind": "ssh_key", "privileged": true});
    let admin = fill(rig, at, admin, admin_key).await;
    let screen = json!({"hostname": "s", "address": "192.0.2.9", "connectivities": [{"protocol": "vnc", "port": 5900}]});
    let screen = make(rig, Noun::Device, screen, None).await;
    let viewer = fill(rig, screen, json!({"username": "viewer"}), OLD).await;
    for (kind, id, told) in [
        (OperationKind::Deactivate, ana, None),
        (OperationKind::Activate, kay, None),
        (OperationKind::Deactivate, admin, Some("kind does not fit")),
        (
            OperationKind::Activate,
            viewer,
            Some("credential the device has no connectivity"),
        ),
        (
            OperationKind::RotateSshKey,
            ana,
            Some("kind does not fit the credential: the secret is a password"),
        ),
        (
            OperationKind::ChangePassword,
            kay,
            Some("kind does not fit the credential: the secret is a key"),
        ),
        (OperationKind::RotateSshKey, kay, None),
    ] {
        let found = refusal(kind, id).await;
        let fits = match (&found, told) {
            (Some(found), Some(told)) => found.starts_with(told),
            (found, told) => found.is_none() && told.is_none(),
        };
        assert!(fits, "{kind} {id}: {found:?}");
    }
}
