//! Alert states, with the mails and events they cause.

use std::time::Duration;

use robotd::domain::alert::{AlertState, Level};
use robotd::domain::event::CloudEvent;
use robotd::domain::id::RobotId;
use robotd::domain::time::{Timestamp, from_micros};
use robotd::store::event::{NewEvent, Wake};
use robotd::store::mail::{MailState, NewMail};
use robotd::store::signal::Signal;
use robotd::store::upkeep::Retention;

use crate::support::database::{Database, on_both};

on_both!(
    a_state_replaces_the_one_before_it,
    a_prefix_finds_its_keys_only,
    states_mails_and_events_come_together_or_not_at_all,
    what_has_long_been_well_is_forgotten,
);

fn at(second: i64) -> Timestamp {
    from_micros(1_800_000_000_000_000 + second * 1_000_000)
}

fn state(key: &str, level: Level, sent: Option<i64>) -> AlertState {
    AlertState {
        key: key.to_owned(),
        level,
        since: at(0),
        last_sent_at: sent.map(at),
        title: format!("{key} is ill"),
    }
}

async fn a_state_replaces_the_one_before_it(database: &Database) {
    let store = &database.store;
    let mail = NewMail {
        recipient: "ops@example.org".to_owned(),
        subject: "s".to_owned(),
        text: "t".to_owned(),
        priority: 5,
        expires_at: at(9),
    };
    let first = vec![
        state("disk:/", Level::Critical, Some(1)),
        state("disk:/var", Level::Warning, None),
    ];
    store
        .alert_apply(first.clone(), vec![mail], Vec::new(), at(1))
        .await
        .unwrap();
    assert_eq!(store.alert_list("").await.unwrap(), first);
    assert_eq!(
        store.mail_depths().await.unwrap()[0],
        (MailState::Queued, 1)
    );
    // The same key twice in one batch: the last one counts.
    let second = vec![
        state("disk:/", Level::Warning, Some(2)),
        state("disk:/", Level::Ok, None),
    ];
    store
        .alert_apply(second.clone(), Vec::new(), Vec::new(), at(2))
        .await
        .unwrap();
    assert_eq!(
        store.alert_list("").await.unwrap(),
        [second[1].clone(), first[1].clone()]
    );
}

async fn states_mails_and_events_come_together_or_not_at_all(database: &Database) {
    let store = &database.store;
    let mail = || NewMail {
        recipient: "ops@example.org".to_owned(),
        subject: "s".to_owned(),
        text: "t".to_owned(),
        priority: 5,
        expires_at: at(9),
    };
    let event = || NewEvent {
        event: CloudEvent::own("x.y", "1", "storage.low", None, serde_json::json!({})),
        wakes: vec![Wake {
            robot: RobotId(1),
            max_attempts: 1,
            coalesce: false,
        }],
    };
    let states = || vec![state("disk:/", Level::Critical, Some(1))];
    database.sql("ALTER TABLE events RENAME TO hidden").await;
    store
        .alert_apply(states(), vec![mail()], vec![event()], at(1))
        .await
        .unwrap_err();
    assert_eq!(store.alert_list("").await.unwrap(), []);
    assert_eq!(
        store.mail_depths().await.unwrap()[0],
        (MailState::Queued, 0)
    );
    database.sql("ALTER TABLE hidden RENAME TO events").await;
    let mut signals = store.signals();
    store
        .alert_apply(states(), vec![mail()], vec![event()], at(1))
        .await
        .unwrap();
    assert_eq!(store.alert_list("").await.unwrap(), states());
    assert_eq!(
        database
            .number("SELECT count(*) FROM events WHERE type = 'storage.low'")
            .await,
        1
    );
    assert_eq!(
        database
            .number("SELECT count(*) FROM tasks WHERE robot_id = 1")
            .await,
        1
    );
    assert_eq!(
        signals.try_recv().unwrap(),
        Signal::TasksReady(vec![RobotId(1)])
    );
}

async fn what_has_long_been_well_is_forgotten(database: &Database) {
    let store = &database.store;
    let states = vec![
        state("ill", Level::Warning, None),
        state("well", Level::Ok, None),
    ];
    store
        .alert_apply(states, vec![], vec![], at(1))
        .await
        .unwrap();
    let prune = async |day: i64| {
        let keep = Duration::from_secs(u64::MAX >> 24);
        let retention = Retention {
            tasks: keep,
            events: keep,
            ticks: keep,
            views: keep,
        };
        store.prune(retention, 100, at(day * 86_400)).await.unwrap()
    };
    assert_eq!(prune(180).await, 0);
    assert_eq!(prune(181).await, 1);
    assert_eq!(store.alert_list("").await.unwrap()[0].key, "ill");
}

async fn a_prefix_finds_its_keys_only(database: &Database) {
    let store = &database.store;
    let keys = [
        "disk",
        "disk:/",
        "disk:/var",
        "disk:É",
        "disk;",
        "Disk:/",
        "memory:a",
    ];
    let states = keys.iter().map(|key| state(key, Level::Ok, None)).collect();
    store
        .alert_apply(states, Vec::new(), Vec::new(), at(1))
        .await
        .unwrap();
    let found: Vec<_> = store
        .alert_list("disk:")
        .await
        .unwrap()
        .into_iter()
        .map(|state| state.key)
        .collect();
    assert_eq!(found, ["disk:/", "disk:/var", "disk:É"]);
}
