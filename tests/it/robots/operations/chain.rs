//! Secrets that are changed after another one's.

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::OperationKind;
use robotd::robot::inventory::{By, InventoryError, NewItem};
use serde_json::{Value, json};

use super::targets::{SUCCEEDED, fill};
use super::{EXECUTOR, OLD, current, done, inventory, machine, opens, ordered};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(who_follows_is_changed_after_each_change_and_once);

/// Changes fields, or the secret; the reasons where it was refused.
async fn patched(
    rig: &Rig<'_>,
    id: InventoryId,
    fields: Value,
    secret: Option<&str>,
) -> Result<(), String> {
    let patch = NewItem {
        fields: fields.as_object().unwrap().clone(),
        secret: secret.map(Into::into),
    };
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let changed = inventory(rig)
        .change(Noun::Credential, id, None, &patch, by)
        .await;
    match changed {
        Ok(_) => Ok(()),
        Err(InventoryError::Refused(reasons)) => Err(format!("{reasons:?}")),
        Err(error) => panic!("{error}"),
    }
}

/// How many operations each has had.
async fn operations(rig: &Rig<'_>, ids: &[InventoryId]) -> Vec<i64> {
    let mut counts = Vec::new();
    for id in ids {
        let of = format!("credential_id = {id}");
        counts.push(rig.rows("operations", &of).await);
    }
    counts
}

async fn who_follows_is_changed_after_each_change_and_once(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    let mut ids = Vec::new();
    for (name, parent, automatic) in [
        ("root-of-all", None, true),
        ("child", Some(0), true),
        ("grandchild", Some(1), true),
        ("by-hand", Some(0), false),
    ] {
        sshd.add_account(name, OLD);
        let parent = parent.map(|index: usize| ids[index]);
        let body = json!({"username": name, "parent": parent, "automatic_change": automatic});
        ids.push(fill(&rig, at, body, OLD).await);
    }
    let [top, child, grandchild, by_hand] = ids[..] else {
        panic!("{ids:?}")
    };
    // The one below is ordered first, and waits for the one above: both are changed once.
    ordered(&rig, OperationKind::ChangePassword, child).await;
    assert_eq!(
        done(&rig, OperationKind::ChangePassword, top).await,
        SUCCEEDED
    );
    rig.run(EXECUTOR, json!({})).await.unwrap();
    assert_eq!(operations(&rig, &ids).await, [1, 1, 1, 0]);
    for (name, id) in [
        ("root-of-all", top),
        ("child", child),
        ("grandchild", grandchild),
    ] {
        let new = current(&rig, id).await;
        assert!(
            new != OLD && opens(&sshd, name, &new),
            "{name}: {:?}",
            rig.log
        );
    }
    assert_eq!(current(&rig, by_hand).await, OLD);
    assert_eq!(rig.rows("credential_links", "due_at IS NOT NULL").await, 0);

    whoever_changes_it(&rig, &sshd, &ids).await;
    no_circle_and_no_tower(&rig, at, [top, child, grandchild]).await;
}

/// Robot or person; what stands above stays, and who follows nobody any more is left alone.
async fn whoever_changes_it(rig: &Rig<'_>, sshd: &Sshd, ids: &[InventoryId]) {
    let (child, grandchild) = (ids[1], ids[2]);
    sshd.set_password("child", "By-hand-77");
    patched(rig, child, json!({}), Some("By-hand-77"))
        .await
        .unwrap();
    rig.run(EXECUTOR, json!({})).await.unwrap();
    assert_eq!(operations(rig, ids).await, [1, 1, 2, 0]);
    let by_robot = "kind = 0 AND requested_by = 'operations.operation_executor'";
    assert_eq!(rig.rows("operations", by_robot).await, 2);

    patched(rig, grandchild, json!({"parent": null}), None)
        .await
        .unwrap();
    assert_eq!(
        done(rig, OperationKind::ChangePassword, child).await,
        SUCCEEDED
    );
    assert_eq!(operations(rig, ids).await, [1, 2, 2, 0]);
    patched(rig, grandchild, json!({"parent": child}), None)
        .await
        .unwrap();
}

/// Nobody follows itself, nor stands under more than eight others; who is followed is not removed.
async fn no_circle_and_no_tower(
    rig: &Rig<'_>,
    at: InventoryId,
    [top, child, grandchild]: [InventoryId; 3],
) {
    for (id, parent) in [(top, top), (top, grandchild), (child, grandchild)] {
        let refused = patched(rig, id, json!({"parent": parent}), None)
            .await
            .unwrap_err();
        assert!(refused.contains("below it"), "{refused}");
    }
    let (mut last, mut above) = (grandchild, 3);
    let refused = loop {
        let body = json!({"username": format!("deep-{above}")});
        let next = fill(rig, at, body, OLD).await;
        match patched(rig, next, json!({"parent": last}), None).await {
            Ok(()) => (last, above) = (next, above + 1),
            Err(why) => break why,
        }
    };
    assert!(
        above == 9 && refused.contains("more than 8"),
        "{above}: {refused}"
    );
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let inventory = inventory(rig);
    let removed = inventory.remove(Noun::Credential, top, None, by);
    let removed = format!("{:?}", removed.await.unwrap_err());
    assert!(removed.contains("2 credentials refer to it"), "{removed}");
}
