//! Operations against a real sshd and a real PostgreSQL server.

mod admission;
mod chain;
mod connectivity;
mod executor;
mod expiry;
mod holding;
mod imports;
mod keys;
mod lockout;
mod password_change;
mod reconciliation;
mod retry;
mod rotation;
mod targets;
mod templates;

use std::sync::Arc;

use robotd::domain::id::{InventoryId, OperationId};
use robotd::domain::inventory::Noun;
use robotd::domain::operation::{ChangeCause, OperationKind, OperationState};
use robotd::domain::task::PRIORITY_DEFAULT;
use robotd::robot::inventory::{By, Inventory, NewItem, Secrets};
use robotd::robot::operation::order;
use robotd::store::operation::{NewOperation, Operation};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::robots::rig::Rig;
use crate::support::sshd::Sshd;

pub const OLD: &str = "Right-Horse-7";
pub const EXECUTOR: &str = "operations.operation_executor";
const RETRY: &str = "operations.operation_executor_retry";

pub fn inventory(rig: &Rig<'_>) -> Inventory {
    let tools = &rig.tools;
    Inventory::new(
        tools.store.clone(),
        tools.safe.clone(),
        Arc::clone(&tools.registry),
    )
}

pub async fn make(rig: &Rig<'_>, noun: Noun, body: Value, secret: Option<&str>) -> InventoryId {
    let Value::Object(fields) = body else {
        panic!("no object: {body}")
    };
    let new = NewItem {
        fields,
        secret: secret.map(Into::into),
    };
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let made = inventory(rig).create(noun, Vec::from([new]), by).await;
    made.unwrap()[0].id
}

/// A device on loopback that is reached in one way.
pub async fn device(rig: &Rig<'_>, protocol: &str, port: u16, host_key: Value) -> InventoryId {
    let body = json!({
        "hostname": format!("h{port}"), "address": "127.0.0.1",
        "connectivities": [{"protocol": protocol, "port": port, "host_key": host_key}],
    });
    make(rig, Noun::Device, body, None).await
}

/// A machine that is reached over SSH, by the key that it has.
pub async fn machine(rig: &Rig<'_>, sshd: &Sshd) -> InventoryId {
    let key = sshd.host_key("ed25519");
    device(rig, "ssh", sshd.port, json!(key.fingerprint)).await
}

pub async fn credential(
    rig: &Rig<'_>,
    device: InventoryId,
    name: &str,
    secret: &str,
) -> InventoryId {
    let body = json!({"device": device, "username": name, "automatic_change": true});
    make(rig, Noun::Credential, body, Some(secret)).await
}

/// Current and candidate as version and text.
async fn kept(rig: &Rig<'_>, id: InventoryId) -> [Option<(i64, String)>; 2] {
    let Secrets {
        current, candidate, ..
    } = inventory(rig).secrets(id).await.unwrap();
    [current, candidate]
        .map(|one| one.map(|one| (one.version, one.secret.expose_secret().to_owned())))
}

/// The secret in force.
async fn current(rig: &Rig<'_>, id: InventoryId) -> String {
    let [current, _] = kept(rig, id).await;
    current.unwrap().1
}

pub async fn ordered(rig: &Rig<'_>, kind: OperationKind, credential: InventoryId) -> OperationId {
    let new = NewOperation {
        kind,
        credential,
        run_at: None,
        expires_at: None,
        template: None,
        priority: PRIORITY_DEFAULT,
        requested_by: "ana".to_owned(),
        cause: ChangeCause::Ordered,
    };
    let registry = &rig.tools.registry;
    let made = order(&rig.tools.store, registry, Vec::from([new]), rig.now()).await;
    made.unwrap()[0]
}

async fn stands(rig: &Rig<'_>, id: OperationId) -> Operation {
    rig.tools.store.operation_get(id).await.unwrap()
}

/// Carries an operation out and answers where it stands, with the class of its failure.
async fn done(
    rig: &Rig<'_>,
    kind: OperationKind,
    id: InventoryId,
) -> (OperationState, Option<String>) {
    let operation = ordered(rig, kind, id).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let found = stands(rig, operation).await;
    (found.state, found.error_class)
}

/// Whether OpenSSH's own client signs in; a wrong try of ours is not counted against the account.
fn opens(sshd: &Sshd, name: &str, secret: &str) -> bool {
    let opens = sshd.lets_in(name, secret);
    sshd.must(&["faillock", "--user", name, "--reset"], "");
    opens
}
