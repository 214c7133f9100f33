//! Who is told of what, and when.

use std::time::Duration;

use robotd::domain::inventory::Noun;
use robotd::domain::operation::OperationState;
use robotd::domain::task::Trigger;
use robotd::robot::Outcome;
use robotd::robot::outcome::Verdict;
use serde_json::{Value, json};

use super::{NAME, ends, run, tally};
use crate::robots::operations::{OLD, credential, device, make};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};

on_both!(
    settings_say_who_is_told_of_what,
    what_is_locked_is_not_kept_open,
    reports_at_each_change_keep_their_distance,
);

async fn by_event(rig: &Rig<'_>, settings: Value) -> Outcome {
    let ran = rig.run_by(Trigger::Event, NAME, settings, Value::Null);
    ran.await.unwrap()
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let mut definitions = robotd::robots::catalog()
        .into_iter()
        .map(|robot| robot.definition().unwrap());
    let definition = definitions.find(|one| one.identity.name == NAME).unwrap();
    for wrong in [
        json!({"period": "PT1M"}),
        json!({"immediate": "PT6M"}),
        json!({"rows_per_file": 0}),
        json!({"min_severity": "fatal"}),
        json!({"hour": 7}),
        json!({"recipients": ["ana@example.org"], "archive_passwords": {"bob@example.org": "1"}}),
    ] {
        (definition.check_settings)(&wrong).unwrap_err();
    }
}

async fn settings_say_who_is_told_of_what(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(credential(&rig, at, name, OLD).await);
    }
    // What is older than the first report's period is in none.
    ends(&rig, ids[0], OperationState::Failed).await;
    rig.pass(7_200);
    let people = json!(["ana@example.org", "gone@example.org"]);
    assert_eq!(tally(&run(&rig, json!({"recipients": []})).await), (0, 0));
    assert!(
        rig.log
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("`recipients` is empty"))
    );
    ends(&rig, ids[0], OperationState::Succeeded).await;
    assert_eq!(
        by_event(&rig, json!({"recipients": people})).await.verdict,
        Verdict::Nothing
    );
    let user = json!({"login": "gone", "email": "gone@example.org", "enabled": false});
    make(&rig, Noun::User, user, None).await;
    let immediate = json!({"recipients": people, "immediate": "PT0S", "attachment": "none",
        "period": "PT1H"});
    assert_eq!(
        tally(&by_event(&rig, immediate.clone()).await),
        (1, 1),
        "not who is disabled"
    );
    let empty = json!({"recipients": people, "immediate": "PT0S", "include_empty": true});
    assert_eq!(
        tally(&by_event(&rig, empty.clone()).await),
        (0, 0),
        "empty only by the schedule"
    );
    assert_eq!(tally(&run(&rig, empty).await), (0, 1));
    assert_eq!(
        rig.rows("mail_outbox", "subject LIKE '%: none' AND file_id IS NULL")
            .await,
        1
    );
    rig.pass(60);
    ends(&rig, ids[1], OperationState::Succeeded).await;
    ends(&rig, ids[2], OperationState::Failed).await;
    assert_eq!(
        tally(&run(&rig, json!({"only_failures": true})).await),
        (1, 2)
    );
    assert_eq!(
        tally(&run(&rig, json!({})).await),
        (0, 0),
        "what was left out is left out for good"
    );
    for (least, told) in [("error", 1), ("warning", 2), ("info", 3)] {
        ends(&rig, ids[0], OperationState::Succeeded).await;
        ends(&rig, ids[1], OperationState::Unverified).await;
        ends(&rig, ids[2], OperationState::Failed).await;
        let outcome = run(&rig, json!({"min_severity": least})).await;
        assert_eq!(tally(&outcome), (told, 2), "{least}");
    }
}

/// Where nobody gets the files open, no open ones lie in the database.
async fn what_is_locked_is_not_kept_open(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let lock = credential(&rig, at, "lock", OLD).await;
    let changed = credential(&rig, at, "a", OLD).await;
    ends(&rig, changed, OperationState::Failed).await;
    let locked = json!({"recipients": ["ana@example.org"], "attachment": "csv",
        "archive_passwords": {"ana@example.org": lock}});
    let outcome = run(&rig, locked).await;
    assert_eq!((count(&outcome, "files"), tally(&outcome).1), (1, 1));
    let open = rig.rows("mail_files", "media_type <> 'application/zip'");
    assert_eq!(open.await, 0);
}

async fn reports_at_each_change_keep_their_distance(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let id = credential(&rig, at, "a", OLD).await;
    let settings =
        json!({"recipients": ["ana@example.org"], "immediate": "PT5M", "attachment": "none"});
    ends(&rig, id, OperationState::Succeeded).await;
    assert_eq!(
        tally(&by_event(&rig, settings.clone()).await),
        (1, 1),
        "the first one waits for none"
    );
    ends(&rig, id, OperationState::Failed).await;
    rig.pass(299);
    let early =
        tokio::time::timeout(Duration::from_millis(300), by_event(&rig, settings.clone())).await;
    assert!(early.is_err(), "it waits");
    rig.pass(1);
    assert_eq!(tally(&by_event(&rig, settings).await), (1, 1));
}
