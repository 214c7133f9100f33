//! Tasks on many accounts: one operation each, ordered once, and their ends gathered.

mod approval;

use std::time::Duration;

use chrono::TimeDelta;
use robotd::domain::id::{InventoryId, ProcessId};
use robotd::domain::inventory::Noun;
use robotd::domain::operation::OperationState;
use robotd::domain::task::Trigger;
use robotd::robot::RobotError;
use robotd::robot::inventory::{By, NewItem};
use robotd::store::execution::Selection;
use robotd::store::operation::{OperationAttempt, OperationEnd};
use serde_json::{Value, json};

use crate::robots::operations::{OLD, credential, inventory, make};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};

on_both!(
    a_task_runs_a_template_and_stops_after_failures,
    a_task_orders_once_and_gathers_all_ends,
    a_selection_means_what_fits_all_its_parts,
    a_definition_is_begun_once_for_each_of_its_instants,
    a_batch_is_ordered_when_the_one_before_has_ended,
);

const NAME: &str = "task_manager.executor";
/// A task that does not end fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

async fn device(rig: &Rig<'_>, hostname: &str, more: Value) -> InventoryId {
    let mut body = json!({"hostname": hostname, "address": "192.0.2.1"});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    make(rig, Noun::Device, body, None).await
}

/// Ends so many operations as the executor does; those of `fails` fail.
async fn carry_out(rig: &Rig<'_>, many: usize, fails: InventoryId) {
    let (store, process) = (&rig.tools.store, ProcessId(7));
    let mut done = 0;
    while done < many {
        let lease = rig.now() + TimeDelta::minutes(15);
        let claimed = store
            .operation_claim(process, lease, u32::MAX, rig.now())
            .await;
        let Some(operation) = claimed.unwrap() else {
            tokio::task::yield_now().await;
            continue;
        };
        let failed = operation.credential == fails;
        let state = if failed {
            OperationState::Failed
        } else {
            OperationState::Succeeded
        };
        let end = OperationEnd {
            id: operation.id,
            attempt: OperationAttempt {
                number: 1,
                process,
                started_at: rig.now(),
                ended_at: rig.now(),
                state,
                error_class: None,
                detail: None,
                refused: 0,
                steps: Vec::new(),
            },
            run_at: None,
            candidate: None,
            finding: None,
            admission: None,
            events: Vec::new(),
        };
        assert!(store.operation_end(end, rig.now()).await.unwrap());
        done += 1;
    }
}

async fn a_task_orders_once_and_gathers_all_ends(database: &Database) {
    let rig = Rig::new(database, None).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let at = device(&rig, &format!("h{number}"), json!({"tags": ["linux"]})).await;
        ids.push(credential(&rig, at, "root", OLD).await);
    }
    let payload = || json!({"kind": "test", "credentials": {"tag": "linux"}});
    let run = || rig.run_with(NAME, json!({}), payload());
    let (ran, ()) = tokio::join!(run(), carry_out(&rig, 5, ids[3]));
    let failed = |ran: Result<_, RobotError>| {
        let error = ran.unwrap_err();
        (error.class, error.temporary, error.text)
    };
    let told = failed(ran);
    assert_eq!((told.0, told.1), ("operations_failed", false));
    assert!(told.2.starts_with("1 of 5 operations"), "{}", told.2);
    // Its node died before that was recorded: it runs again, and has begun already.
    rig.same_task_again();
    assert_eq!(failed(run().await), told);
    assert_eq!(rig.rows("operations", "kind = 2").await, 5, "one each");
    assert_eq!(rig.rows("events", "type = 'task.failed'").await, 1);
    assert_eq!(rig.rows("events", "type = 'operation.requested'").await, 5);

    let nobody = InventoryId(0);
    let (ran, ()) = tokio::join!(run(), carry_out(&rig, 5, nobody));
    assert_eq!(count(&ran.unwrap(), "operations_succeeded"), 5);
    assert_eq!(rig.rows("events", "type = 'task.finished'").await, 1);
    let none = json!({"kind": "test", "credentials": {"tag": "linu"}});
    for wrong in [
        none,
        json!({"kind": "test", "credentials": {}}),
        json!({"definition": "999"}),
        Value::Null,
    ] {
        let refused = rig.run_by(Trigger::Api, NAME, json!({}), wrong).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.class, refused.temporary), ("payload", false));
    }
}

async fn a_selection_means_what_fits_all_its_parts(database: &Database) {
    let rig = Rig::new(database, None).await;
    let site = make(&rig, Noun::Site, json!({"name": "Lisbon"}), None).await;
    let here = device(&rig, "a", json!({"site": site, "tags": ["100%"]})).await;
    let there = device(&rig, "b", json!({"tags": ["100_"]})).await;
    let off = device(&rig, "c", json!({"enabled": false, "tags": ["100%"]})).await;
    let root = credential(&rig, here, "root", OLD).await;
    let ana = credential(&rig, here, "ana", OLD).await;
    let far = credential(&rig, there, "root", OLD).await;
    credential(&rig, off, "root", OLD).await;
    let meant = async |selection: Selection| {
        let store = &rig.tools.store;
        store.execution_select(selection, 9).await.unwrap()
    };
    let name = |name: &str| Selection {
        username: Some(name.to_owned()),
        ..Selection::default()
    };
    assert_eq!(meant(name("root")).await, [root, far]);
    let at_site = Selection {
        site: Some(site),
        ..name("root")
    };
    assert_eq!(meant(at_site).await, [root]);
    let tagged = |tag: &str| Selection {
        tag: Some(tag.to_owned()),
        ..Selection::default()
    };
    assert_eq!(meant(tagged("100%")).await, [root, ana], "no pattern");
    assert_eq!(meant(tagged("100")).await, [], "not a part of one");
    let on = Selection {
        devices: vec![there, off],
        ..Selection::default()
    };
    assert_eq!(meant(on.clone()).await, [far]);
    let key =
        json!({"device": there, "username": "kay", "kind": "ssh_key", "automatic_change": false});
    let text = "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n";
    let key = make(&rig, Noun::Credential, key, Some(text)).await;
    assert_eq!(meant(on.clone()).await, [far], "no password to change");
    assert_eq!(meant(Selection { keys: true, ..on }).await, [far, key]);
}

async fn a_task_runs_a_template_and_stops_after_failures(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "h", json!({})).await;
    let mut ids = Vec::new();
    for name in ["ana", "bob", "eve"] {
        ids.push(credential(&rig, at, name, OLD).await);
    }
    let template = |name: &str, kind: &str| json!({"name": name, "kind": kind, "protocol": "ssh", "steps": "/bin/true"});
    let noun = Noun::OperationTemplate;
    let command = make(&rig, noun, template("c", "run_command"), None).await;
    let other = make(&rig, noun, template("o", "verify_password"), None).await;
    let payload = |template: Value| {
        json!({"kind": "run_template", "template": template, "stop_after": 1,
        "credentials": {"devices": [at]}})
    };
    for wrong in [json!(null), json!(other), json!("999")] {
        let refused = rig.run_with(NAME, json!({}), payload(wrong)).await;
        let refused = refused.unwrap_err();
        assert!(
            refused.text.starts_with("payload.template"),
            "{}",
            refused.text
        );
    }
    let run = rig.run_with(NAME, json!({}), payload(json!(command)));
    let both = async { tokio::join!(run, carry_out(&rig, 1, ids[0])) };
    let (ran, ()) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let told = ran.unwrap_err();
    assert!(told.text.starts_with("3 of 3 operations"), "{}", told.text);
    let of_template = format!("template_id = {command} AND kind = 3");
    assert_eq!(rig.rows("operations", &of_template).await, 3);
    assert_eq!(rig.rows("operations", "state = 7").await, 2, "cancelled");
}

/// Five accounts by twos: the task's node dies twice, once between two batches; then one fails, and the last is not ordered.
async fn a_batch_is_ordered_when_the_one_before_has_ended(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "h", json!({})).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ids.push(credential(&rig, at, name, OLD).await);
    }
    let payload = || json!({"kind": "test", "credentials": {"devices": [at]}, "batch_size": 2, "stop_after": 1});
    let run = || rig.run_with(NAME, json!({}), payload());
    let ordered = async || rig.rows("operations", "kind = 2").await;
    let until_ordered = async |many: i64| {
        while ordered().await < many {
            tokio::task::yield_now().await;
        }
    };
    let dies_after = async |many: i64| {
        tokio::select! {
            // It is begun whatever is there already.
            biased;
            ran = run() => panic!("it ended: {ran:?}"),
            () = until_ordered(many) => rig.same_task_again(),
        }
    };
    dies_after(2).await;
    dies_after(2).await;
    carry_out(&rig, 2, InventoryId(0)).await;
    assert_eq!(ordered().await, 2, "nobody looks");
    // Whom it means is decided: an account that is new now is not.
    credential(&rig, at, "f", OLD).await;
    dies_after(4).await;
    let (ran, ()) = tokio::join!(run(), carry_out(&rig, 2, ids[3]));
    let told = ran.unwrap_err().text;
    assert!(told.starts_with("1 of 4 operations"), "{told}");
    assert!(told.ends_with("1 were not ordered any more"), "{told}");
    assert_eq!(ordered().await, 4);
    let last = format!("credential_id IN ({}, {})", ids[3], ids[2]);
    assert_eq!(rig.rows("operations", &last).await, 2, "in their order");
    assert_eq!(rig.rows("events", "type = 'operation.requested'").await, 4);
    let of_it = "type = 'task.failed' AND body LIKE '%\"not_ordered\":1%'";
    assert_eq!(rig.rows("events", of_it).await, 1);

    let none = || json!({"kind": "test", "credentials": {"devices": [at]}, "batch_size": 4});
    let (ran, ()) = tokio::join!(
        rig.run_with(NAME, json!({}), none()),
        carry_out(&rig, 6, InventoryId(0))
    );
    let ran = ran.unwrap();
    let counted =
        ["succeeded", "not_ordered"].map(|what| count(&ran, &format!("operations_{what}")));
    assert_eq!(counted, [6, 0]);
}

/// A definition of a test of all accounts `root`, with more fields.
async fn definition(rig: &Rig<'_>, name: &str, more: Value) -> InventoryId {
    let mut body = json!({"name": name, "kind": "test", "username": "root", "stop_after": 2});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    make(rig, Noun::TaskDefinition, body, None).await
}

/// What its schedule came to so far: the last planned instant, what became of it, and whether a task was ever begun.
async fn decided(rig: &Rig<'_>, id: InventoryId) -> (Value, Value, bool) {
    let item = inventory(rig).get(Noun::TaskDefinition, id).await.unwrap();
    let state = |field: &str| item.state[field].clone();
    (
        state("planned_at"),
        state("decision"),
        state("task").is_string(),
    )
}

async fn a_definition_is_begun_once_for_each_of_its_instants(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "h", json!({})).await;
    let root = credential(&rig, at, "root", OLD).await;
    let cron = json!({"cron": "30 8 * * *", "timezone": "UTC"});
    let waits = definition(
        &rig,
        "waits",
        json!({"schedule": cron, "expires_after": "PT1H"}),
    )
    .await;
    let allows = json!({"schedule": cron, "overlap": "allow"});
    let allows = definition(&rig, "allows", allows).await;
    let misses = json!({"schedule": cron, "overlap": "allow", "catch_up": "none"});
    let misses = definition(&rig, "misses", misses).await;
    let off = definition(&rig, "off", json!({"schedule": cron, "enabled": false})).await;
    let by_hand = definition(&rig, "by hand", json!({})).await;
    let look = || rig.run(NAME, json!({}));
    let begun = async || {
        let of_definition = "unique_key LIKE 'definition:%' AND payload LIKE '%\"definition\":%'";
        rig.rows("tasks", of_definition).await
    };
    assert_eq!(look().await.unwrap().counters.len(), 0);

    rig.pass(1_800);
    // As two nodes would, at the same moment.
    let (one, other) = tokio::join!(look(), look());
    let both = [one, other].map(|ran| count(&ran.unwrap(), "tasks_begun"));
    assert_eq!((both[0] + both[1], begun().await), (3, 3));
    assert_eq!(look().await.unwrap().counters.len(), 0, "once");
    let first = json!("2027-01-15T08:30:00Z");
    for id in [waits, allows, misses] {
        assert_eq!(
            decided(&rig, id).await,
            (first.clone(), json!("fired"), true)
        );
    }
    let of_it = format!(
        "deadline_at = {} AND planned_at = {}",
        rig.micros() + 3_600_000_000,
        rig.micros()
    );
    assert_eq!(rig.rows("tasks", &of_it).await, 1);

    // Nobody looked for three days, and no task has ended.
    rig.pass(3 * 86_400 + 600);
    assert_eq!(count(&look().await.unwrap(), "tasks_begun"), 1);
    assert_eq!(begun().await, 4);
    let last = json!("2027-01-18T08:30:00Z");
    for (id, decision) in [
        (waits, "skipped:overlap"),
        (allows, "caught_up"),
        (misses, "missed"),
    ] {
        assert_eq!(
            decided(&rig, id).await,
            (last.clone(), json!(decision), true)
        );
    }
    for id in [off, by_hand] {
        assert_eq!(decided(&rig, id).await, (Value::Null, Value::Null, false));
    }
    what_is_changed_begins_anew(&rig, off).await;

    what_is_named_is_begun_by_hand(&rig, by_hand, root).await;
}

async fn what_is_named_is_begun_by_hand(rig: &Rig<'_>, by_hand: InventoryId, root: InventoryId) {
    let run = rig.run_by(
        Trigger::Api,
        NAME,
        json!({}),
        json!({"definition": by_hand}),
    );
    let (ran, ()) = tokio::join!(run, carry_out(rig, 1, InventoryId(0)));
    assert_eq!(count(&ran.unwrap(), "operations_succeeded"), 1);
    let of_root = format!("credential_id = {root} AND kind = 2");
    assert_eq!(rig.rows("operations", &of_root).await, 1);
}

/// A definition that is enabled makes up for nothing that was planned while it was not, and is not begun by being enabled.
async fn what_is_changed_begins_anew(rig: &Rig<'_>, off: InventoryId) {
    let refused = rig.run_by(Trigger::Api, NAME, json!({}), json!({"definition": off}));
    let text = refused.await.unwrap_err().text;
    assert_eq!(text, "payload.definition: it is disabled");
    let patch =
        json!({"enabled": true, "schedule": {"cron": null, "timezone": null, "every": "PT1H"}});
    let patch = NewItem {
        fields: patch.as_object().unwrap().clone(),
        secret: None,
    };
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let noun = Noun::TaskDefinition;
    inventory(rig)
        .change(noun, off, None, &patch, by)
        .await
        .unwrap();
    for (seconds, begun) in [(0, 0), (3_599, 0), (1, 1), (1, 0)] {
        rig.pass(seconds);
        let ran = rig.run(NAME, json!({})).await.unwrap();
        assert_eq!(count(&ran, "tasks_begun"), begun, "{:?}", rig.log);
    }
    let planned = json!("2027-01-18T09:40:00Z");
    assert_eq!(decided(rig, off).await, (planned, json!("fired"), true));
}
