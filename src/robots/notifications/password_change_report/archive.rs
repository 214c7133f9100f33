//! Files that only the password of a recipient opens.

use crate::connect::sheet::{WriteError, locked};
use crate::domain::id::InventoryId;
use crate::robot::inventory::InventoryError;
use crate::robot::{Context, RobotError};
use crate::store::mail::MailFile;

/// The files, each in an archive that the secret of a credential opens; none where that secret cannot be used: what is to be locked
/// is never sent open.
pub(super) async fn locked_by(
    ctx: &Context,
    credential: InventoryId,
    files: &[MailFile],
) -> Result<Option<Vec<MailFile>>, RobotError> {
    let refused = |reason: &str| {
        ctx.warn(format!(
            "a file is left out: the secret of credential {credential} {reason}"
        ));
        Ok(None)
    };
    let password = match ctx.inventory().secrets(credential).await {
        Ok(secrets) => secrets.current,
        Err(InventoryError::Store(error)) => return Err(error.into()),
        Err(error) => return refused(&format!("cannot be read: {error}")),
    };
    let Some(password) = password else {
        return refused("is not there");
    };
    let files = files.to_vec();
    let packed = tokio::task::spawn_blocking(move || {
        let lock = |file: &MailFile| -> Result<MailFile, WriteError> {
            Ok(MailFile {
                name: format!("{}.zip", file.name),
                media_type: "application/zip".to_owned(),
                content: locked(&file.name, &file.content, &password.secret)?,
            })
        };
        files.iter().map(lock).collect::<Result<Vec<_>, _>>()
    });
    let defect = |error: &dyn std::fmt::Display| RobotError::fail("archive", error.to_string());
    let packed = packed.await.map_err(|error| defect(&error))?;
    packed.map(Some).map_err(|error| defect(&error))
}
