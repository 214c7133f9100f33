//! Runs that end early: by a crash, by a person.

use std::time::Duration;

use robotd::domain::id::{ProcessId, TaskId};
use robotd::domain::import::{ImportMode, ImportState, RowAnswer};
use robotd::domain::inventory::Noun;
use robotd::robot::import::cancel;
use robotd::robot::outcome::Verdict;
use robotd::store::import::{Holder, ImportRow};
use robotd::store::upkeep::Retention;
use serde_json::json;

use super::super::make;
use super::{NAME, counts, send, stands, things};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};

on_both!(
    a_crash_in_the_middle_changes_nothing_twice,
    an_import_is_cancelled,
    a_file_that_nobody_takes_is_removed_in_time,
);

/// What was carried out before a crash is this import's, and is not done again.
async fn a_crash_in_the_middle_changes_nothing_twice(database: &Database) {
    let rig = Rig::new(database, None).await;
    let file = "hostname,address,username,secret,automatic_change\n\
                web1,192.0.2.1,root,S3cret-1,true\nweb2,192.0.2.2,root,S3cret-2,true\nweb3,192.0.2.3,,,\n";
    let id = send(&rig, file.as_bytes(), ImportMode::Apply).await;
    let (store, now) = (&rig.tools.store, rig.now());
    let lease = Duration::from_mins(5);
    let claimed = store.import_claim(TaskId(7), ProcessId(7), now + lease, now);
    assert_eq!(claimed.await.unwrap().unwrap().id, id);
    let dead = Holder {
        import: id,
        process: ProcessId(7),
        lease_until: now + lease,
    };
    let row = |line: u32, answer| ImportRow {
        line,
        answer,
        cells: Vec::from([format!("web{}", line - 1)]),
        errors: Vec::new(),
        device: None,
        credential: None,
    };
    assert!(
        store
            .import_begin(dead, Vec::from(["hostname".to_owned()]), 3)
            .await
            .unwrap()
    );
    let intended = Vec::from([row(2, RowAnswer::Created), row(3, RowAnswer::Created)]);
    assert!(store.import_intend(dead, intended).await.unwrap());
    let device = make(
        &rig,
        Noun::Device,
        json!({"hostname": "web1", "address": "192.0.2.1"}),
        None,
    )
    .await;
    let body = json!({"device": device, "username": "root", "automatic_change": true});
    make(&rig, Noun::Credential, body, Some("S3cret-1")).await;
    let early = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(early.verdict, Verdict::Nothing, "somebody has it in hand");
    rig.pass(301);
    rig.run(NAME, json!({})).await.unwrap();
    let done = stands(&rig, id).await;
    assert_eq!(
        (done.state, done.rows),
        (ImportState::Finished, counts(3, 3, 0, 0, 0))
    );
    assert_eq!(things(&rig).await, [0, 3, 2, 2]);
    // He that was believed dead is heard no more.
    assert!(
        !store
            .import_answer(dead, Vec::from([row(2, RowAnswer::Refused)]))
            .await
            .unwrap()
    );
    assert_eq!(stands(&rig, id).await.rows, done.rows);
}

async fn an_import_is_cancelled(database: &Database) {
    let rig = Rig::new(database, None).await;
    let (store, registry) = (&rig.tools.store, &rig.tools.registry);
    let file = b"hostname,address\nweb1,192.0.2.1\n";
    let waits = send(&rig, file, ImportMode::Apply).await;
    let ended = cancel(store, registry, waits, "ana", rig.now())
        .await
        .unwrap();
    assert_eq!(ended.state, ImportState::Cancelled);
    cancel(store, registry, waits, "ana", rig.now())
        .await
        .unwrap_err();
    let held = send(&rig, file, ImportMode::Apply).await;
    let lease = rig.now() + Duration::from_mins(5);
    let claimed = store.import_claim(TaskId(7), ProcessId(7), lease, rig.now());
    assert!(claimed.await.unwrap().is_some());
    let told = cancel(store, registry, held, "ana", rig.now())
        .await
        .unwrap();
    assert_eq!(
        (told.state, told.cancel_requested),
        (ImportState::Running, true)
    );
    rig.pass(301);
    rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(stands(&rig, held).await.state, ImportState::Cancelled);
    assert_eq!(things(&rig).await, [0; 4]);
    assert_eq!(rig.rows("batch_import_files", "TRUE").await, 0);
}

async fn a_file_that_nobody_takes_is_removed_in_time(database: &Database) {
    let rig = Rig::new(database, None).await;
    let day = Duration::from_hours(24);
    let retention = Retention {
        tasks: day,
        events: day,
        ticks: day,
        views: day,
    };
    send(&rig, b"hostname\na\n", ImportMode::Apply).await;
    for (passed, left) in [(86_000, 1), (800, 0)] {
        rig.pass(passed);
        let store = &rig.tools.store;
        store.prune(retention, 100, rig.now()).await.unwrap();
        for table in ["batch_imports", "batch_import_files"] {
            assert_eq!(rig.rows(table, "TRUE").await, left, "{table}");
        }
    }
}
