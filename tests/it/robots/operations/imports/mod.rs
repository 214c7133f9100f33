//! Files become sites, devices and credentials, each row once and with its answer.

mod files;
mod rows;
mod runs;

use robotd::domain::id::ImportId;
use robotd::domain::import::{ImportMode, RowAnswer};
use robotd::robot::import::{Upload, keep};
use robotd::store::import::{Import, ImportRow, RowCounts};
use robotd::store::page::PageRequest;
use serde_json::{Value, json};

use crate::robots::rig::Rig;

const NAME: &str = "operations.batch_import_processing";

async fn send(rig: &Rig<'_>, file: &[u8], mode: ImportMode) -> ImportId {
    let upload = Upload {
        name: "file",
        file,
        mode,
        actor: "ana",
    };
    let tools = &rig.tools;
    let kept = keep(
        &tools.store,
        &tools.safe,
        &tools.registry,
        upload,
        rig.now(),
    );
    kept.await.unwrap().id
}

async fn stands(rig: &Rig<'_>, id: ImportId) -> Import {
    rig.tools.store.import_get(id).await.unwrap()
}

/// Sends a file and runs the robot.
async fn import(rig: &Rig<'_>, file: &[u8], mode: ImportMode, settings: Value) -> Import {
    let id = send(rig, file, mode).await;
    rig.run(NAME, settings).await.unwrap();
    stands(rig, id).await
}

async fn applied(rig: &Rig<'_>, file: &[u8]) -> Import {
    import(rig, file, ImportMode::Apply, json!({})).await
}

async fn rows(rig: &Rig<'_>, id: ImportId) -> Vec<ImportRow> {
    let page = PageRequest {
        limit: 500,
        after: None,
    };
    let store = &rig.tools.store;
    store.import_rows(id, None, page).await.unwrap().items
}

/// Line, answer, and the first error as `CELL field: detail`.
async fn answers(rig: &Rig<'_>, id: ImportId) -> Vec<(u32, RowAnswer, String)> {
    let rows = rows(rig, id).await;
    let told = |row: &ImportRow| {
        row.errors.first().map_or_else(String::new, |error| {
            let cell = error.cell.as_deref().unwrap_or("-");
            format!("{cell} {}: {}", error.field, error.detail)
        })
    };
    rows.iter()
        .map(|row| (row.line, row.answer, told(row)))
        .collect()
}

fn counts(done: u32, created: u32, updated: u32, unchanged: u32, refused: u32) -> RowCounts {
    RowCounts {
        done,
        created,
        updated,
        unchanged,
        refused,
        skipped: 0,
    }
}

/// Rows of the inventory: sites, devices, credentials, versions of secrets.
async fn things(rig: &Rig<'_>) -> [i64; 4] {
    let mut counts = [0; 4];
    let tables = ["sites", "devices", "credentials", "secret_versions"];
    for (count, table) in counts.iter_mut().zip(tables) {
        *count = rig.rows(table, "TRUE").await;
    }
    counts
}

/// Looks for a text wherever an import writes one in clear.
async fn lies_nowhere(rig: &Rig<'_>, text: &str) {
    for (table, columns) in [
        ("batch_imports", &["name", "failure", "headings"][..]),
        ("batch_import_rows", &["cells", "errors"]),
        ("events", &["body"]),
        ("audit_trail", &["before_json", "after_json"]),
        ("syslog_outbox", &["structured", "text"]),
    ] {
        for column in columns {
            let found = rig.rows(table, &format!("{column} LIKE '%{text}%'")).await;
            assert_eq!(found, 0, "`{text}` is in {table}.{column}");
        }
    }
    let log = rig.log.lock().unwrap().join("\n");
    assert!(!log.contains(text), "{log}");
}
