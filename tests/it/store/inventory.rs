//! Things of the inventory, one at a time: made, changed, searched, removed, and what is told of it.

use std::sync::Arc;

use robotd::domain::id::InventoryId;
use robotd::domain::inventory::Noun;
use robotd::domain::inventory::column::Filter;
use robotd::domain::inventory::patch::Fields;
use robotd::robot::inventory::{By, Inventory, InventoryError, NewItem, Reason};
use robotd::robot::registry::Registry;
use robotd::robot::safe::Safe;
use robotd::store::audit::AuditFilter;
use robotd::store::event::EventFilter;
use robotd::store::inventory::{Item, Narrow, Wanted};
use robotd::store::{Store, StoreError};
use robotd::vault::MasterKey;
use serde_json::{Value, json};

use super::make::{at, first};
use crate::support::database::{Database, on_both};

on_both!(
    every_noun_is_made_read_changed_and_removed,
    fields_are_kept_as_they_were_sent,
    a_stale_revision_changes_nothing,
    lists_are_narrowed_and_paged,
    each_change_is_told_in_its_own_transaction,
);

pub fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

pub fn new(value: Value) -> NewItem {
    NewItem {
        fields: fields(value),
        secret: None,
    }
}

pub const fn by(seconds: i64) -> ByAt {
    ByAt(seconds)
}

/// Who asks in these tests, at a second.
#[derive(Clone, Copy)]
pub struct ByAt(i64);

impl From<ByAt> for By<'static> {
    fn from(ByAt(seconds): ByAt) -> Self {
        By {
            actor: "ana",
            now: at(seconds),
        }
    }
}

/// An inventory with a master key of its own, and no robots to wake.
pub async fn inventory(store: &Store) -> Inventory {
    let folder = tempfile::tempdir().unwrap();
    let master = MasterKey::create(folder.path()).unwrap();
    let safe = Safe::open(store.clone(), &master, at(0)).await.unwrap();
    Inventory::new(store.clone(), safe, Arc::new(Registry::default()))
}

pub async fn make(inventory: &Inventory, noun: Noun, body: Value) -> Item {
    let made = inventory.create(noun, Vec::from([new(body)]), by(1).into());
    made.await.unwrap().remove(0)
}

/// Why the one thing of a call was refused.
pub fn reason<T: std::fmt::Debug>(result: Result<T, InventoryError>) -> Reason {
    match result {
        Err(InventoryError::Refused(mut reasons)) => reasons.remove(0).1,
        other => panic!("not refused: {other:?}"),
    }
}

pub fn field(reason: &Reason) -> &str {
    match reason {
        Reason::Invalid(errors) => &errors[0].field,
        Reason::Taken(error) => &error.field,
        other => panic!("no field: {other:?}"),
    }
}

/// One thing of each noun that a store needs no certificate for, those that refer to others first.
async fn one_of_each(inventory: &Inventory) -> Vec<(Noun, Item)> {
    let site = make(inventory, Noun::Site, json!({"name": "Hall"})).await;
    let policy = make(
        inventory,
        Noun::CredentialPolicy,
        json!({"name": "p", "max_age": "P30D", "password": {"length": 30}}),
    )
    .await;
    let device = make(
        inventory,
        Noun::Device,
        json!({"hostname": "web1", "address": "192.0.2.1", "site": site.id, "tags": ["a", "é\"'\\"],
            "connectivities": [{"protocol": "ssh", "port": 22, "host_key": "trust_on_first_use"}, {"protocol": "tls", "port": 443}]}),
    )
    .await;
    let credential = make(
        inventory,
        Noun::Credential,
        json!({"device": device.id, "username": "root", "automatic_change": true, "policy": policy.id,
            "expires_at": "2027-01-02T03:04:05.678901Z"}),
    )
    .await;
    let user = json!({"login": "ana", "email": "ana@example.org"});
    let user = make(inventory, Noun::User, user).await;
    let group = json!({"name": "g", "members": [user.id]});
    let group = make(inventory, Noun::UserGroup, group).await;
    let template = make(
        inventory,
        Noun::OperationTemplate,
        json!({"name": "t", "kind": "change_password", "protocol": "ssh", "steps": "passwd\n{new_password}\n{{}}"}),
    )
    .await;
    let issuer = json!({"name": "i", "kind": "acme", "lifetime": "P30D",
        "acme": {"directory": "https://acme.example.org/directory", "contacts": ["mailto:a@example.org"]}});
    let issuer = make(inventory, Noun::CertificateIssuer, issuer).await;
    let automation = json!({"name": "www", "issuer": issuer.id, "names": ["www.example.org"],
        "window": {"start": "22:00", "end": "06:00"}});
    let automation = make(inventory, Noun::CertificateAutomation, automation).await;
    let binding = json!({"name": "nginx", "automation": automation.id, "credential": credential.id,
        "directory": "/etc/tls/www", "reload": ["/bin/true", "{x}"], "owner": "root:www"});
    let binding = make(inventory, Noun::CertificateBinding, binding).await;
    let definition = json!({"name": "nightly", "kind": "run_template", "template": template.id, "site": site.id,
        "devices": [device.id], "stop_after": 3, "expires_after": "PT8H",
        "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}, "window": {"start": "22:00", "end": "06:00"}});
    let definition = make(inventory, Noun::TaskDefinition, definition).await;
    Vec::from([
        (Noun::TaskDefinition, definition),
        (Noun::CertificateBinding, binding),
        (Noun::CertificateAutomation, automation),
        (Noun::CertificateIssuer, issuer),
        (Noun::OperationTemplate, template),
        (Noun::UserGroup, group),
        (Noun::User, user),
        (Noun::Credential, credential),
        (Noun::Device, device),
        (Noun::CredentialPolicy, policy),
        (Noun::Site, site),
    ])
}

async fn every_noun_is_made_read_changed_and_removed(database: &Database) {
    let inventory = inventory(&database.store).await;
    for (noun, item) in one_of_each(&inventory).await {
        assert_eq!(
            (item.revision, item.created_at, item.updated_at),
            (1, at(1), at(1))
        );
        assert_eq!(
            inventory.get(noun, item.id).await.unwrap(),
            item,
            "{noun:?}"
        );
        let named = noun.spec().named_by;
        let patch = new(json!({named: "Another"}));
        let changed = inventory
            .change(noun, item.id, Some(1), &patch, by(2).into())
            .await
            .unwrap();
        assert_eq!(changed.body[named], "Another");
        assert_eq!(
            (changed.revision, changed.created_at, changed.updated_at),
            (2, at(1), at(2))
        );
        assert_eq!(
            inventory.get(noun, item.id).await.unwrap(),
            changed,
            "{noun:?}"
        );
        inventory
            .remove(noun, item.id, Some(2), by(3).into())
            .await
            .unwrap();
        let gone = inventory.get(noun, item.id).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    }
}

async fn fields_are_kept_as_they_were_sent(database: &Database) {
    let inventory = inventory(&database.store).await;
    let all = one_of_each(&inventory).await;
    let of = |noun| {
        all.iter()
            .find(|(known, _)| *known == noun)
            .map(|(_, item)| item)
            .unwrap()
    };
    let (policy, device) = (of(Noun::CredentialPolicy), of(Noun::Device));
    let (credential, group, user) = (of(Noun::Credential), of(Noun::UserGroup), of(Noun::User));
    assert_eq!(policy.body["password"]["length"], 30);
    assert_eq!(policy.body["max_age"], "P30D");
    assert_eq!(device.body["tags"], json!(["a", "é\"'\\"]));
    assert_eq!(device.body["enabled"], true);
    assert_eq!(
        device.lists["connectivities"][0]["pinned_host_key"],
        Value::Null
    );
    assert_eq!(
        device.body["connectivities"][1],
        json!({"protocol": "tls", "port": 443, "host_key": null, "ca": null})
    );
    assert_eq!(credential.body["expires_at"], "2027-01-02T03:04:05.678901Z");
    assert_eq!(credential.body["device"], device.id.to_string());
    assert_eq!(credential.state["secret_version"], Value::Null);
    assert_eq!(group.body["members"], json!([user.id]));
}

async fn a_stale_revision_changes_nothing(database: &Database) {
    let inventory = inventory(&database.store).await;
    let site = make(&inventory, Noun::Site, json!({"name": "a"})).await;
    let patch = new(json!({"name": "b"}));
    inventory
        .change(Noun::Site, site.id, Some(1), &patch, by(2).into())
        .await
        .unwrap();
    let late = new(json!({"name": "c"}));
    let stale = Reason::Stale { current: 2 };
    assert_eq!(
        reason(
            inventory
                .change(Noun::Site, site.id, Some(1), &late, by(3).into())
                .await
        ),
        stale
    );
    assert_eq!(
        reason(
            inventory
                .remove(Noun::Site, site.id, Some(1), by(3).into())
                .await
        ),
        stale
    );
    // Whether the change is sound is judged first.
    let bad = new(json!({"name": ""}));
    assert_eq!(
        field(&reason(
            inventory
                .change(Noun::Site, site.id, Some(1), &bad, by(3).into())
                .await
        )),
        "name"
    );
    assert_eq!(
        inventory.get(Noun::Site, site.id).await.unwrap().body["name"],
        "b"
    );
}

fn narrow(noun: Noun, name: &str, value: Wanted) -> Vec<Narrow> {
    let filters: &'static [Filter] = noun.spec().filters;
    let filter = filters.iter().find(|filter| filter.name == name).unwrap();
    Vec::from([Narrow { filter, value }])
}

async fn lists_are_narrowed_and_paged(database: &Database) {
    let inventory = inventory(&database.store).await;
    let site = make(&inventory, Noun::Site, json!({"name": "s"})).await;
    for (hostname, place, enabled) in [
        ("web", None, true),
        ("web", Some(site.id), false),
        ("web2", None, true),
        ("we", None, true),
    ] {
        let body = json!({"hostname": hostname, "address": "192.0.2.1", "site": place, "enabled": enabled});
        make(&inventory, Noun::Device, body).await;
    }
    let hostnames = async |filters| {
        let found = inventory
            .list(Noun::Device, filters, first(10))
            .await
            .unwrap();
        let names = found
            .items
            .iter()
            .map(|item| item.body["hostname"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(hostnames(Vec::new()).await, ["we", "web2", "web", "web"]);
    let named = |name: &str| narrow(Noun::Device, "hostname", Wanted::Text(name.to_owned()));
    assert_eq!(hostnames(named("WEB")).await, ["web", "web"]);
    let placed = narrow(Noun::Device, "site", Wanted::Int(site.id.0));
    assert_eq!(hostnames(placed).await, ["web"]);
    let off = narrow(Noun::Device, "enabled", Wanted::Bool(false));
    assert_eq!(hostnames(off).await, ["web"]);
    let nowhere = narrow(
        Noun::Device,
        "address",
        Wanted::Text("' OR 1=1 --".to_owned()),
    );
    assert!(hostnames(nowhere).await.is_empty());
    let mut page = first(3);
    let one = inventory
        .list(Noun::Device, Vec::new(), page)
        .await
        .unwrap();
    page.after = one.next;
    let two = inventory
        .list(Noun::Device, Vec::new(), page)
        .await
        .unwrap();
    assert_eq!((one.items.len(), two.items.len(), two.next), (3, 1, None));
}

async fn each_change_is_told_in_its_own_transaction(database: &Database) {
    let store = &database.store;
    let inventory = inventory(store).await;
    let user = make(&inventory, Noun::User, json!({"login": "ana"})).await;
    for patch in [
        json!({"name": "Ana"}),
        json!({"enabled": false}),
        json!({"enabled": true}),
    ] {
        inventory
            .change(Noun::User, user.id, None, &new(patch), by(2).into())
            .await
            .unwrap();
    }
    let refused = Vec::from([new(json!({"login": "ANA"}))]);
    reason(inventory.create(Noun::User, refused, by(3).into()).await);
    inventory
        .remove(Noun::User, user.id, None, by(4).into())
        .await
        .unwrap();
    let events = store
        .event_list(EventFilter::default(), first(50))
        .await
        .unwrap();
    let kinds: Vec<_> = events
        .items
        .iter()
        .rev()
        .map(|record| record.event.kind.as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "user.created",
            "user.changed",
            "user.disabled",
            "user.changed",
            "user.disabled"
        ]
    );
    for record in &events.items {
        assert_eq!(
            record.event.subject.as_deref(),
            Some(user.id.to_string().as_str())
        );
        assert_eq!(record.event.problems(), []);
    }
    the_trail_tells_of(store, user.id).await;
}

/// The changes that the test above makes to a user.
async fn the_trail_tells_of(store: &Store, user: InventoryId) {
    let filter = AuditFilter {
        object: Some(format!("user:{user}")),
        ..AuditFilter::default()
    };
    let trail = store.audit_list(filter, first(50)).await.unwrap();
    let told: Vec<_> = trail
        .items
        .iter()
        .rev()
        .map(|entry| (entry.actor.as_str(), entry.action.as_str()))
        .collect();
    let change = ("ana", "user.change");
    assert_eq!(
        told,
        [
            ("ana", "user.create"),
            change,
            change,
            change,
            ("ana", "user.delete")
        ]
    );
    let named = &trail.items[3];
    assert_eq!(
        (named.before.clone(), named.after.clone()),
        (Some(json!({"name": null})), Some(json!({"name": "Ana"})))
    );
    for entry in &trail.items {
        assert_eq!(entry.expected_hash(), entry.hash);
    }
}
