//! The mail outbox.

use std::collections::BTreeSet;

use robotd::domain::event::CloudEvent;
use robotd::domain::id::ProcessId;
use robotd::domain::time::{Timestamp, from_micros};
use robotd::store::Store;
use robotd::store::event::{EventFilter, NewEvent};
use robotd::store::mail::{MailAttempt, MailState, NewMail};
use robotd::store::page::PageRequest;
use robotd::store::upkeep::Retention;

use crate::support::database::{Database, on_both};

on_both!(
    mails_are_claimed_by_priority_then_age,
    a_mail_is_held_by_one_sender,
    a_dead_senders_mails_are_taken_over_and_its_late_report_is_ignored,
    a_deferred_mail_waits_for_its_time,
    attempts_are_kept_with_bounded_texts,
    events_of_mails_that_others_hold_are_not_published,
    ended_mails_go_after_their_time,
);

const SENDER: ProcessId = ProcessId(11);
const OTHER: ProcessId = ProcessId(12);

fn at(second: i64) -> Timestamp {
    from_micros(1_800_000_000_000_000 + second * 1_000_000)
}

fn mail(subject: &str, priority: i16) -> NewMail {
    NewMail {
        recipient: "ops@example.org".to_owned(),
        subject: subject.to_owned(),
        text: "text\0".to_owned(),
        priority,
        expires_at: at(100_000),
    }
}

async fn queue(store: &Store, mails: Vec<NewMail>) {
    store
        .alert_apply(Vec::new(), mails, Vec::new(), at(0))
        .await
        .unwrap();
}

fn attempt(mail: i64, state: MailState, next: Option<i64>) -> MailAttempt {
    MailAttempt {
        mail,
        state,
        next_attempt_at: next.map(at),
        code: Some(250),
        text: "done".to_owned(),
    }
}

async fn depth(store: &Store, state: MailState) -> u32 {
    let depths = store.mail_depths().await.unwrap();
    assert_eq!(depths.len(), 5);
    depths.into_iter().find(|(of, _)| *of == state).unwrap().1
}

async fn mails_are_claimed_by_priority_then_age(database: &Database) {
    let store = &database.store;
    assert_eq!(store.mail_next_due().await.unwrap(), None);
    queue(
        store,
        vec![mail("a", 4), mail("b", 9), mail("c", 4), mail("d", 0)],
    )
    .await;
    assert_eq!(store.mail_next_due().await.unwrap(), Some(at(0)));
    let mut subjects = Vec::new();
    let mut ids = BTreeSet::new();
    loop {
        let claimed = store.mail_claim(SENDER, 1, at(-60), at(1)).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        for mail in claimed {
            assert!(
                mail.message_id.starts_with('<') && mail.message_id.ends_with("@robotd.invalid>")
            );
            assert!(ids.insert(mail.message_id), "a Message-ID was given twice");
            assert_eq!(
                (mail.text.as_str(), mail.attempts, mail.created_at),
                ("text\u{fffd}", 0, at(0))
            );
            subjects.push(mail.subject);
        }
    }
    assert_eq!(subjects, ["b", "a", "c", "d"]);
    assert_eq!(depth(store, MailState::Sending).await, 4);
    assert_eq!(store.mail_next_due().await.unwrap(), None);
}

async fn a_mail_is_held_by_one_sender(database: &Database) {
    let store = &database.store;
    queue(store, (0..60).map(|_| mail("a", 4)).collect()).await;
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..6 {
        let store = store.clone();
        senders.spawn(async move {
            let mut held = Vec::new();
            loop {
                let claimed = store
                    .mail_claim(ProcessId(number + 1), 5, at(-60), at(1))
                    .await
                    .unwrap();
                assert!(claimed.len() <= 5);
                if claimed.is_empty() {
                    return held;
                }
                held.extend(claimed.into_iter().map(|mail| mail.id));
            }
        });
    }
    let mut all: Vec<i64> = senders.join_all().await.concat();
    all.sort_unstable();
    let different: BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (60, 60));
}

async fn a_dead_senders_mails_are_taken_over_and_its_late_report_is_ignored(database: &Database) {
    let store = &database.store;
    queue(store, vec![mail("a", 4)]).await;
    let first = store
        .mail_claim(SENDER, 5, at(-60), at(1))
        .await
        .unwrap()
        .remove(0);
    assert!(
        store
            .mail_claim(OTHER, 5, at(1), at(2))
            .await
            .unwrap()
            .is_empty(),
        "the claim is not stale yet"
    );
    let second = store
        .mail_claim(OTHER, 5, at(2), at(100))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(second, first, "the same mail with the same Message-ID");
    store
        .mail_record(
            SENDER,
            vec![attempt(first.id, MailState::Failed, None)],
            Vec::new(),
            at(101),
        )
        .await
        .unwrap();
    assert_eq!(
        (
            depth(store, MailState::Failed).await,
            depth(store, MailState::Sending).await
        ),
        (0, 1)
    );
    store
        .mail_record(
            OTHER,
            vec![attempt(first.id, MailState::Sent, None)],
            Vec::new(),
            at(102),
        )
        .await
        .unwrap();
    assert_eq!(depth(store, MailState::Sent).await, 1);
    store
        .mail_record(
            OTHER,
            vec![attempt(first.id, MailState::Failed, None)],
            Vec::new(),
            at(103),
        )
        .await
        .unwrap();
    assert_eq!(
        depth(store, MailState::Sent).await,
        1,
        "what is sent stays sent"
    );
    assert!(
        store
            .mail_claim(OTHER, 5, at(500), at(500))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_deferred_mail_waits_for_its_time(database: &Database) {
    let store = &database.store;
    queue(store, vec![mail("a", 4)]).await;
    let id = store.mail_claim(SENDER, 5, at(-60), at(1)).await.unwrap()[0].id;
    store
        .mail_record(
            SENDER,
            vec![attempt(id, MailState::Deferred, Some(50))],
            Vec::new(),
            at(2),
        )
        .await
        .unwrap();
    assert_eq!(store.mail_next_due().await.unwrap(), Some(at(50)));
    assert!(
        store
            .mail_claim(SENDER, 5, at(-60), at(49))
            .await
            .unwrap()
            .is_empty()
    );
    let again = store.mail_claim(SENDER, 5, at(-60), at(50)).await.unwrap();
    assert_eq!((again[0].id, again[0].attempts), (id, 1));
}

async fn events_of_mails_that_others_hold_are_not_published(database: &Database) {
    let store = &database.store;
    queue(store, vec![mail("a", 4), mail("b", 4)]).await;
    let mine = store.mail_claim(SENDER, 1, at(-60), at(1)).await.unwrap()[0].id;
    let theirs = store.mail_claim(OTHER, 1, at(-60), at(1)).await.unwrap()[0].id;
    let event = |id: i64| NewEvent {
        event: CloudEvent::own(
            "m",
            format!("{id}.sent"),
            "mail.sent",
            Some(id.to_string()),
            serde_json::json!({}),
        ),
        wakes: Vec::new(),
    };
    let attempts = vec![
        attempt(theirs, MailState::Sent, None),
        attempt(mine, MailState::Sent, None),
    ];
    store
        .mail_record(SENDER, attempts, vec![event(theirs), event(mine)], at(2))
        .await
        .unwrap();
    let published = store
        .event_list(
            EventFilter::default(),
            PageRequest {
                limit: 9,
                after: None,
            },
        )
        .await
        .unwrap();
    let subjects: Vec<_> = published
        .items
        .into_iter()
        .map(|record| record.event.subject.unwrap())
        .collect();
    assert_eq!(subjects, [mine.to_string()]);
}

async fn ended_mails_go_after_their_time(database: &Database) {
    let store = &database.store;
    queue(store, vec![mail("a", 4), mail("b", 4), mail("c", 4)]).await;
    let ids: Vec<i64> = store
        .mail_claim(SENDER, 2, at(-60), at(1))
        .await
        .unwrap()
        .iter()
        .map(|mail| mail.id)
        .collect();
    let attempts = vec![
        attempt(ids[0], MailState::Sent, None),
        attempt(ids[1], MailState::Deferred, Some(9)),
    ];
    store
        .mail_record(SENDER, attempts, Vec::new(), at(2))
        .await
        .unwrap();
    let keep = std::time::Duration::from_secs(u64::MAX >> 24);
    let retention = Retention {
        tasks: keep,
        events: keep,
        ticks: keep,
        views: keep,
    };
    assert_eq!(
        store.prune(retention, 100, at(180 * 86_400)).await.unwrap(),
        0
    );
    assert_eq!(
        store.prune(retention, 100, at(181 * 86_400)).await.unwrap(),
        1
    );
    assert_eq!(
        database.number("SELECT count(*) FROM mail_attempts").await,
        1
    );
    assert_eq!(
        (
            depth(store, MailState::Queued).await,
            depth(store, MailState::Deferred).await
        ),
        (1, 1)
    );
}

async fn attempts_are_kept_with_bounded_texts(database: &Database) {
    let store = &database.store;
    queue(store, vec![mail("a", 4)]).await;
    let id = store.mail_claim(SENDER, 5, at(-60), at(1)).await.unwrap()[0].id;
    let long = MailAttempt {
        text: "é\0".repeat(2_000),
        ..attempt(id, MailState::Failed, None)
    };
    store
        .mail_record(SENDER, vec![long], Vec::new(), at(2))
        .await
        .unwrap();
    assert_eq!(
        database
            .number(&format!(
                "SELECT count(*) FROM mail_attempts WHERE mail = {id} AND length(text) = 512"
            ))
            .await,
        1
    );
}
