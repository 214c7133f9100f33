//! Many things in one call, as imports make them; and callers that get in each other's way.

use robotd::domain::inventory::{BATCH_ITEMS_MAX, Noun};
use robotd::robot::inventory::{InventoryError, NewItem, Reason};
use serde_json::json;

use super::inventory::{by, fields, inventory, make, new};
use super::make::first;
use crate::support::database::{Database, on_both};

on_both!(
    a_thousand_things_are_made_together,
    one_bad_thing_keeps_all_from_being_made,
    of_two_callers_with_one_name_one_is_refused,
    changes_at_the_same_moment_are_all_made,
);

async fn a_thousand_things_are_made_together(database: &Database) {
    let inventory = inventory(&database.store).await;
    let device = make(
        &inventory,
        Noun::Device,
        json!({"hostname": "h", "address": "a"}),
    )
    .await
    .id;
    let credential = |number: usize| NewItem {
        fields: fields(
            json!({"device": device, "username": format!("u{number}"), "automatic_change": true}),
        ),
        secret: Some(format!("secret {number}").into()),
    };
    let all = (0..BATCH_ITEMS_MAX).map(credential).collect();
    let made = inventory
        .create(Noun::Credential, all, by(2).into())
        .await
        .unwrap();
    assert_eq!(made.len(), BATCH_ITEMS_MAX);
    assert_eq!(made[999].body["username"], "u999");
    assert_eq!(made[999].state["secret_version"], 1);
    let secrets = inventory.secrets(made[999].id).await.unwrap();
    assert_eq!(
        secrecy::ExposeSecret::expose_secret(&secrets.current.unwrap().secret),
        "secret 999"
    );
    for (count, select) in [
        (1_000, "SELECT count(*) FROM secret_versions"),
        (1_001, "SELECT count(*) FROM audit_trail"),
        (1_001, "SELECT count(*) FROM events"),
    ] {
        assert_eq!(database.number(select).await, count, "{select}");
    }
    let more = (0..=BATCH_ITEMS_MAX).map(|_| NewItem::default()).collect();
    let refused = inventory.create(Noun::Site, more, by(3).into()).await;
    assert!(matches!(refused, Err(InventoryError::TooMany(1_000))));
}

async fn one_bad_thing_keeps_all_from_being_made(database: &Database) {
    let inventory = inventory(&database.store).await;
    make(&inventory, Noun::User, json!({"login": "there"})).await;
    let call = |logins: &[&str]| {
        logins
            .iter()
            .map(|login| new(json!({"login": login})))
            .collect::<Vec<_>>()
    };
    let refused = inventory
        .create(Noun::User, call(&["a", "", "b"]), by(2).into())
        .await;
    let Err(InventoryError::Refused(reasons)) = refused else {
        panic!("not refused: {refused:?}")
    };
    assert!(
        matches!(reasons.as_slice(), [(1, Reason::Invalid(_))]),
        "{reasons:?}"
    );
    let refused = inventory
        .create(Noun::User, call(&["a", "There", "A"]), by(2).into())
        .await;
    let Err(InventoryError::Refused(reasons)) = refused else {
        panic!("not refused: {refused:?}")
    };
    assert!(
        matches!(
            reasons.as_slice(),
            [(1, Reason::Taken(_)), (2, Reason::Taken(_))]
        ),
        "{reasons:?}"
    );
    let users = inventory
        .list(Noun::User, Vec::new(), first(10))
        .await
        .unwrap();
    assert_eq!(users.items.len(), 1);
    assert_eq!(database.number("SELECT count(*) FROM events").await, 1);
}

async fn of_two_callers_with_one_name_one_is_refused(database: &Database) {
    let inventory = inventory(&database.store).await;
    for round in 0..10 {
        let mut callers = tokio::task::JoinSet::new();
        for number in 0..4 {
            let inventory = inventory.clone();
            callers.spawn(async move {
                let name = if number % 2 == 0 {
                    format!("n{round}")
                } else {
                    format!("N{round}")
                };
                let made = inventory
                    .create(Noun::Site, vec![new(json!({"name": name}))], by(2).into())
                    .await;
                match made {
                    Ok(_) => true,
                    Err(InventoryError::Refused(reasons)) => {
                        assert!(matches!(reasons[0].1, Reason::Taken(_)), "{reasons:?}");
                        false
                    }
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let made = callers.join_all().await;
        assert_eq!(
            made.iter().filter(|made| **made).count(),
            1,
            "round {round}"
        );
    }
}

async fn changes_at_the_same_moment_are_all_made(database: &Database) {
    let inventory = inventory(&database.store).await;
    let site = make(&inventory, Noun::Site, json!({"name": "s"})).await.id;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let inventory = inventory.clone();
        callers.spawn(async move {
            let patch = new(json!({"description": format!("by {number}")}));
            loop {
                match inventory
                    .change(Noun::Site, site, None, &patch, by(2).into())
                    .await
                {
                    Ok(_) => return,
                    Err(InventoryError::Refused(reasons)) => {
                        assert!(matches!(reasons[0].1, Reason::Stale { .. }), "{reasons:?}");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    callers.join_all().await;
    assert_eq!(inventory.get(Noun::Site, site).await.unwrap().revision, 9);
    assert_eq!(database.number("SELECT count(*) FROM audit_trail").await, 9);
}
