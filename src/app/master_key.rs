//! The master key of a data directory and its database: that they fit, and another one for both.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::clock::Clock;
use crate::robot::safe::Safe;
use crate::store::Store;
use crate::vault::key::{MasterKey, mismatch_text};
use crate::vault::next_key;

/// What a change of the master key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Data keys that were wrapped anew.
    pub data_keys: usize,
    /// Where the new key lies.
    pub key: PathBuf,
    /// Where the former key lies, for older backups.
    pub former: Option<PathBuf>,
}

/// Makes sure that the data directory's master key is the database's; a new database takes the directory's, and a change of
/// the key that was cut off is finished.
pub(super) async fn make_sure(data_dir: &Path, store: &Store) -> anyhow::Result<()> {
    let (key, is_new) = MasterKey::open(data_dir).context("failed to read the master key")?;
    let check = key.check_value();
    let known = store.key_check_get().await;
    let Some(known) = known.context("failed to read the key check")? else {
        let kept = store.key_check_set(&check).await;
        return kept.context("failed to keep the key check");
    };
    if known == check {
        return Ok(());
    }
    let path = MasterKey::path_in(data_dir);
    if is_new {
        // It fits nothing; left behind it would hide at the next start that the real one is missing.
        std::fs::remove_file(&path).context("failed to remove the unused master key")?;
    }
    if next_key::fits(data_dir, &known) {
        install(data_dir)?;
        log::warn!(
            "`master.key.new` is the database's master key by now, and `master.key` from here on"
        );
        return Ok(());
    }
    anyhow::bail!(mismatch_text(&path, is_new))
}

/// Gives a database that [`super::open_store`] has opened, and the data directory, another master key: the one in `file`, or a
/// new one.
///
/// # Errors
/// A node that runs on the database; a file that is no key, or holds the one in force; the store's. Where the database has the
/// new key and the data directory could not be given it, the next start does that.
pub async fn change_master_key(
    data_dir: &Path,
    store: &Store,
    file: Option<&Path>,
    clock: &dyn Clock,
) -> anyhow::Result<Changed> {
    let next = match file {
        Some(file) => MasterKey::read_file(file).context("failed to read the new master key")?,
        None => MasterKey::random(),
    };
    let alone = store.hold_exclusively().await;
    alone.context("failed to have the database alone: stop all nodes first")?;
    let key = MasterKey::read(data_dir).context("failed to read the master key")?;
    anyhow::ensure!(
        key.check_value() != next.check_value(),
        "failed to change the master key: the new one is the one in force"
    );
    next_key::lay(data_dir, &next).context("failed to keep the new master key")?;
    let data_keys = Safe::change_master_key(store, (&key, &next), clock.now())
        .await
        .context("failed to wrap the data keys anew; the master key is the one it was")?;
    Ok(Changed {
        data_keys,
        key: MasterKey::path_in(data_dir),
        former: install(data_dir)?,
    })
}

fn install(data_dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    next_key::install(data_dir).with_context(|| {
        format!(
            "failed to make `{}` the master key, as it is the database's by now; the next start tries again",
            next_key::path_in(data_dir).display()
        )
    })
}
