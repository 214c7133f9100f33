//! Robots whose ticks are decided, and robots whose ticks are not.

use serde_json::json;

use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};

on_both!(
    a_pause_of_the_monitor_itself_is_told_once,
    late_robots_are_told_once_and_their_recovery_once,
    the_watchdogs_file_is_written_last,
);

const NAME: &str = "system_monitors.schedule_monitor";

/// Marks every robot's ticks as decided up to now.
async fn decide_all(rig: &Rig<'_>) {
    rig.database
        .sql(&format!(
            "UPDATE robots SET last_tick_at = {}",
            rig.micros()
        ))
        .await;
}

async fn late_robots_are_told_once_and_their_recovery_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    // The machine's clock does not move with ours, which is no matter of this test.
    let settings = json!({"recipients": ["ana@example.org"], "clock_jump": "P1D"});
    decide_all(&rig).await;
    let first = rig.run(NAME, settings.clone()).await.unwrap();
    assert_eq!(
        ["late", "warnings", "criticals"].map(|what| count(&first, what)),
        [0, 0, 0]
    );
    for _ in 0..3 {
        rig.pass(60);
        decide_all(&rig).await;
        let outcome = rig.run(NAME, settings.clone()).await.unwrap();
        assert_eq!(count(&outcome, "warnings"), 0);
    }
    let only = "name = 'notifications.disk_space_monitors'";
    database
        .sql(&format!(
            "UPDATE robots SET last_tick_at = last_tick_at - 600000000 WHERE {only}"
        ))
        .await;
    let mut queued = Vec::new();
    for _ in 0..3 {
        let outcome = rig.run(NAME, settings.clone()).await.unwrap();
        assert_eq!(count(&outcome, "late"), 1, "{:?}", rig.log.lock().unwrap());
        queued.push(count(&outcome, "mails_queued"));
    }
    assert_eq!(queued, [1, 0, 0]);
    decide_all(&rig).await;
    let over = rig.run(NAME, settings.clone()).await.unwrap();
    assert_eq!((count(&over, "late"), count(&over, "mails_queued")), (0, 1));
    let subject = "subject = 'notifications.disk_space_monitors'";
    for kind in ["schedule.task_late", "schedule.cleared"] {
        assert_eq!(
            rig.rows("events", &format!("type = '{kind}' AND {subject}"))
                .await,
            1,
            "{kind}"
        );
    }
}

async fn the_watchdogs_file_is_written_last(database: &Database) {
    let rig = Rig::new(database, None).await;
    decide_all(&rig).await;
    rig.run(NAME, json!({})).await.unwrap();
    let path = rig.tools.data_dir.join("schedule_monitor.alive");
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "2027-01-15T08:00:00.000000Z\n"
    );
    rig.run(NAME, json!({})).await.unwrap();
    // The planned failure: the file cannot be written; what was found is told all the same.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    rig.pass(600);
    let error = rig.run(NAME, json!({})).await.unwrap_err();
    assert_eq!((error.class, error.temporary), ("alive_file", true));
    assert!(rig.rows("events", "type = 'schedule.task_late'").await > 0);
}

async fn a_pause_of_the_monitor_itself_is_told_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    // Neither the clock nor the other robots are judged.
    let settings = json!({"clock_jump": "P1D", "grace": "PT0S", "tolerance": "PT1M"});
    for pause in [60, 60, 600, 60] {
        rig.pass(pause);
        decide_all(&rig).await;
        rig.run(NAME, settings.clone()).await.unwrap();
    }
    let subject = format!("subject = '{NAME}'");
    for kind in ["schedule.task_late", "schedule.cleared"] {
        let events = rig
            .rows("events", &format!("type = '{kind}' AND {subject}"))
            .await;
        assert_eq!(events, 1, "{kind}");
    }
}
