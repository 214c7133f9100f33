//! Whatever the robots do with wrong secrets, and however often they are told to, no account locks.

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{ChangeCause, OperationKind};
use robotd::domain::task::PRIORITY_DEFAULT;
use robotd::robot::inventory::By;
use robotd::robot::operation::order;
use robotd::store::operation::NewOperation;
use serde_json::json;

use super::{EXECUTOR, RETRY, credential, device, inventory, machine, make};
use crate::robots::rig::Rig;
use crate::support::database::Database;
use crate::support::smbd::Smbd;
use crate::support::sshd::Sshd;

const RIGHT: &str = "Right-Horse-7";
const WRONG: &str = "Wrong-Horse-1";

/// 44, 45 and 46.
const ROBOTS: [&str; 3] = ["operations.password_reconciliation", EXECUTOR, RETRY];

/// What people and robots may do in `rounds` times 45 seconds: every kind is ordered as often as it can be, everything that
/// is due is begun, and what waits is begun before its time.
async fn storm(rig: &Rig<'_>, credentials: &[InventoryId], rounds: usize) {
    let (store, registry) = (&rig.tools.store, &rig.tools.registry);
    for _ in 0..rounds {
        for kind in [
            OperationKind::Test,
            OperationKind::Reconcile,
            OperationKind::ChangePassword,
        ] {
            let orders = credentials.iter().map(|credential| NewOperation {
                kind,
                credential: *credential,
                run_at: None,
                expires_at: None,
                template: None,
                priority: PRIORITY_DEFAULT,
                requested_by: "ana".to_owned(),
                cause: ChangeCause::Ordered,
            });
            order(store, registry, orders.collect(), rig.now())
                .await
                .unwrap();
        }
        rig.database
            .sql("UPDATE operations SET run_at = 0 WHERE state IN (0, 2, 3)")
            .await;
        for robot in ROBOTS {
            rig.run(robot, json!({})).await.unwrap();
        }
        rig.pass(45);
    }
}

/// One more secret that is wrong: that of a change which was cut off.
async fn candidate(rig: &Rig<'_>, id: InventoryId) {
    let by = By {
        actor: "test",
        now: rig.now(),
    };
    let (inventory, secret) = (inventory(rig), "Wrong-Camel-2".into());
    inventory.candidate_set(id, &secret, by).await.unwrap();
}

async fn privileged(rig: &Rig<'_>, device: InventoryId, name: &str) -> InventoryId {
    let body =
        json!({"device": device, "username": name, "automatic_change": true, "privileged": true});
    make(rig, Noun::Credential, body, Some(WRONG)).await
}

#[tokio::test]
async fn pam_faillock_never_locks() {
    let Some(sshd) = Sshd::start() else { return };
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let at = machine(&rig, &sshd).await;
    let names = ["ana", "bob", "admin"];
    for name in names {
        sshd.add_account(name, RIGHT);
    }
    let mut ids = Vec::from([privileged(&rig, at, "admin").await]);
    for name in &names[..2] {
        ids.push(credential(&rig, at, name, WRONG).await);
    }
    candidate(&rig, ids[1]).await;
    // Twice a window: the machine forgets what is older than fifteen minutes, which are half a window.
    for _ in 0..2 {
        storm(&rig, &ids, 3).await;
        for name in names {
            assert!(
                sshd.lets_in(name, RIGHT),
                "{name} is not locked: {:?}",
                rig.log
            );
            sshd.must(&["faillock", "--user", name, "--reset"], "");
        }
        rig.pass(1_801);
    }
    let refused = "SELECT (SELECT SUM(refused) FROM operation_attempts)";
    assert!(database.number(refused).await >= 8, "they were asked");
}

#[tokio::test]
async fn samba_never_locks() {
    let Some(smbd) = Smbd::start(RIGHT) else {
        return;
    };
    accounts_of_a_machine(&smbd).await;
    smbd.administrate("pdbedit", &["-z", "-u", "games"], "");
    registrations_of_an_account(&smbd).await;
}

async fn accounts_of_a_machine(smbd: &Smbd) {
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let at = device(&rig, "windows_rpc", smbd.port, json!(null)).await;
    let mut ids = Vec::from([privileged(&rig, at, "root").await]);
    for name in ["games", "news"] {
        ids.push(credential(&rig, at, name, WRONG).await);
    }
    candidate(&rig, ids[1]).await;
    storm(&rig, &ids, 3).await;
    for name in ["root", "games", "news"] {
        assert!(
            smbd.lets_in(name, RIGHT),
            "{name} is not locked: {:?}",
            rig.log
        );
    }
}

/// The credentials of one account of a domain share what it allows.
async fn registrations_of_an_account(smbd: &Smbd) {
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let mut ids = Vec::new();
    for hostname in ["one", "two", "three"] {
        let way = json!({"protocol": "windows_rpc", "port": smbd.port});
        let body = json!({"hostname": hostname, "address": "127.0.0.1", "connectivities": [way]});
        let at = make(&rig, Noun::Device, body, None).await;
        let body =
            json!({"device": at, "username": "games", "domain": "TEST", "automatic_change": true});
        ids.push(make(&rig, Noun::Credential, body, Some(WRONG)).await);
    }
    storm(&rig, &ids, 2).await;
    assert!(smbd.lets_in("games", RIGHT), "{:?}", rig.log);
}
