//! Keeping uploaded files, ending their imports, and what is told of both.

use serde_json::json;

use super::registry::Registry;
use super::safe::{Safe, SafeError};
use crate::domain::event::CloudEvent;
use crate::domain::id::ImportId;
use crate::domain::import::{ImportMode, ImportState};
use crate::domain::time::Timestamp;
use crate::store::audit::NewAudit;
use crate::store::event::NewEvent;
use crate::store::import::{Cancelled, Import, ImportEnd, NewImport};
use crate::store::{Store, StoreError, StoreResult};

/// A file as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is in it; it may hold secrets.
    pub file: &'a [u8],
    /// What is to become of it.
    pub mode: ImportMode,
    /// Who sent it.
    pub actor: &'a str,
}

/// Keeps a file, sealed, and publishes `batch_import.uploaded`.
///
/// # Errors
/// The store's.
pub async fn keep(
    store: &Store,
    safe: &Safe,
    registry: &Registry,
    upload: Upload<'_>,
    now: Timestamp,
) -> Result<Import, SafeError> {
    // Another one may have made a new data key meanwhile: what lies under an old one is refused.
    safe.refresh().await?;
    let id = store.import_id(now).await?;
    let bytes = u64::try_from(upload.file.len()).unwrap_or(u64::MAX);
    let new = NewImport {
        id,
        name: upload.name.to_owned(),
        bytes,
        fingerprint: safe.fingerprint(upload.file)?,
        mode: upload.mode,
        sealed: safe.seal_file(id, upload.file)?,
        audit: NewAudit {
            actor: upload.actor.to_owned(),
            action: "import.create".to_owned(),
            object: format!("import:{id}"),
            before: None,
            after: Some(json!({"name": upload.name, "bytes": bytes, "mode": upload.mode})),
        },
        event: told(
            registry,
            id,
            "batch_import.uploaded",
            json!({"import": id, "mode": upload.mode}),
        ),
    };
    Ok(store.import_add(new, now).await?)
}

/// The end of an import: its audit entry in the name of `actor`, and `batch_import.finished`.
#[must_use]
pub fn end(
    registry: &Registry,
    import: &Import,
    actor: &str,
    state: ImportState,
    failure: Option<String>,
) -> ImportEnd {
    let (id, rows) = (import.id, import.rows);
    let came_to = json!({
        "import": id, "mode": import.mode, "state": state, "created": rows.created, "updated": rows.updated,
        "unchanged": rows.unchanged, "refused": rows.refused, "skipped": rows.skipped,
    });
    ImportEnd {
        state,
        failure,
        audit: NewAudit {
            actor: actor.to_owned(),
            action: "import.finish".to_owned(),
            object: format!("import:{id}"),
            before: None,
            after: Some(came_to.clone()),
        },
        event: told(registry, id, "batch_import.finished", came_to),
    }
}

/// Ends an import that waits; one that is in hand ends after the rows that are being carried out.
///
/// # Errors
/// `NotFound`; `Conflict` where it has ended.
pub async fn cancel(
    store: &Store,
    registry: &Registry,
    id: ImportId,
    actor: &str,
    now: Timestamp,
) -> StoreResult<Import> {
    let seen = store.import_get(id).await?;
    let order = end(registry, &seen, actor, ImportState::Cancelled, None);
    match store.import_cancel(id, order, now).await? {
        Cancelled::Ended | Cancelled::Told => store.import_get(id).await,
        Cancelled::Late => {
            let state = store.import_get(id).await?.state;
            let what = format!("import `{id}` has ended: {state}");
            Err(StoreError::Conflict { what })
        }
    }
}

fn told(registry: &Registry, id: ImportId, kind: &str, data: serde_json::Value) -> NewEvent {
    let event = CloudEvent::own(
        "imports",
        format!("{id}:{kind}"),
        kind,
        Some(id.to_string()),
        data,
    );
    registry.route(event)
}
