//! Ends of credentials and certificates, told once to each and by real mail.

use std::sync::Arc;

use chrono::TimeDelta;
use robotd::domain::inventory::Noun;
use robotd::domain::time::Timestamp;
use robotd::robot::Outcome;
use robotd::robot::inventory::{By, Inventory, NewItem};
use robotd::store::StoreError;
use robotd::store::expiration::{Expirable, Notice};
use robotd::store::inventory::Item;
use robotd::store::mail::NewMail;
use serde_json::{Value, json};

use crate::robots::rig::{Rig, count};
use crate::support::certificates::Certificates;
use crate::support::database::{Database, on_both};
use crate::support::smtp_server::{SmtpServer, account};

on_both!(
    each_end_is_told_once_and_arrives,
    what_was_missed_is_not_made_up_for_and_a_renewal_begins_anew,
    an_issuer_is_told_of_instead_of_what_it_issued,
    thousands_are_told_in_parts,
    programs_are_told_without_people_and_people_when_they_come,
    of_two_runs_at_once_one_tells,
    a_notice_given_twice_writes_nothing,
);

const NAME: &str = "notifications.expiration_notification";

fn inventory(rig: &Rig<'_>) -> Inventory {
    let tools = &rig.tools;
    Inventory::new(
        tools.store.clone(),
        tools.safe.clone(),
        Arc::clone(&tools.registry),
    )
}

fn new(value: Value) -> NewItem {
    NewItem {
        fields: value.as_object().unwrap().clone(),
        secret: None,
    }
}

fn by(rig: &Rig<'_>) -> By<'static> {
    By {
        actor: "ana",
        now: rig.now(),
    }
}

async fn make_all(rig: &Rig<'_>, noun: Noun, new: Vec<NewItem>) -> Vec<Item> {
    let made = inventory(rig).create(noun, new, by(rig)).await;
    made.unwrap()
}

async fn make(rig: &Rig<'_>, noun: Noun, value: Value) -> Item {
    make_all(rig, noun, Vec::from([new(value)])).await.remove(0)
}

/// Lays a patch over a credential.
async fn change(rig: &Rig<'_>, credential: &Item, patch: Value) {
    let (inventory, patch) = (inventory(rig), new(patch));
    let changed = inventory.change(Noun::Credential, credential.id, None, &patch, by(rig));
    changed.await.unwrap();
}

async fn remove(rig: &Rig<'_>, credential: &Item) {
    let inventory = inventory(rig);
    let removed = inventory.remove(Noun::Credential, credential.id, None, by(rig));
    removed.await.unwrap();
}

async fn device(rig: &Rig<'_>, hostname: &str, enabled: bool) -> Item {
    let value = json!({"hostname": hostname, "address": "192.0.2.1", "enabled": enabled});
    make(rig, Noun::Device, value).await
}

/// A credential that ends in so many days, or has no end.
async fn credential(rig: &Rig<'_>, device: &Item, username: &str, days: Option<i64>) -> Item {
    let expires_at = days.map(|days| after(rig, days));
    let value = json!({"device": device.id, "username": username, "automatic_change": false,
        "expires_at": expires_at});
    make(rig, Noun::Credential, value).await
}

fn after(rig: &Rig<'_>, days: i64) -> Timestamp {
    rig.now() + TimeDelta::days(days)
}

async fn import(rig: &Rig<'_>, pem: String) {
    make(rig, Noun::Certificate, json!({ "certificate": pem })).await;
}

async fn told(rig: &Rig<'_>, recipients: &[&str]) -> Outcome {
    rig.run(NAME, json!({ "recipients": recipients }))
        .await
        .unwrap()
}

fn tally(outcome: &Outcome) -> (i64, i64) {
    (
        count(outcome, "things_told"),
        count(outcome, "mails_queued"),
    )
}

async fn each_end_is_told_once_and_arrives(database: &Database) {
    let (Some(server), Some(certificates)) = (SmtpServer::start(), Certificates::new()) else {
        return;
    };
    let rig = Rig::new(database, Some(account(server.port))).await;
    let web = device(&rig, "web1", true).await;
    credential(&rig, &web, "soon", Some(5)).await;
    credential(&rig, &web, "gone", Some(-2)).await;
    credential(&rig, &web, "far", Some(91)).await;
    credential(&rig, &web, "endless", None).await;
    let off = device(&rig, "off", false).await;
    credential(&rig, &off, "unreachable", Some(1)).await;
    let unused = credential(&rig, &web, "unused", Some(1)).await;
    change(&rig, &unused, json!({"enabled": false})).await;
    let span = (after(&rig, -300), after(&rig, 29));
    import(&rig, certificates.make("web.example", None, span)).await;
    let span = (after(&rig, -300), "9999-12-31T23:59:59Z".parse().unwrap());
    import(&rig, certificates.make("eternal.example", None, span)).await;
    // Of a life of 90 days, the level of 90 says only that it is new.
    let span = (after(&rig, -1), after(&rig, 89));
    import(&rig, certificates.make("new.example", None, span)).await;

    let people = ["ana@example.org", "bob@example.org"];
    assert_eq!(tally(&told(&rig, &people).await), (3, 2));
    for (kind, expected) in [
        ("credential.expiring", 1),
        ("credential.expired", 1),
        ("certificate.expiring", 1),
        ("mail.queued", 1),
    ] {
        let events = rig.rows("events", &format!("type = '{kind}'")).await;
        assert_eq!(events, expected, "{kind}");
    }
    assert_eq!(rig.rows("expiration_notices", "1 = 1").await, 9);
    assert_eq!(tally(&told(&rig, &people).await), (0, 0), "told once");
    assert_eq!(rig.rows("mail_outbox", "1 = 1").await, 2);

    let sent = rig.run("mail.email_sender", json!({})).await.unwrap();
    assert_eq!(count(&sent, "mails_sent"), 2);
    let mails = server.wait_for_mails(2);
    assert_eq!(mails.len(), 2);
    for mail in mails {
        let mail = mail.replace("=\r\n", "").replace("=\n", "");
        for part in [
            "`soon` on `web1`",
            "2027-01-20 08:00, in 5 days",
            "CN=3Dweb.example",
        ] {
            let plain = part.replace("=3D", "=");
            assert!(
                mail.contains(part) || mail.contains(&plain),
                "{part}: {mail}"
            );
        }
        assert!(mail.contains("`gone` on `web1`"), "{mail}");
        for other in ["far", "endless", "unreachable", "unused", "eternal"] {
            assert!(!mail.contains(&format!("{other}` on")), "{mail}");
        }
    }
}

async fn what_was_missed_is_not_made_up_for_and_a_renewal_begins_anew(database: &Database) {
    let rig = Rig::new(database, None).await;
    let web = device(&rig, "web1", true).await;
    let root = credential(&rig, &web, "root", Some(95)).await;
    let mut levels = Vec::new();
    for days in [0, 70, 1, 19, 10, 30] {
        rig.pass(days * 86_400);
        let before = rig.rows("expiration_notices", "recipient = ''").await;
        let outcome = told(&rig, &["ana@example.org"]).await;
        let after = rig.rows("expiration_notices", "recipient = ''").await;
        assert_eq!((after - before, after - before), tally(&outcome));
        levels.push(after - before);
    }
    assert_eq!(
        levels,
        [0, 1, 0, 1, 1, 0],
        "25, 24, 5 days left; gone; long gone"
    );
    for level in [30, 7, -1] {
        let rows = format!("level = {level}");
        assert_eq!(rig.rows("expiration_notices", &rows).await, 2, "{level}");
    }
    change(&rig, &root, json!({"expires_at": after(&rig, 20)})).await;
    let renewed = told(&rig, &["ana@example.org"]).await;
    assert_eq!(
        tally(&renewed),
        (1, 1),
        "the level of 30 days again, for another end"
    );
    assert_eq!(count(&renewed, "notices_forgotten"), 4);
    assert_eq!(tally(&told(&rig, &["ana@example.org"]).await), (0, 0));
    remove(&rig, &root).await;
    assert_eq!(count(&told(&rig, &[]).await, "notices_forgotten"), 2);
    assert_eq!(rig.rows("expiration_notices", "1 = 1").await, 0);
}

async fn an_issuer_is_told_of_instead_of_what_it_issued(database: &Database) {
    let Some(certificates) = Certificates::new() else {
        return;
    };
    let rig = Rig::new(database, None).await;
    let at = |days| after(&rig, days);
    let ana = ["ana@example.org"];
    // A namesake that had ended before did not issue what began after it.
    let old = certificates.make("authority", None, (at(-900), at(-400)));
    let authority = certificates.make("authority", None, (at(-300), at(10)));
    let mut issued = Vec::new();
    for (name, end) in [("early", 5), ("a", 10), ("b", 12), ("c", 80)] {
        let span = (at(-200), at(end));
        issued.push(certificates.make(name, Some("authority"), span));
    }
    import(&rig, old).await;
    import(&rig, issued.remove(0)).await;
    assert_eq!(
        tally(&told(&rig, &ana).await),
        (2, 1),
        "the namesake, and what ends early"
    );
    for pem in issued {
        import(&rig, pem).await;
    }
    import(&rig, authority).await;
    let first = told(&rig, &ana).await;
    assert_eq!(tally(&first), (1, 1), "the authority only");
    assert_eq!(count(&first, "certificates_covered_by_issuer"), 3);
    // Made anew from the same key, it no longer ends first.
    import(
        &rig,
        certificates.make("authority", None, (at(-1), at(1_000))),
    )
    .await;
    let second = told(&rig, &["ana@example.org"]).await;
    assert_eq!(tally(&second), (3, 1));
    assert_eq!(count(&second, "certificates_covered_by_issuer"), 0);
    // Two that issue each other are told of both.
    let span = (at(-100), at(20));
    certificates.make("x", None, span);
    import(&rig, certificates.make("y", Some("x"), span)).await;
    import(&rig, certificates.make("x", Some("y"), span)).await;
    assert_eq!(tally(&told(&rig, &["ana@example.org"]).await), (2, 1));
}

async fn thousands_are_told_in_parts(database: &Database) {
    let rig = Rig::new(database, None).await;
    let web = device(&rig, "web1", true).await;
    let expires_at = after(&rig, 5);
    let all: Vec<u32> = (0..1_200).collect();
    for some in all.chunks(1_000) {
        let value = |n: &u32| {
            new(
                json!({"device": web.id, "username": format!("u{n}"), "automatic_change": false,
                "expires_at": expires_at}),
            )
        };
        make_all(&rig, Noun::Credential, some.iter().map(value).collect()).await;
    }
    assert_eq!(tally(&told(&rig, &["ana@example.org"]).await), (1_200, 3));
    for n in [0, 499, 500, 777, 1_000, 1_199] {
        let named = format!("text LIKE '%`u{n}` on%'");
        assert_eq!(rig.rows("mail_outbox", &named).await, 1, "{n}");
    }
    assert_eq!(
        rig.rows("events", "type = 'credential.expiring'").await,
        1_200
    );
    assert_eq!(tally(&told(&rig, &["ana@example.org"]).await), (0, 0));
}

async fn programs_are_told_without_people_and_people_when_they_come(database: &Database) {
    let rig = Rig::new(database, None).await;
    let web = device(&rig, "web1", true).await;
    credential(&rig, &web, "root", Some(5)).await;
    assert_eq!(tally(&told(&rig, &[]).await), (1, 0));
    let said = |part: &str| {
        rig.log
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains(part))
    };
    assert!(said("the setting `recipients` is empty"));
    assert_eq!(tally(&told(&rig, &["ana@example.org"]).await), (1, 1));
    let both = ["bob@example.org", "ana@example.org"];
    assert_eq!(tally(&told(&rig, &both).await), (1, 1));
    let to_bob = "recipient = 'bob@example.org'";
    assert_eq!(rig.rows("mail_outbox", to_bob).await, 1);
    assert_eq!(rig.rows("events", "type = 'credential.expiring'").await, 1);
    // Another zone or another set of levels does not tell it again from above.
    let settings = json!({"recipients": both, "timezone": "Pacific/Kiritimati", "levels": [9, 8]});
    assert_eq!(tally(&rig.run(NAME, settings).await.unwrap()), (0, 0));
}

async fn of_two_runs_at_once_one_tells(database: &Database) {
    let rig = Rig::new(database, None).await;
    let web = device(&rig, "web1", true).await;
    for n in 0..50 {
        credential(&rig, &web, &format!("u{n}"), Some(5)).await;
    }
    let settings = || json!({"recipients": ["ana@example.org"]});
    let (one, two) = tokio::join!(rig.run(NAME, settings()), rig.run(NAME, settings()));
    for result in [one, two] {
        match result {
            Ok(outcome) => assert!([0, 50].contains(&count(&outcome, "things_told"))),
            Err(error) => assert_eq!((error.class, error.temporary), ("told_meanwhile", true)),
        }
    }
    assert_eq!(rig.rows("mail_outbox", "1 = 1").await, 1);
    assert_eq!(rig.rows("events", "type = 'credential.expiring'").await, 50);
}

/// The planned failure: between reading and writing another run was faster.
async fn a_notice_given_twice_writes_nothing(database: &Database) {
    let rig = Rig::new(database, None).await;
    let web = device(&rig, "web1", true).await;
    for (name, days) in [("a", 5), ("b", 6)] {
        credential(&rig, &web, name, Some(days)).await;
    }
    let store = &database.store;
    let read = store.expiring_list(Expirable::Credential, after(&rig, 90), None, 500);
    let read = read.await.unwrap();
    let mail = || NewMail {
        recipient: "ana@example.org".to_owned(),
        subject: "s".to_owned(),
        text: "t".to_owned(),
        priority: 5,
        expires_at: after(&rig, 1),
    };
    let notice = |index: usize| Notice::new(&read[index], 7, "ana@example.org");
    let give = async |notices: Vec<Notice>| {
        let mails = Vec::from([mail()]);
        store
            .expiration_tell(notices, mails, Vec::new(), rig.now())
            .await
    };
    give(Vec::from([notice(1)])).await.unwrap();
    let error = give(Vec::from([notice(0), notice(1)])).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert_eq!(rig.rows("mail_outbox", "1 = 1").await, 1);
    assert_eq!(rig.rows("expiration_notices", "1 = 1").await, 1);
    give(Vec::from([notice(0)])).await.unwrap();
    let page = store.expiring_list(Expirable::Credential, after(&rig, 90), None, 1);
    let page = page.await.unwrap();
    assert_eq!(page[0].told, [("ana@example.org".to_owned(), 7)]);
    let behind = Some((page[0].ends_at, page[0].id));
    let rest = store.expiring_list(Expirable::Credential, after(&rig, 90), behind, 500);
    assert_eq!(rest.await.unwrap().len(), 1);
}
