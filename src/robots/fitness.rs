//! Whether an account can have an operation, as far as the inventory says: what never can be is refused when it is ordered.

use crate::domain::id::InventoryId;
use crate::domain::inventory::{CredentialBody, Noun};
use crate::domain::operation::OperationKind;
use crate::domain::robot::FieldError;
use crate::robot::inventory::Inventory;
use crate::robots::privileged::privileged;
use crate::robots::targets::{Unfit, body, policy, way};
use crate::store::StoreResult;

/// Where nobody may open or close an account.
pub(super) const NOBODY: &str = "needs another account that opens and closes it: a `privileged` credential of its device, or the \
    `privileged_credential` of its policy, enabled, with a secret, and of the same protocol";

/// Why an operation of this kind cannot be carried out on a credential's account; none: nothing that is known stands in the way.
///
/// # Errors
/// The store's.
pub async fn refusal(
    inventory: &Inventory,
    kind: OperationKind,
    id: InventoryId,
) -> StoreResult<Option<FieldError>> {
    let field = |name: &str, reason: String| Ok(Some(FieldError::new(name, reason)));
    match judged(inventory, kind, id).await {
        Ok(None) => Ok(None),
        Ok(Some(reason)) => field("kind", format!("does not fit the credential: {reason}")),
        Err(Unfit::Because(_, reason)) => field("credential", reason),
        Err(Unfit::Store(error)) => Err(error),
    }
}

async fn judged(
    inventory: &Inventory,
    kind: OperationKind,
    id: InventoryId,
) -> Result<Option<String>, Unfit> {
    let item = inventory.get(Noun::Credential, id).await?;
    let credential: CredentialBody = body(&item)?;
    if let Some(reason) = kind.refusal(credential.kind) {
        return Ok(Some(reason.to_owned()));
    }
    if !kind.admits() {
        return Ok(None);
    }
    let device = inventory.get(Noun::Device, credential.device).await?;
    let protocol = way(&device, &credential)?.protocol;
    let policy = policy(inventory, credential.policy).await?;
    let named = policy.and_then(|policy| policy.privileged_credential);
    let place = (inventory, credential.device);
    Ok(match privileged(place, named, id, protocol).await? {
        Ok(Some(_)) => None,
        Ok(None) => Some(NOBODY.to_owned()),
        Err(why) => Some(why),
    })
}
