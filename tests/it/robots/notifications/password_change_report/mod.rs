//! Changed passwords, told once.

mod arrival;
mod settings;

use std::time::Duration;

use chrono::TimeDelta;
use robotd::domain::id::{InventoryId, OperationId, ProcessId};
use robotd::domain::operation::{OperationKind, OperationState};
use robotd::robot::Outcome;
use robotd::store::StoreError;
use robotd::store::change_report::{CHANGES_PAGE_MAX, Closing};
use robotd::store::operation::{OperationAttempt, OperationEnd};
use robotd::store::upkeep::Retention;
use serde_json::{Value, json};

use crate::robots::operations::{OLD, credential, device, ordered};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};

on_both!(
    what_was_cut_off_is_gone_on_with_and_what_is_late_comes_next,
    thousands_are_divided_into_files,
);

const KEPT: Retention = Retention {
    tasks: Duration::from_hours(24),
    events: Duration::from_hours(24),
    ticks: Duration::from_hours(24),
    views: Duration::from_hours(24),
};
const NAME: &str = "notifications.password_change_report";

async fn run(rig: &Rig<'_>, mut settings: Value) -> Outcome {
    if settings["recipients"].is_null() {
        settings["recipients"] = json!(["ana@example.org", "bob@example.org"]);
    }
    rig.run(NAME, settings).await.unwrap()
}

fn tally(outcome: &Outcome) -> (i64, i64) {
    (
        count(outcome, "changes_told"),
        count(outcome, "mails_queued"),
    )
}

/// An operation of the credential that ends so, now.
async fn ends(rig: &Rig<'_>, credential: InventoryId, state: OperationState) {
    let kind = OperationKind::ChangePassword;
    let id = ordered(rig, kind, credential).await;
    attempt(rig, id, state).await;
}

/// An attempt at an operation that leaves it so, now.
async fn attempt(rig: &Rig<'_>, id: OperationId, state: OperationState) {
    let (store, now, process) = (&rig.tools.store, rig.now(), ProcessId(7));
    let lease = now + TimeDelta::minutes(15);
    let claimed = store
        .operation_claim(process, lease, u32::MAX, now)
        .await
        .unwrap();
    let claimed = claimed.unwrap();
    assert_eq!(claimed.id, id);
    let end = OperationEnd {
        id,
        attempt: OperationAttempt {
            number: claimed.attempts,
            process,
            started_at: now,
            ended_at: now,
            state,
            error_class: (state == OperationState::Failed).then(|| "auth_failed".to_owned()),
            detail: None,
            refused: 0,
            steps: Vec::new(),
        },
        run_at: (state == OperationState::Retrying).then_some(now + TimeDelta::minutes(1)),
        candidate: None,
        finding: None,
        admission: None,
        events: Vec::new(),
    };
    assert!(store.operation_end(end, now).await.unwrap());
}

/// The planned failures: a run that dies after it took its operations, an end that is committed late, a faster run.
async fn what_was_cut_off_is_gone_on_with_and_what_is_late_comes_next(database: &Database) {
    let rig = Rig::new(database, None).await;
    let store = &rig.tools.store;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let [first, late] = [
        credential(&rig, at, "a", OLD).await,
        credential(&rig, at, "b", OLD).await,
    ];
    ends(&rig, first, OperationState::Succeeded).await;
    rig.pass(60);
    let from = rig.now() - TimeDelta::days(1);
    let report = store.change_report_open(from, rig.now()).await.unwrap();
    assert_eq!(
        store
            .change_report_take(report, CHANGES_PAGE_MAX)
            .await
            .unwrap(),
        1
    );
    // It ended before the report's end, and nobody saw it.
    ends(&rig, late, OperationState::Succeeded).await;
    rig.database
        .sql(&format!(
            "UPDATE operations SET finished_at = finished_at - 1 WHERE credential_id = {late}"
        ))
        .await;
    rig.pass(3_600);
    let again = store.change_report_open(from, rig.now()).await.unwrap();
    assert_eq!(again, report, "the open one is gone on with");
    assert_eq!(tally(&run(&rig, json!({})).await), (2, 2));
    let error = store
        .change_report_close(report, Closing::default(), rig.now())
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");

    // Another one is late for a report that is closed.
    let later = credential(&rig, at, "c", OLD).await;
    ends(&rig, later, OperationState::Failed).await;
    rig.database
        .sql(&format!(
            "UPDATE operations SET finished_at = {} WHERE credential_id = {later}",
            rig.micros() - 3_700_000_000
        ))
        .await;
    assert_eq!(tally(&run(&rig, json!({})).await), (1, 2));
    assert_eq!(tally(&run(&rig, json!({})).await), (0, 0));
    // One that is tried again is told of when it has ended, once.
    let id = ordered(&rig, OperationKind::ChangePassword, later).await;
    attempt(&rig, id, OperationState::Retrying).await;
    assert_eq!(tally(&run(&rig, json!({})).await), (0, 0));
    rig.pass(60);
    rig.database
        .sql(&format!("UPDATE operations SET state = 0 WHERE id = {id}"))
        .await;
    attempt(&rig, id, OperationState::Failed).await;
    assert_eq!(tally(&run(&rig, json!({})).await), (1, 2));
    let settings = || json!({"include_empty": true, "recipients": ["ana@example.org"]});
    let (one, two) = tokio::join!(rig.run(NAME, settings()), rig.run(NAME, settings()));
    for result in [one, two] {
        match result {
            Ok(outcome) => assert_eq!(tally(&outcome), (0, 1)),
            Err(error) => assert_eq!((error.class, error.temporary), ("told_meanwhile", true)),
        }
    }
}

async fn thousands_are_divided_into_files(database: &Database) {
    let rig = Rig::new(database, None).await;
    let at = device(&rig, "ssh", 22, json!(null)).await;
    let id = credential(&rig, at, "a", OLD).await;
    let rows: Vec<String> = (1..=4_500)
        .map(|n| {
            format!(
                "({n}, 0, {id}, {}, 1, 0, 'ana', 0, 0, {}, 1)",
                4 + n % 2,
                rig.micros() - n
            )
        })
        .collect();
    for some in rows.chunks(1_500) {
        let insert = format!(
            "INSERT INTO operations (id, kind, credential_id, state, attempts, run_at, requested_by, created_at, updated_at, finished_at, cause) VALUES {}",
            some.join(", ")
        );
        rig.database.sql(&insert).await;
    }
    let settings = json!({"attachment": "csv", "rows_per_file": 1_900});
    let outcome = run(&rig, settings).await;
    assert_eq!(tally(&outcome), (4_500, 6));
    assert_eq!(count(&outcome, "files"), 3);
    let part = "subject LIKE '%(2 of 3): 2250 succeeded, 2250 failed' AND text LIKE '%changes 1901 to 3800 of 4500%'";
    assert_eq!(rig.rows("mail_outbox", part).await, 2);
    assert_eq!(
        rig.rows("mail_outbox", "text LIKE '%and 2200 more%'").await,
        6
    );
    assert_eq!(rig.rows("mail_files", "media_type = 'text/csv'").await, 3);
    // Mails and their files go together, when their time is over.
    let store = &rig.tools.store;
    rig.database
        .sql("UPDATE mail_outbox SET state = 2, finished_at = 1")
        .await;
    rig.database
        .sql("UPDATE password_change_reports SET finished_at = 1")
        .await;
    store.prune(KEPT, 9_000, rig.now()).await.unwrap();
    assert_eq!(rig.rows("mail_files", "1 = 1").await, 0);
    assert_eq!(
        rig.rows("password_change_reports", "1 = 1").await,
        1,
        "the last one stays"
    );
}
