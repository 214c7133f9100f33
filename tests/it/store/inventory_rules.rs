//! What the inventory refuses, and what it keeps: names, references, uses, pinned keys.

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::robot::inventory::{Inventory, Reason};
use robotd::store::StoreError;
use serde_json::{Value, json};

use super::inventory::{by, field, inventory, make, new, reason};
use super::make::first;
use crate::support::database::{Database, on_both};

on_both!(
    what_is_in_use_stays,
    references_must_lead_somewhere,
    a_connectivity_keeps_its_pinned_key_until_it_changes,
    what_changes_nothing_is_not_written,
    spellings_of_one_name_are_one_thing,
);

/// A thing of each noun that is referred to or refers: site, policy, device, credential, user, group.
async fn chain(inventory: &Inventory) -> [InventoryId; 6] {
    let site = make(inventory, Noun::Site, json!({"name": "a"})).await;
    let policy = make(inventory, Noun::CredentialPolicy, json!({"name": "p"})).await;
    let device = make(
        inventory,
        Noun::Device,
        json!({"hostname": "h", "address": "a", "site": site.id}),
    )
    .await;
    let credential = make(
        inventory,
        Noun::Credential,
        json!({"device": device.id, "username": "u", "automatic_change": true, "policy": policy.id}),
    )
    .await;
    let user = make(inventory, Noun::User, json!({"login": "u"})).await;
    let group = make(
        inventory,
        Noun::UserGroup,
        json!({"name": "g", "members": [user.id]}),
    )
    .await;
    [site, policy, device, credential, user, group].map(|item| item.id)
}

async fn what_is_in_use_stays(database: &Database) {
    let inventory = inventory(&database.store).await;
    let [site, policy, device, credential, user, group] = chain(&inventory).await;
    for (noun, id, what) in [
        (
            Noun::Site,
            site,
            "the site is in use: 1 device refers to it: `h` (",
        ),
        (
            Noun::Device,
            device,
            "the device is in use: 1 credential refers to it: `u` (",
        ),
        (
            Noun::CredentialPolicy,
            policy,
            "the credential policy is in use: 1 credential refers to it: `u` (",
        ),
        (
            Noun::User,
            user,
            "the user is in use: 1 user group refers to it: `g` (",
        ),
    ] {
        let refused = reason(inventory.remove(noun, id, None, by(2).into()).await);
        let named = matches!(&refused, Reason::InUse(told) if told.starts_with(what));
        assert!(named, "{refused:?}");
    }
    for (noun, id) in [
        (Noun::UserGroup, group),
        (Noun::User, user),
        (Noun::Credential, credential),
        (Noun::Device, device),
        (Noun::CredentialPolicy, policy),
        (Noun::Site, site),
    ] {
        inventory
            .remove(noun, id, None, by(3).into())
            .await
            .unwrap();
    }
    for table in [
        "device_connectivities",
        "user_group_members",
        "secret_versions",
    ] {
        assert_eq!(
            database
                .number(&format!("SELECT count(*) FROM {table}"))
                .await,
            0
        );
    }
}

async fn references_must_lead_somewhere(database: &Database) {
    let inventory = inventory(&database.store).await;
    let device = make(
        &inventory,
        Noun::Device,
        json!({"hostname": "h", "address": "a"}),
    )
    .await;
    for (noun, body, expected) in [
        (
            Noun::Device,
            json!({"hostname": "x", "address": "a", "site": "999"}),
            "site",
        ),
        // A device is no site, though it has this id.
        (
            Noun::Device,
            json!({"hostname": "x", "address": "a", "site": device.id}),
            "site",
        ),
        (
            Noun::UserGroup,
            json!({"name": "g", "members": ["999"]}),
            "members[0]",
        ),
    ] {
        let refused = reason(
            inventory
                .create(noun, Vec::from([new(body)]), by(2).into())
                .await,
        );
        assert_eq!(field(&refused), expected);
    }
}

async fn a_connectivity_keeps_its_pinned_key_until_it_changes(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let trusting = json!({"protocol": "ssh", "port": 22, "host_key": "trust_on_first_use"});
    let strict = json!({"protocol": "ssh", "port": 2222});
    let body = json!({"hostname": "h", "address": "a", "connectivities": [trusting, strict]});
    let device = make(&inventory, Noun::Device, body).await.id;
    assert_eq!(
        store
            .connectivity_pin(device, "ssh", 22, "key one")
            .await
            .unwrap(),
        "key one"
    );
    assert_eq!(
        store
            .connectivity_pin(device, "ssh", 22, "key two")
            .await
            .unwrap(),
        "key one"
    );
    let strictly = store.connectivity_pin(device, "ssh", 2222, "key").await;
    assert!(
        matches!(strictly, Err(StoreError::NotFound { .. })),
        "{strictly:?}"
    );
    let pinned = async |patch: Value| {
        let changed = inventory
            .change(Noun::Device, device, None, &new(patch), by(2).into())
            .await;
        changed.unwrap().lists["connectivities"]
            .as_array()
            .unwrap()
            .iter()
            .find(|way| way["port"] == 22)
            .map(|way| way["pinned_host_key"].clone())
    };
    let kept = json!({"connectivities": [{"protocol": "tls", "port": 443}, trusting]});
    assert_eq!(pinned(kept).await, Some(json!("key one")));
    let stricter = json!({"connectivities": [{"protocol": "ssh", "port": 22}]});
    assert_eq!(pinned(stricter).await, Some(Value::Null));
    let again = json!({"connectivities": [trusting]});
    assert_eq!(pinned(again).await, Some(Value::Null), "trust begins anew");
}

async fn what_changes_nothing_is_not_written(database: &Database) {
    let inventory = inventory(&database.store).await;
    let one = make(&inventory, Noun::User, json!({"login": "a"})).await.id;
    let other = make(&inventory, Noun::User, json!({"login": "b"})).await.id;
    let group = make(
        &inventory,
        Noun::UserGroup,
        json!({"name": "g", "members": [one, other]}),
    )
    .await;
    for patch in [
        json!({}),
        json!({"name": "g"}),
        json!({"members": [other, one]}),
        json!({"description": null}),
    ] {
        let changed = inventory
            .change(Noun::UserGroup, group.id, None, &new(patch), by(2).into())
            .await
            .unwrap();
        assert_eq!(changed, group);
    }
}

async fn spellings_of_one_name_are_one_thing(database: &Database) {
    let inventory = inventory(&database.store).await;
    let site = make(&inventory, Noun::Site, json!({"name": "Åre"})).await;
    let again = Vec::from([new(json!({"name": "A\u{30a}RE"}))]);
    let refused = reason(inventory.create(Noun::Site, again, by(2).into()).await);
    assert!(
        matches!(&refused, Reason::Taken(error) if error.detail.contains(&format!("`{}`", site.id)))
    );
    assert_eq!(field(&refused), "name");
    let device = |hostname: &str, site: Option<InventoryId>| {
        Vec::from([new(
            json!({"hostname": hostname, "address": "a", "site": site}),
        )])
    };
    for (hostname, place) in [("web1", None), ("web1", Some(site.id)), ("web2", None)] {
        inventory
            .create(Noun::Device, device(hostname, place), by(2).into())
            .await
            .unwrap();
    }
    let refused = reason(
        inventory
            .create(Noun::Device, device("WEB1", None), by(2).into())
            .await,
    );
    assert_eq!(field(&refused), "hostname");
    let web2 = inventory
        .list(Noun::Device, Vec::new(), first(1))
        .await
        .unwrap()
        .items
        .remove(0);
    let patch = new(json!({"hostname": "Web1"}));
    let refused = reason(
        inventory
            .change(Noun::Device, web2.id, None, &patch, by(3).into())
            .await,
    );
    assert_eq!(field(&refused), "hostname");
    // Its own name in another case is no other thing.
    let patch = new(json!({"hostname": "WEB2"}));
    inventory
        .change(Noun::Device, web2.id, None, &patch, by(3).into())
        .await
        .unwrap();
    let credential = |username: &str, domain: Option<&str>| {
        let body = json!({"device": web2.id, "username": username, "domain": domain, "automatic_change": false});
        Vec::from([new(body)])
    };
    for (username, domain) in [("root", None), ("root", Some("AD"))] {
        inventory
            .create(Noun::Credential, credential(username, domain), by(4).into())
            .await
            .unwrap();
    }
    let refused = inventory
        .create(
            Noun::Credential,
            credential("ROOT", Some("ad")),
            by(4).into(),
        )
        .await;
    assert_eq!(field(&reason(refused)), "username");
}
