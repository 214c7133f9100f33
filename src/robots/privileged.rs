//! The accounts that may set the passwords of others, and open and close them.

use serde_json::Value;

use crate::domain::id::InventoryId;
use crate::domain::inventory::{CredentialBody, Noun, Protocol};
use crate::robot::inventory::Inventory;
use crate::robots::targets::{Identity, Unfit, body, identity, is_closed};
use crate::robots::ways::protocols;
use crate::store::inventory::{Item, Narrow, Wanted};
use crate::store::page::PageRequest;

/// Privileged credentials of one device that are looked at: there should be one.
const PRIVILEGED_MAX: u32 = 10;

/// Who may work on an account, where somebody may; why the credential that its policy names cannot.
pub(super) type Privileged = Result<Option<Identity>, String>;

/// Who may work on the account of `not` on a device, beside itself: the device's own, else the one that is named by its policy.
pub(super) async fn privileged(
    (inventory, device): (&Inventory, InventoryId),
    named: Option<InventoryId>,
    not: InventoryId,
    protocol: Protocol,
) -> Result<Privileged, Unfit> {
    match of_device(inventory, device, not, protocol).await? {
        None => by_policy(inventory, named, not, protocol).await,
        found => Ok(Ok(found)),
    }
}

/// The newest privileged credential of a device beside `not` that signs in by a protocol.
async fn of_device(
    inventory: &Inventory,
    device: InventoryId,
    not: InventoryId,
    protocol: Protocol,
) -> Result<Option<Identity>, Unfit> {
    let wanted = [
        ("device", Wanted::Int(device.0)),
        ("privileged", Wanted::Bool(true)),
        ("enabled", Wanted::Bool(true)),
    ];
    let known = Noun::Credential.spec().filters;
    let narrowed = wanted.into_iter().filter_map(|(name, value)| {
        let filter = known.iter().find(|filter| filter.name == name)?;
        Some(Narrow { filter, value })
    });
    let page = PageRequest {
        limit: PRIVILEGED_MAX,
        after: None,
    };
    let found = inventory.list(Noun::Credential, narrowed.collect(), page);
    for item in found.await?.items {
        let credential: CredentialBody = body(&item)?;
        if item.id != not && signs_in(&item, &credential, protocol).is_ok() {
            return Ok(Some(identity(item.id, &credential)));
        }
    }
    Ok(None)
}

/// The credential that a policy names to set passwords; not for its own account.
async fn by_policy(
    inventory: &Inventory,
    named: Option<InventoryId>,
    not: InventoryId,
    protocol: Protocol,
) -> Result<Privileged, Unfit> {
    let Some(id) = named.filter(|named| *named != not) else {
        return Ok(Ok(None));
    };
    let item = inventory.get(Noun::Credential, id).await?;
    let credential: CredentialBody = body(&item)?;
    Ok(match signs_in(&item, &credential, protocol) {
        Ok(()) => Ok(Some(identity(id, &credential))),
        Err(why) => Err(format!("the policy's `privileged_credential` {why}")),
    })
}

/// Whether a credential can sign in by a protocol, as far as the inventory says; why not.
fn signs_in(
    item: &Item,
    credential: &CredentialBody,
    protocol: Protocol,
) -> Result<(), &'static str> {
    if !credential.enabled {
        Err("is disabled")
    } else if !item.state.get("secret_version").is_some_and(Value::is_i64) {
        Err("has no secret")
    } else if is_closed(item) {
        Err("is of an account that was deactivated")
    } else if !protocols(credential).contains(&protocol) {
        Err("does not sign in by the protocol by which the account is reached")
    } else {
        Ok(())
    }
}
