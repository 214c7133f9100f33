//! Tasks that wait for somebody's decision.

use chrono::{NaiveTime, TimeDelta};
use robotd::domain::approval::ApprovalState;
use robotd::domain::id::{InventoryId, TaskId};
use robotd::robot::outcome::Verdict;
use robotd::store::audit::NewAudit;
use robotd::store::task_approval::{self, Approval};
use robotd::store::{StoreError, StoreResult};
use serde_json::json;

use super::{NAME, carry_out, definition, device};
use crate::robots::operations::{OLD, credential};
use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};

on_both!(
    a_task_sleeps_until_somebody_decided_and_its_window_is_open,
    a_task_ends_that_nobody_decides_on,
);

/// The task of the next run lies in the table, asleep until `run_at` where it sleeps.
async fn task_row(rig: &Rig<'_>, id: TaskId, run_at: i64) {
    let robot = rig.tools.registry.get(NAME).unwrap().id;
    let insert = format!(
        "INSERT INTO tasks (id, robot_id, trigger_code, status, payload, priority, run_at, attempts, max_attempts, deaths, \
         requested_by, created_at, cancel_requested) VALUES ({id}, {robot}, 3, 0, 'null', 4, {run_at}, 1, 5, 0, 'ana', 0, FALSE)"
    );
    rig.database.sql(&insert).await;
}

/// An account, and a definition of a task that waits for two hours.
async fn guarded(rig: &Rig<'_>) -> InventoryId {
    let at = device(rig, "h", json!({})).await;
    credential(rig, at, "root", OLD).await;
    let guarded = json!({"approval_role": "admin", "approval_within": "PT2H",
        "window": {"start": "09:00", "end": "17:00"}});
    definition(rig, "guarded", guarded).await
}

/// What a run of the planned task comes to; the next run is of the same one.
async fn verdict(rig: &Rig<'_>, definition: InventoryId) -> Verdict {
    let payload = json!({"definition": definition});
    let ran = rig.run_with(NAME, json!({}), payload).await;
    rig.same_task_again();
    ran.unwrap().verdict
}

/// Asleep until this hour of the day.
fn until(rig: &Rig<'_>, hour: i64) -> Verdict {
    let day = rig.now().date_naive().and_time(NaiveTime::MIN).and_utc();
    Verdict::Snooze(day + TimeDelta::hours(hour))
}

async fn decide(rig: &Rig<'_>, task: TaskId, state: ApprovalState) -> StoreResult<Approval> {
    let verdict = task_approval::Verdict {
        task,
        state,
        reason: None,
        audit: NewAudit {
            actor: "bob".to_owned(),
            action: "task.decide".to_owned(),
            object: format!("task:{task}"),
            before: None,
            after: None,
        },
    };
    let store = &rig.tools.store;
    store.approval_decide(verdict, rig.now()).await
}

async fn a_task_sleeps_until_somebody_decided_and_its_window_is_open(database: &Database) {
    let rig = Rig::new(database, None).await;
    let (store, guarded) = (&rig.tools.store, guarded(&rig).await);
    let task = TaskId(1_000);
    let ends = rig.micros() + 2 * 3_600_000_000;
    task_row(&rig, task, ends).await;
    for _ in 0..2 {
        assert_eq!(verdict(&rig, guarded).await, until(&rig, 10));
    }
    let awake = async || rig.rows("tasks", "id = 1000 AND status = 1").await;
    store.approval_sweep(rig.now()).await.unwrap();
    assert_eq!(awake().await, 0, "nobody has decided");
    let approved = decide(&rig, task, ApprovalState::Approved).await;
    assert_eq!(approved.unwrap().decided_by.as_deref(), Some("bob"));
    assert_eq!(awake().await, 1);
    let again = decide(&rig, task, ApprovalState::Denied).await;
    let conflict = matches!(again, Err(StoreError::Conflict { .. }));
    assert!(conflict, "{again:?}");
    // Its run put it to sleep only now, and the next look wakes it.
    let asleep = format!("UPDATE tasks SET status = 0, run_at = {ends} WHERE id = {task}");
    rig.database.sql(&asleep).await;
    store.approval_sweep(rig.now()).await.unwrap();
    assert_eq!(awake().await, 1);
    // It was planned, and its window is closed at eight.
    assert_eq!(verdict(&rig, guarded).await, until(&rig, 9));
    rig.pass(3_600);
    let payload = json!({"definition": guarded});
    let run = rig.run_with(NAME, json!({}), payload);
    let (ran, ()) = tokio::join!(run, carry_out(&rig, 1, InventoryId(0)));
    assert_eq!(count(&ran.unwrap(), "operations_succeeded"), 1);
}

async fn a_task_ends_that_nobody_decides_on(database: &Database) {
    let rig = Rig::new(database, None).await;
    let (store, guarded) = (&rig.tools.store, guarded(&rig).await);
    let [late, gone] = [TaskId(1_000), TaskId(1_001)];
    task_row(&rig, late, 0).await;
    assert_eq!(verdict(&rig, guarded).await, until(&rig, 10));
    rig.pass(2 * 3_600 - 1);
    assert_eq!(verdict(&rig, guarded).await, until(&rig, 10));
    rig.pass(1);
    for _ in 0..2 {
        assert_eq!(verdict(&rig, guarded).await, Verdict::Expired);
    }
    let late = decide(&rig, late, ApprovalState::Approved).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");

    let payload = json!({"definition": guarded});
    rig.run_with(NAME, json!({}), payload).await.unwrap();
    task_row(&rig, gone, 0).await;
    assert_eq!(verdict(&rig, guarded).await, until(&rig, 12));
    let ended = format!("DELETE FROM tasks WHERE id = {gone}");
    rig.database.sql(&ended).await;
    store.approval_sweep(rig.now()).await.unwrap();
    assert_eq!(verdict(&rig, guarded).await, Verdict::Refused);
    for state in [ApprovalState::Expired, ApprovalState::Withdrawn] {
        let of_it = format!("state = {}", state.code());
        assert_eq!(rig.rows("task_approvals", &of_it).await, 1, "{state}");
    }
    let audited = "action IN ('task.request_approval', 'task.expire_approval')";
    assert_eq!(rig.rows("audit_trail", audited).await, 3);
    assert_eq!(rig.rows("operations", "kind = 2").await, 0);
}
