//! The keys of the database itself, and one that runs out.

use serde_json::json;

use crate::robots::rig::{Rig, count};
use crate::support::database::{Database, on_both};

on_both!(
    a_fresh_database_is_in_order,
    a_key_that_runs_out_is_told_once
);

const NAME: &str = "system_monitors.primary_key_monitor";

async fn a_fresh_database_is_in_order(database: &Database) {
    let rig = Rig::new(database, None).await;
    for _ in 0..2 {
        let outcome = rig
            .run(NAME, json!({"recipients": ["ana@example.org"]}))
            .await
            .unwrap();
        assert!(count(&outcome, "columns") > 0);
        let alarms = ["warnings", "criticals", "mails_queued"].map(|what| count(&outcome, what));
        assert_eq!(alarms, [0, 0, 0], "{:?}", rig.log.lock().unwrap());
        rig.pass(6 * 3600);
    }
    assert!(rig.rows("samples", "series LIKE 'pk.used:%'").await > 0);
    assert_eq!(rig.rows("alert_states", "1 = 1").await, 0);
}

async fn a_key_that_runs_out_is_told_once(database: &Database) {
    let rig = Rig::new(database, None).await;
    let postgres = database.store.backend() == "postgres";
    if postgres {
        database.sql("CREATE TABLE tiny (id SMALLSERIAL PRIMARY KEY); SELECT setval('tiny_id_seq', 32700);").await;
    } else {
        database
            .sql(
                "CREATE TABLE tiny (id INTEGER PRIMARY KEY AUTOINCREMENT); \
                 INSERT INTO tiny (id) VALUES (9223372036854775000);",
            )
            .await;
    }
    let mut queued = Vec::new();
    for _ in 0..3 {
        let outcome = rig
            .run(NAME, json!({"recipients": ["ana@example.org"]}))
            .await
            .unwrap();
        queued.push(count(&outcome, "mails_queued"));
        rig.pass(6 * 3600);
    }
    assert_eq!(queued, [1, 0, 0]);
    assert_eq!(
        rig.rows("events", "type = 'database.pk_near_limit'").await,
        1
    );
    // The planned failure: the table goes away while its alert stands.
    database.sql("DROP TABLE tiny;").await;
    let outcome = rig
        .run(NAME, json!({"recipients": ["ana@example.org"]}))
        .await
        .unwrap();
    assert_eq!(count(&outcome, "mails_queued"), 1, "its end is told");
    assert_eq!(
        rig.rows("events", "type = 'database.pk_near_limit.cleared'")
            .await,
        1
    );
}
