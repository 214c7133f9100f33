//! The audit trail and the syslog queue.

use robotd::domain::audit::{AuditEntry, GENESIS_HASH, verify};
use robotd::domain::time::{Timestamp, from_micros};
use robotd::store::Store;
use robotd::store::audit::{AuditFilter, NewAudit, SYSLOG_QUEUE_MAX};
use robotd::store::page::PageRequest;
use robotd::store::signal::Signal;
use serde_json::json;

use crate::support::database::{Database, on_both};

on_both!(
    concurrent_appends_leave_one_chain,
    a_changed_or_removed_row_is_found,
    entries_come_back_as_they_were_hashed,
    fractions_do_not_break_the_chain,
    the_list_is_filtered_and_paged,
    every_entry_queues_its_message,
    the_queue_forgets_its_oldest,
);

fn at(second: i64) -> Timestamp {
    from_micros(1_800_000_000_000_000 + second * 1_000_000 + 7)
}

fn change(actor: &str, object: &str) -> NewAudit {
    NewAudit {
        actor: actor.to_owned(),
        action: "robot.change".to_owned(),
        object: object.to_owned(),
        before: Some(json!({"instances": 1, "text": "é\u{0}"})),
        after: Some(json!({"instances": 2, "factor": 1.5, "deep": {"b": [1, null], "a": "x"}})),
    }
}

/// The whole trail, oldest first, read in pages of 7.
async fn trail(store: &Store) -> Vec<AuditEntry> {
    let (mut entries, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .audit_list(AuditFilter::default(), PageRequest { limit: 7, after })
            .await
            .unwrap();
        entries.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    entries.reverse();
    entries
}

async fn concurrent_appends_leave_one_chain(database: &Database) {
    let appender = |number: i64| {
        let store = database.store.clone();
        async move {
            for turn in 0..10 {
                store
                    .audit_append(change(&format!("a{number}"), "robot:x.y"), at(turn))
                    .await
                    .unwrap();
            }
        }
    };
    let mut appenders = tokio::task::JoinSet::new();
    (0..8).for_each(|number| drop(appenders.spawn(appender(number))));
    while let Some(ended) = appenders.join_next().await {
        ended.unwrap();
    }
    let entries = trail(&database.store).await;
    assert_eq!(entries.len(), 80);
    assert_eq!(
        entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        (1..=80).collect::<Vec<_>>()
    );
    verify(GENESIS_HASH, &entries).unwrap();
}

async fn a_changed_or_removed_row_is_found(database: &Database) {
    for turn in 0..5 {
        database
            .store
            .audit_append(change("ana", "robot:x.y"), at(turn))
            .await
            .unwrap();
    }
    assert!(verify(GENESIS_HASH, &trail(&database.store).await).is_ok());
    database
        .sql("UPDATE audit_trail SET actor = 'bob' WHERE id = 3")
        .await;
    assert_eq!(
        verify(GENESIS_HASH, &trail(&database.store).await)
            .unwrap_err()
            .at_id,
        3
    );
    database
        .sql("UPDATE audit_trail SET actor = 'ana' WHERE id = 3")
        .await;
    assert!(verify(GENESIS_HASH, &trail(&database.store).await).is_ok());
    database
        .sql("UPDATE audit_trail SET after_json = 'no JSON' WHERE id = 4")
        .await;
    assert_eq!(
        verify(GENESIS_HASH, &trail(&database.store).await)
            .unwrap_err()
            .at_id,
        4
    );
    database.sql("DELETE FROM audit_trail WHERE id = 2").await;
    assert_eq!(
        verify(GENESIS_HASH, &trail(&database.store).await)
            .unwrap_err()
            .at_id,
        3
    );
}

async fn entries_come_back_as_they_were_hashed(database: &Database) {
    let nanos = chrono::DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap();
    let mut new = change("a\0na", "robot:x.y");
    new.before = None;
    let answered = database.store.audit_append(new, nanos).await.unwrap();
    assert_eq!(answered.actor, "a\u{fffd}na");
    assert_eq!(answered.prev_hash, GENESIS_HASH);
    assert_eq!(trail(&database.store).await, [answered]);
}

async fn fractions_do_not_break_the_chain(database: &Database) {
    // A fixed walk over fractions with all their digits (SplitMix64).
    let mut state = 7_u64;
    let mut fraction = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        f64::from_bits((mixed ^ (mixed >> 27)) & 0xbfff_ffff_ffff_ffff)
    };
    let fractions: Vec<f64> = std::iter::repeat_with(&mut fraction)
        .filter(|f| f.is_finite())
        .take(5_000)
        .collect();
    let mut new = change("ana", "robot:x.y");
    new.after = Some(json!({"fractions": fractions}));
    database.store.audit_append(new, at(0)).await.unwrap();
    verify(GENESIS_HASH, &trail(&database.store).await).unwrap();
}

async fn the_list_is_filtered_and_paged(database: &Database) {
    for turn in 0..6 {
        let actor = if turn % 2 == 0 { "ana" } else { "bob" };
        let object = if turn < 3 { "robot:a.a" } else { "robot:b.b" };
        database
            .store
            .audit_append(change(actor, object), at(turn))
            .await
            .unwrap();
    }
    let ids = async |filter: AuditFilter, limit, after| {
        let page = database
            .store
            .audit_list(filter, PageRequest { limit, after })
            .await
            .unwrap();
        (
            page.items
                .into_iter()
                .map(|entry| entry.id)
                .collect::<Vec<_>>(),
            page.next,
        )
    };
    let ana = || AuditFilter {
        actor: Some("ana".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(ids(ana(), 2, None).await, (vec![5, 3], Some(3)));
    assert_eq!(ids(ana(), 2, Some(3)).await, (vec![1], None));
    assert_eq!(ids(ana(), 3, None).await, (vec![5, 3, 1], None));
    let b = AuditFilter {
        object: Some("robot:b.b".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(ids(b, 9, None).await, (vec![6, 5, 4], None));
    let some = AuditFilter {
        from: Some(at(1)),
        to: Some(at(3)),
        ..AuditFilter::default()
    };
    assert_eq!(ids(some, 9, None).await, (vec![3, 2], None));
}

async fn every_entry_queues_its_message(database: &Database) {
    let store = &database.store;
    let mut signals = store.signals();
    let entry = store
        .audit_append(change("ana", "robot:x.y"), at(0))
        .await
        .unwrap();
    assert_eq!(signals.try_recv().unwrap(), Signal::Syslog);
    store
        .syslog_queue(
            3,
            "robot.quarantined",
            json!({"robot": "x.y"}),
            "robot x.y is quarantined",
            at(1),
        )
        .await
        .unwrap();
    let messages = store.syslog_next(10).await.unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].severity, messages[0].at), (5, at(0)));
    assert_eq!(messages[0].structured["hash"], entry.hash.as_str());
    assert_eq!(
        (messages[1].severity, messages[1].msgid.as_str()),
        (3, "robot.quarantined")
    );
    assert_eq!(store.syslog_next(1).await.unwrap().len(), 1);
    store.syslog_done(vec![messages[0].id]).await.unwrap();
    assert_eq!(store.syslog_next(10).await.unwrap(), messages[1..]);
    store
        .syslog_done(vec![messages[0].id, messages[1].id])
        .await
        .unwrap();
    assert!(store.syslog_next(10).await.unwrap().is_empty());
}

async fn the_queue_forgets_its_oldest(database: &Database) {
    let store = &database.store;
    for text in ["first", "second"] {
        store
            .syslog_queue(6, "x", json!({}), text, at(0))
            .await
            .unwrap();
    }
    let first = store.syslog_next(1).await.unwrap()[0].id;
    // A message that lies exactly the bound behind the first.
    let last = first + i64::from(SYSLOG_QUEUE_MAX);
    database
        .sql(&format!(
            "INSERT INTO syslog_outbox (id, at, severity, msgid, structured, text) \
             VALUES ({}, 0, 6, 'x', '{{}}', 'late')",
            last - 1
        ))
        .await;
    if store.backend() == "postgres" {
        database
            .sql(&format!(
                "ALTER TABLE syslog_outbox ALTER COLUMN id RESTART WITH {last}"
            ))
            .await;
    }
    store
        .syslog_queue(6, "x", json!({}), "last", at(0))
        .await
        .unwrap();
    let texts: Vec<_> = store
        .syslog_next(10)
        .await
        .unwrap()
        .into_iter()
        .map(|message| message.text)
        .collect();
    assert_eq!(texts, ["second", "late", "last"]);
}
