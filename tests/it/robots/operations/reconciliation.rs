//! Reconciliation: who is asked, how often, and what is found.

use robotd::domain::alert::Level;
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{OperationKind, OperationState};
use robotd::robot::inventory::By;
use robotd::robot::outcome::Verdict;
use robotd::store::operation::OperationFilter;
use robotd::store::page::PageRequest;
use serde_json::{Value, json};

use super::{EXECUTOR, OLD, credential, current, device, inventory, kept, machine, make, opens};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    accounts_are_asked_once_a_day_and_open_changes_are_settled,
    a_device_with_many_wrong_secrets_is_left_alone,
    an_account_of_a_domain_is_asked_once_whoever_registered_it,
);

const NAME: &str = "operations.password_reconciliation";
/// All of them at once.
const NOW: &str = r#"{"spread": "PT0S"}"#;

async fn ordered(rig: &Rig<'_>, payload: Value) -> i64 {
    let settings = serde_json::from_str(NOW).unwrap();
    let outcome = rig.run_with(NAME, settings, payload).await.unwrap();
    let found = count(&outcome, "operations_ordered");
    assert_eq!(found == 0, outcome.verdict == Verdict::Nothing);
    found
}

/// What the account last said.
async fn found(rig: &Rig<'_>, id: InventoryId) -> Value {
    let item = inventory(rig).get(Noun::Credential, id).await.unwrap();
    item.state["secret_state"].clone()
}

async fn accounts_are_asked_once_a_day_and_open_changes_are_settled(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let at = machine(&rig, &sshd).await;
    let mut ids = Vec::new();
    for name in ["ana", "bob", "eve"] {
        sshd.add_account(name, OLD);
        ids.push(credential(&rig, at, name, OLD).await);
    }
    // Bob's was changed behind our back; eve's change was cut off when the machine had it.
    sshd.set_password("bob", "Somebody-else-5");
    let by = By {
        actor: "test",
        now: rig.now(),
    };
    let new = "Candidate-Horse-9";
    inventory(&rig)
        .candidate_set(ids[2], &new.into(), by)
        .await
        .unwrap();
    sshd.set_password("eve", new);

    assert_eq!(ordered(&rig, Value::Null).await, 3);
    assert_eq!(ordered(&rig, Value::Null).await, 0, "they are open");
    rig.run(EXECUTOR, json!({})).await.unwrap();
    for (id, state) in ids.iter().zip(["match", "mismatch", "match"]) {
        assert_eq!(found(&rig, *id).await, json!(state), "{:?}", rig.log);
    }
    assert_eq!(current(&rig, ids[2]).await, new);
    assert_eq!(kept(&rig, ids[2]).await[1], None);
    assert!(opens(&sshd, "eve", new));
    for (kind, times) in [("credential.reconciled", 1), ("credential.mismatch", 1)] {
        assert_eq!(
            rig.rows("events", &format!("type = '{kind}'")).await,
            times,
            "{kind}"
        );
    }
    accounts_are_left_alone_for_a_day(&rig, &ids).await;
}

async fn accounts_are_left_alone_for_a_day(rig: &Rig<'_>, ids: &[InventoryId]) {
    rig.pass(12 * 3_600);
    assert_eq!(ordered(rig, Value::Null).await, 0, "once a day");
    // But a suspicion is followed, for the one that it is of.
    let suspicion = json!({"type": "credential.suspect_mismatch", "data": {"credential": ids[0]}});
    assert_eq!(ordered(rig, suspicion.clone()).await, 1);
    rig.run(EXECUTOR, json!({})).await.unwrap();
    rig.pass(600);
    assert_eq!(
        ordered(rig, suspicion).await,
        0,
        "it was asked a moment ago"
    );
    rig.pass(13 * 3_600);
    assert_eq!(
        ordered(rig, Value::Null).await,
        2,
        "but ana, who was suspected"
    );
    // What the account says is not lost when it cannot be asked.
    rig.database
        .sql("UPDATE device_connectivities SET port = 1")
        .await;
    rig.run(EXECUTOR, json!({"attempts": {"max_attempts": 1}}))
        .await
        .unwrap();
    assert_eq!(found(rig, ids[1]).await, json!("mismatch"));
    assert_eq!(
        rig.rows("events", "type = 'credential.unreachable'").await,
        2
    );
    let filter = OperationFilter {
        kind: Some(OperationKind::Reconcile),
        ..OperationFilter::default()
    };
    let page = PageRequest {
        limit: 9,
        after: None,
    };
    let all = rig
        .tools
        .store
        .operation_list(filter, page)
        .await
        .unwrap()
        .items;
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|one| one.state != OperationState::Running));
}

async fn a_device_with_many_wrong_secrets_is_left_alone(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    for name in ["ana", "bob", "eve", "kim"] {
        credential(&rig, at, name, OLD).await;
    }
    let wrong = |count: i64| {
        format!(
            "UPDATE credentials SET secret_state = 'mismatch', secret_tested_at = {} WHERE id IN \
             (SELECT id FROM credentials ORDER BY id LIMIT {count})",
            rig.micros() - 3_600_000_000
        )
    };
    let settings = json!({"device_mismatches": 2});
    rig.database.sql(&wrong(2)).await;
    let none = rig.run(NAME, settings.clone()).await.unwrap();
    assert_eq!(none.verdict, Verdict::Nothing);
    rig.database
        .sql("UPDATE credentials SET secret_state = NULL, secret_tested_at = NULL")
        .await;
    rig.database.sql(&wrong(1)).await;
    some_are_never_asked(&rig).await;
    let rest = rig.run(NAME, settings).await.unwrap();
    assert_eq!(count(&rest, "operations_ordered"), 3);
}

/// One of four secrets is wrong, and the others are due.
async fn some_are_never_asked(rig: &Rig<'_>) {
    rig.database
        .sql("UPDATE credentials SET tags = '[\"quiet\"]' WHERE username = 'eve'")
        .await;
    let kim = make(rig, Noun::User, json!({"login": "Kim"}), None).await;
    let group = json!({"name": "Auditors", "members": [kim]});
    make(rig, Noun::UserGroup, group, None).await;
    for exclude in [
        json!({"usernames": ["BOB"], "tags": ["quiet"], "user_groups": ["auditors"]}),
        json!({"hostnames": ["H22"]}),
    ] {
        let outcome = rig.run(NAME, json!({"exclude": exclude})).await.unwrap();
        assert_eq!(outcome.verdict, Verdict::Nothing, "{exclude}");
    }
    let suspicion = rig
        .database
        .number("SELECT id FROM credentials WHERE username = 'bob'");
    let suspicion = json!({"data": {"credential": suspicion.await.to_string()}});
    let exclude = json!({"exclude": {"usernames": ["bob"]}});
    let outcome = rig.run_with(NAME, exclude, suspicion).await.unwrap();
    assert_eq!(outcome.verdict, Verdict::Nothing);
    // The others are excluded, so that nothing is ordered here.
    for (alert_from, hosts, level) in [
        (2, Vec::new(), Level::Ok),
        (1, Vec::new(), Level::Warning),
        (1, Vec::from(["h22"]), Level::Ok),
    ] {
        let exclude = json!({"hostnames": hosts, "usernames": ["bob", "eve", "kim"]});
        let settings = json!({"alert_from": alert_from, "exclude": exclude});
        rig.run(NAME, settings).await.unwrap();
        let known = rig.tools.store.alert_list("reconciliation:").await.unwrap();
        let found = known.first().map_or(Level::Ok, |state| state.level);
        assert_eq!(found, level, "{alert_from} {hosts:?}");
    }
}

/// What is open ends: with an answer of the account, or without one.
async fn ends(rig: &Rig<'_>, answered: bool) {
    let now = rig.micros();
    if answered {
        let asked = "SELECT credential_id FROM operations WHERE finished_at IS NULL";
        let sql = format!("UPDATE credentials SET secret_tested_at = {now} WHERE id IN ({asked})");
        rig.database.sql(&sql).await;
    }
    let state = if answered { 4 } else { 5 };
    let sql = format!(
        "UPDATE operations SET state = {state}, finished_at = {now} WHERE finished_at IS NULL"
    );
    rig.database.sql(&sql).await;
}

async fn an_account_of_a_domain_is_asked_once_whoever_registered_it(database: &Database) {
    let rig = Rig::new(database, None).await;
    let mut ids = Vec::new();
    for hostname in ["one", "two", "three"] {
        let way = json!({"protocol": "windows_rpc", "port": 445});
        let body = json!({"hostname": hostname, "address": "127.0.0.1", "connectivities": [way]});
        let at = make(&rig, Noun::Device, body, None).await;
        let body =
            json!({"device": at, "username": "news", "domain": "TEST", "automatic_change": true});
        ids.push(make(&rig, Noun::Credential, body, Some(OLD)).await);
    }
    let asked = async || {
        let open = "SELECT max(credential_id) FROM operations WHERE finished_at IS NULL";
        InventoryId(rig.database.number(open).await)
    };
    let suspicion = |id: InventoryId| json!({"type": "credential.suspect_mismatch", "data": {"credential": id}});
    assert_eq!(ordered(&rig, Value::Null).await, 1);
    assert_eq!(asked().await, ids[0]);
    let beside = ordered(&rig, suspicion(ids[1])).await;
    assert_eq!(beside, 0, "it is being asked");
    // It could not be: the next turn is another registration's, when it is time for one.
    ends(&rig, false).await;
    rig.pass(5 * 3_600);
    assert_eq!(ordered(&rig, Value::Null).await, 0);
    rig.pass(3_601);
    assert_eq!(ordered(&rig, Value::Null).await, 1);
    assert_eq!(asked().await, ids[1]);
    ends(&rig, true).await;
    rig.pass(12 * 3_600);
    assert_eq!(ordered(&rig, Value::Null).await, 0, "once a day");
    assert_eq!(ordered(&rig, suspicion(ids[2])).await, 1);
    ends(&rig, true).await;
    rig.pass(600);
    let soon = ordered(&rig, suspicion(ids[0])).await;
    assert_eq!(soon, 0, "it was asked a moment ago, by another one");
    rig.pass(23 * 3_600);
    assert_eq!(ordered(&rig, Value::Null).await, 0);
    rig.pass(3_600);
    assert_eq!(ordered(&rig, Value::Null).await, 1);
}
