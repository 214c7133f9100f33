//! What goes with its age although something might refer to it: issues of certificates, and views of secrets.

use std::time::Duration;

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::store::upkeep::Retention;
use serde_json::json;

use super::inventory::{by, inventory, make};
use super::make::at;
use super::operation::credentials;
use crate::support::database::{Database, on_both};

on_both!(
    issues_go_that_nothing_refers_to,
    views_go_after_a_time_of_their_own,
);

const DAY: i64 = 86_400;
const KEEP: Duration = Duration::from_secs(u64::MAX >> 24);
const KEPT: Retention = Retention {
    tasks: KEEP,
    events: KEEP,
    ticks: KEEP,
    views: KEEP,
};

async fn ids(database: &Database, of: &str) -> String {
    let mut left = Vec::new();
    for id in 1_000_001..1_000_010 {
        let there = format!("SELECT count(*) FROM {of} WHERE id = {id}");
        if database.number(&there).await > 0 {
            left.push((id - 1_000_000).to_string());
        }
    }
    left.join(" ")
}

/// An issue `number` with a private key of its own, or the one of another issue.
async fn issue(
    database: &Database,
    (automation, issuer): (InventoryId, InventoryId),
    (number, key): (i64, i64),
    (made, ended): (i64, Option<i64>),
) {
    let micros = |seconds: i64| (1_800_000_000 + seconds) * 1_000_000;
    let (id, key_id) = (1_000_000 + number, 1_000_000 + key);
    let end = ended.map_or_else(|| "NULL".to_owned(), |end| micros(end).to_string());
    if number == key {
        let keep = format!(
            "INSERT INTO private_keys (id, automation_id, key_id, sealed, created_at) \
             VALUES ({id}, {automation}, 1, '', {})",
            micros(made)
        );
        database.sql(&keep).await;
    }
    let insert = format!(
        "INSERT INTO certificate_issues (id, automation_id, issuer_id, private_key, names, created_at, finished_at) \
         VALUES ({id}, {automation}, {issuer}, {key_id}, '[]', {}, {end})",
        micros(made)
    );
    database.sql(&insert).await;
}

async fn issues_go_that_nothing_refers_to(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let issuer = json!({"name": "i", "kind": "internal", "lifetime": "P90D"});
    let issuer = make(&inventory, Noun::CertificateIssuer, issuer).await.id;
    let automation = json!({"name": "a", "issuer": issuer, "names": ["localhost"]});
    let automation = make(&inventory, Noun::CertificateAutomation, automation);
    let automation = automation.await.id;
    let of = (automation, issuer);
    // Of these, the first is over and done with; its key is another one's too, and goes with that one.
    for (numbers, times) in [
        ((1, 1), (0, Some(10))),
        ((2, 1), (0, Some(20))),
        ((3, 3), (0, Some(30))),
        ((4, 4), (0, None)),
        ((5, 5), (0, Some(2 * DAY))),
        ((6, 6), (0, Some(40))),
    ] {
        issue(database, of, numbers, times).await;
    }
    let in_force = "UPDATE certificate_automations SET issue = 1000003";
    database.sql(in_force).await;
    let open = "INSERT INTO certificate_publications (id, binding_id, automation_id, issue_id, state, place, fingerprint, created_at) \
                VALUES (1, 1, 1, 1000006, 0, '', '', 0)";
    database.sql(open).await;
    let retention = Retention {
        tasks: Duration::from_hours(24),
        ..KEPT
    };
    let prune = async |day: i64, limit| store.prune(retention, limit, at(day * DAY)).await;
    prune(2, 100).await.unwrap();
    let all = "1 2 3 4 5 6";
    assert_eq!(
        ids(database, "certificate_issues").await,
        all,
        "their issuer counts its orders for a week"
    );
    prune(8, 1).await.unwrap();
    assert_eq!(ids(database, "certificate_issues").await, "2 3 4 5 6");
    assert_eq!(ids(database, "private_keys").await, "1 3 4 5 6");
    prune(8, 100).await.unwrap();
    assert_eq!(ids(database, "certificate_issues").await, "3 4 6");
    assert_eq!(ids(database, "private_keys").await, "3 4 6");
    assert_eq!(prune(8, 100).await.unwrap(), 0);
}

async fn views_go_after_a_time_of_their_own(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let id = credentials(&inventory, 1).await[0];
    for seconds in [5, 6, 7] {
        inventory
            .view_secret(id, None, by(seconds).into())
            .await
            .unwrap();
    }
    let retention = Retention {
        views: Duration::from_secs(100),
        ..KEPT
    };
    let left = async || {
        let count = "SELECT count(*) FROM credential_views";
        database.number(count).await
    };
    for (now, limit, expected) in [(105, 9, 3), (107, 1, 2), (107, 9, 1), (108, 9, 0)] {
        store.prune(retention, limit, at(now)).await.unwrap();
        assert_eq!(left().await, expected, "at {now}");
    }
}
