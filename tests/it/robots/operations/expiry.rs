//! Passwords whose time is over are changed, each once.

use robotd::domain::inventory::Noun;
use robotd::domain::operation::OperationState;
use robotd::robot::inventory::{By, NewItem};
use robotd::robot::outcome::Verdict;
use robotd::store::operation::OperationFilter;
use robotd::store::page::PageRequest;
use serde_json::json;

use super::{EXECUTOR, OLD, credential, current, device, inventory, machine, make, opens};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    an_expired_password_becomes_another_one_once,
    a_flood_is_ordered_by_quota_and_each_once,
    what_a_session_used_becomes_another_one,
    each_end_is_told_once_and_what_always_fails_is_stopped,
    only_what_stands_in_the_named_sites_is_changed,
);

const NAME: &str = "operations.expired_password";

async fn expire(rig: &Rig<'_>) {
    let sql = format!(
        "UPDATE credentials SET expires_at = {}",
        rig.micros() + 60_000_000
    );
    rig.database.sql(&sql).await;
}

async fn an_expired_password_becomes_another_one_once(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    sshd.add_account("ana", OLD);
    let id = credential(&rig, machine(&rig, &sshd).await, "ana", OLD).await;
    expire(&rig).await;
    let early = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(early.verdict, Verdict::Nothing);
    rig.pass(61);
    let due = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(count(&due, "operations_ordered"), 1);
    let open = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(open.verdict, Verdict::Nothing, "one is open");
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let new = current(&rig, id).await;
    assert!(new != OLD && opens(&sshd, "ana", &new), "{:?}", rig.log);
    rig.pass(3_601);
    let after = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(after.verdict, Verdict::Nothing, "it was changed since");
}

async fn a_flood_is_ordered_by_quota_and_each_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    for number in 0..7 {
        credential(&rig, at, &format!("u{number}"), OLD).await;
    }
    expire(&rig).await;
    rig.pass(61);
    let settings = json!({"quota": 4, "spread": "PT2M"});
    let mut ordered = Vec::new();
    for _ in 0..3 {
        let outcome = rig.run(NAME, settings.clone()).await.unwrap();
        ordered.push(count(&outcome, "operations_ordered"));
    }
    assert_eq!(ordered, [4, 3, 0]);
    let page = PageRequest {
        limit: 9,
        after: None,
    };
    let all = database
        .store
        .operation_list(OperationFilter::default(), page)
        .await
        .unwrap();
    assert!(
        all.items
            .iter()
            .all(|one| one.state == OperationState::Queued)
    );
    let mut starts: Vec<i64> = all
        .items
        .iter()
        .map(|one| (one.run_at - rig.now()).num_seconds())
        .collect();
    starts.sort_unstable();
    assert_eq!(starts, [0, 0, 30, 40, 60, 80, 90]);
    assert_eq!(rig.rows("events", "type = 'operation.requested'").await, 7);
}

async fn what_a_session_used_becomes_another_one(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let id = credential(&rig, at, "u", OLD).await;
    let policy = json!({"name": "p", "expires_after_use": "PT1H"});
    let policy = make(&rig, Noun::CredentialPolicy, policy, None).await;
    let with = format!("UPDATE credentials SET policy_id = {policy}");
    database.sql(&with).await;
    rig.pass(60);
    let ended = json!({"type": "session.ended", "data": {"credential": id}});
    for noted in [1, 0] {
        let outcome = rig.run_with(NAME, json!({}), ended.clone()).await.unwrap();
        assert_eq!(
            count(&outcome, "uses_noted"),
            noted,
            "the same event is no news"
        );
    }
    let early = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(early.verdict, Verdict::Nothing);
    rig.pass(3_600);
    let due = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(count(&due, "operations_ordered"), 1);
    assert_eq!(rig.rows("operations", "cause = 4").await, 1);
}

/// What a run ordered, told and stopped.
async fn came_to(rig: &Rig<'_>) -> [i64; 3] {
    let outcome = rig.run(NAME, json!({"failures_max": 2})).await.unwrap();
    ["operations_ordered", "ends_told", "changes_stopped"].map(|what| count(&outcome, what))
}

async fn each_end_is_told_once_and_what_always_fails_is_stopped(database: &Database) {
    let rig = Rig::new(database, None).await;
    // Nobody changes passwords over Telnet.
    let at = device(&rig, "telnet", 23, json!(null)).await;
    let id = credential(&rig, at, "ana", OLD).await;
    let by_hand = json!({"device": at, "username": "bob", "automatic_change": false});
    make(&rig, Noun::Credential, by_hand, Some(OLD)).await;
    let told = async || rig.rows("events", "type = 'credential.expired'").await;
    expire(&rig).await;
    rig.pass(61);
    assert_eq!(came_to(&rig).await, [1, 2, 0]);
    let other = "notifications.expiration_notification";
    rig.run(other, json!({})).await.unwrap();
    assert_eq!(told().await, 2, "each once, whoever tells it");
    let audited =
        "action = 'credential.expired' AND after_json LIKE '%\"automatic_change\":false%'";
    assert_eq!(rig.rows("audit_trail", audited).await, 1, "bob's");
    rig.run(EXECUTOR, json!({})).await.unwrap();
    rig.pass(3_601);
    assert_eq!(came_to(&rig).await, [1, 0, 0]);
    rig.run(EXECUTOR, json!({})).await.unwrap();
    rig.pass(3_601);
    assert_eq!(came_to(&rig).await, [0, 0, 1], "{:?}", rig.log);
    rig.pass(3_601);
    assert_eq!(came_to(&rig).await, [0, 0, 0]);
    let stopped = "type = 'credential.change_stopped'";
    assert_eq!(rig.rows("events", stopped).await, 1);
    let item = inventory(&rig).get(Noun::Credential, id).await.unwrap();
    assert!(item.state["change_stopped_at"].is_string());
    // Somebody looks after the device: it is tried anew. Another end is told once, too, by the other robot this time.
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let patch = json!({"description": "repaired"});
    let patch = NewItem {
        fields: patch.as_object().unwrap().clone(),
        secret: None,
    };
    let inventory = inventory(&rig);
    let changed = inventory.change(Noun::Device, at, None, &patch, by);
    changed.await.unwrap();
    expire(&rig).await;
    rig.pass(61);
    rig.run(other, json!({})).await.unwrap();
    assert_eq!(told().await, 4);
    assert_eq!(came_to(&rig).await, [1, 0, 0]);
    assert_eq!(told().await, 4);
}

async fn only_what_stands_in_the_named_sites_is_changed(database: &Database) {
    let rig = Rig::new(database, None).await;
    for (hostname, site) in [("a", Some("Rio")), ("b", Some("Oslo")), ("c", None)] {
        let site = match site {
            Some(name) => Some(make(&rig, Noun::Site, json!({"name": name}), None).await),
            None => None,
        };
        let body = json!({"hostname": hostname, "address": "127.0.0.1", "site": site});
        let at = make(&rig, Noun::Device, body, None).await;
        credential(&rig, at, "ana", OLD).await;
    }
    expire(&rig).await;
    rig.pass(61);
    for (sites, ordered) in [
        (json!(["nowhere"]), 0),
        (json!(["RIO", "nowhere"]), 1),
        (json!(["rio"]), 0),
        (json!([]), 2),
    ] {
        let outcome = rig.run(NAME, json!({"sites": sites})).await.unwrap();
        assert_eq!(count(&outcome, "operations_ordered"), ordered, "{sites}");
    }
    let many = vec!["x"; 101];
    for wrong in [json!([""]), json!(many)] {
        let settings = json!({"sites": wrong});
        let definition = robotd::robots::catalog()
            .iter()
            .map(|robot| robot.definition().unwrap())
            .find(|definition| definition.identity.name == NAME)
            .unwrap();
        let refused = (definition.check_settings)(&settings).unwrap_err();
        assert_eq!(refused.field, "settings.sites");
    }
}
