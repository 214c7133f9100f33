//! The outbox against a server that delivers and one that misbehaves.

use robotd::robot::outcome::Verdict;
use robotd::store::mail::{MailState, NewMail};
use serde_json::json;

use crate::robots::rig::{Rig, count};
use crate::support::counterpart::free_port;
use crate::support::database::{Database, on_both};
use crate::support::smtp_server::{FaultySmtpServer, SmtpServer, account};

on_both!(
    mails_are_delivered_once,
    each_mail_has_its_own_fate,
    a_dead_server_costs_no_mail,
    without_an_account_mails_wait,
    a_claim_of_a_dead_sender_is_taken_over,
);

const NAME: &str = "mail.email_sender";

async fn queue(rig: &Rig<'_>, recipients: &[&str]) {
    let mails = recipients
        .iter()
        .enumerate()
        .map(|(index, recipient)| NewMail {
            recipient: (*recipient).to_owned(),
            subject: format!("Disk {index}"),
            text: "It is full.".to_owned(),
            priority: 8,
            expires_at: rig.now() + chrono::TimeDelta::hours(24),
        });
    let store = &rig.database.store;
    store
        .alert_apply(Vec::new(), mails.collect(), Vec::new(), rig.now())
        .await
        .unwrap();
}

async fn depth(rig: &Rig<'_>, state: MailState) -> u32 {
    let depths = rig.database.store.mail_depths().await.unwrap();
    depths
        .into_iter()
        .find(|(known, _)| *known == state)
        .map_or(0, |(_, count)| count)
}

async fn mails_are_delivered_once(database: &Database) {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    let rig = Rig::new(database, Some(account(server.port))).await;
    queue(
        &rig,
        &["ana@example.org", "bob@example.org", "nobody@example.org"],
    )
    .await;
    let outcome = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(
        (
            count(&outcome, "mails_sent"),
            count(&outcome, "mails_failed")
        ),
        (2, 1)
    );
    let second = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(second.verdict, Verdict::Nothing);
    let mails = server.wait_for_mails(2);
    assert_eq!(mails.len(), 2);
    let to = |name: &str| {
        mails
            .iter()
            .filter(|mail| mail.contains(&format!("To: {name}@")))
            .count()
    };
    assert_eq!((to("ana"), to("bob")), (1, 1));
    let known = rig.rows("mail_outbox", "state = 2").await;
    assert_eq!(known, 2);
    assert_eq!(rig.rows("events", "type = 'mail.sent'").await, 2);
    assert_eq!(rig.rows("events", "type = 'mail.failed'").await, 1);
}

/// One mail of each kind; none keeps the others from their fate.
async fn each_mail_has_its_own_fate(database: &Database) {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    let rig = Rig::new(database, Some(account(server.port))).await;
    queue(
        &rig,
        &[
            "x\r\nBcc: all@example.org",
            "greylisted@example.org",
            "unknown@example.org",
            "spam@example.org",
            "hangup@example.org",
            "ana@example.org",
        ],
    )
    .await;
    let first = rig.run(NAME, json!({"delays": ["PT1M"]})).await.unwrap();
    let tally = |outcome| {
        (
            count(outcome, "mails_sent"),
            count(outcome, "mails_deferred"),
            count(outcome, "mails_failed"),
        )
    };
    assert_eq!(tally(&first), (1, 2, 3));
    let early = rig.run(NAME, json!({"delays": ["PT1M"]})).await.unwrap();
    assert_eq!(tally(&early), (0, 0, 0), "not before its time");
    rig.pass(61);
    let later = rig.run(NAME, json!({"delays": ["PT1M"]})).await.unwrap();
    assert_eq!(tally(&later), (0, 2, 0));
    rig.pass(24 * 3600);
    let last = rig.run(NAME, json!({"delays": ["PT1M"]})).await.unwrap();
    assert_eq!(tally(&last), (0, 0, 2), "given up");
    assert_eq!(depth(&rig, MailState::Sending).await, 0);
}

/// The planned failure: nobody listens. The run says so, and the mails go out afterwards.
async fn a_dead_server_costs_no_mail(database: &Database) {
    let port = free_port();
    let rig = Rig::new(database, Some(account(port))).await;
    queue(&rig, &["ana@example.org"; 5]).await;
    let error = rig.run(NAME, json!({})).await.unwrap_err();
    assert_eq!((error.class, error.temporary), ("smtp_unreachable", true));
    assert_eq!(
        depth(&rig, MailState::Deferred).await,
        5,
        "tried or not, all wait"
    );
    let again = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(again.verdict, Verdict::Nothing, "their time has not come");
}

async fn without_an_account_mails_wait(database: &Database) {
    let rig = Rig::new(database, None).await;
    assert_eq!(
        rig.run(NAME, json!({})).await.unwrap().verdict,
        Verdict::Nothing
    );
    assert!(rig.log.lock().unwrap().is_empty());
    queue(&rig, &["ana@example.org"]).await;
    assert_eq!(
        rig.run(NAME, json!({})).await.unwrap().verdict,
        Verdict::Nothing
    );
    assert_eq!(depth(&rig, MailState::Queued).await, 1);
    assert!(rig.log.lock().unwrap()[0].contains("no mail account"));
}

async fn a_claim_of_a_dead_sender_is_taken_over(database: &Database) {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    let rig = Rig::new(database, Some(account(server.port))).await;
    queue(&rig, &["ana@example.org"]).await;
    let dead = robotd::domain::id::ProcessId(7);
    let store = &database.store;
    assert_eq!(
        store
            .mail_claim(dead, 50, rig.now(), rig.now())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        rig.run(NAME, json!({})).await.unwrap().verdict,
        Verdict::Nothing,
        "it may still live"
    );
    rig.pass(3600);
    let outcome = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(count(&outcome, "mails_sent"), 1);
}
