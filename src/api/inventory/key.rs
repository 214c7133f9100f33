//! Private keys of credentials, as far as they can be judged without asking a machine.

use super::super::error::{ApiError, Code};
use crate::connect::ssh::{KeyFlaw, flaw};
use crate::domain::inventory::patch::Fields;
use crate::domain::inventory::{CredentialKind, NounSpec};
use crate::robot::inventory::NewItem;

/// Refuses a private key that a machine should not accept, and a passphrase that does not open it. `before` is what the thing is so
/// far.
pub(super) async fn judge(
    spec: &NounSpec,
    new: &NewItem,
    before: Option<&Fields>,
) -> Result<(), ApiError> {
    let (Some(names), Some(secret)) = (&spec.secret, &new.secret) else {
        return Ok(());
    };
    let kind = new.fields.get(names.kind);
    let kind = kind.or_else(|| before?.get(names.kind));
    let kind = kind.cloned().map(serde_json::from_value::<CredentialKind>);
    if !matches!(kind, Some(Ok(CredentialKind::SshKey))) {
        return Ok(());
    }
    let Some(flaw) = flaw(secret).await else {
        return Ok(());
    };
    let field = match flaw {
        KeyFlaw::Wrong | KeyFlaw::Needless => names.passphrase,
        KeyFlaw::Short(_) => names.field,
    };
    Err(ApiError::field(Code::Invalid, field, flaw.to_string()))
}
