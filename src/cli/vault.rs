//! `robotd vault`: the keys that seal secrets, in the database itself; nodes may run beside it.

use std::path::PathBuf;

use clap::Subcommand;

use super::exit::{Exit, Failure, Ran};
use super::node::runtime;
use super::print;
use super::table::table;
use crate::app::{self, Changed};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::domain::sealed::KeyId;
use crate::robot::safe::{Rotation, Safe};
use crate::store::Store;

/// What to do with the vault's keys.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Make a new data key and seal all secrets with it
    ///
    /// Nodes may run meanwhile: they take the new key at once, and help. A rotation that was broken off is finished instead of
    /// another one begun, by the next node that runs if not by this command. Needs the master key in the data directory.
    RotateKey {
        /// Leave the secrets to the nodes that run, which say in `robotd_vault_seals_left` of `/metrics` how many are left
        #[arg(long)]
        background: bool,
    },
    /// List the data keys, and how much lies under each
    Keys,
    /// Remove an old data key that nothing lies under any more
    ///
    /// For ever: secrets of a backup from before the rotation cannot be opened without it. Files of imports are told to be the
    /// same by the oldest key: after it is gone, those that were uploaded before are not recognised.
    RemoveKey {
        /// Its number
        id: i64,
    },
    /// Give the database another master key
    ///
    /// All data keys are wrapped anew in one transaction: before it the old key opens everything, after it the new one, and the
    /// old one nothing. No node may run on the database. The former key stays beside the new one as `master.key.old-…`, because
    /// it opens older backups. All nodes of the database need the new key: copy it before they start again. After a leak make
    /// another data key too (`rotate-key`): whoever has the old key and an old copy of the database has the data keys.
    ChangeMasterKey {
        /// A file with the new key, 64 hexadecimal digits, mode 0600; without it a new one is made
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
}

pub(super) fn vault(config: &Config, what: What) -> Ran {
    runtime()?.block_on(async {
        let store = app::open_store(config).await?;
        let safe = app::open_safe(&config.data_dir, &store, &SystemClock).await?;
        match what {
            What::RotateKey { background: true } => begin(&safe).await,
            What::RotateKey { background: false } => {
                let told = |secrets| log::info!("sealed {secrets} secrets anew");
                let rotation = safe.rotate(&SystemClock, told).await;
                tell(&rotation.map_err(anyhow::Error::from)?)
            }
            What::Keys => list(&store).await,
            What::RemoveKey { id } => {
                store.vault_key_remove(KeyId(id)).await?;
                print::answer(&format!("data key {id} is gone"))
            }
            What::ChangeMasterKey { new_key_file } => {
                let (data_dir, file) = (&config.data_dir, new_key_file.as_deref());
                let changed = app::change_master_key(data_dir, &store, file, &SystemClock);
                tell_changed(&changed.await?)
            }
        }
    })
}

async fn begin(safe: &Safe) -> Ran {
    let begun = safe.begin_rotation(SystemClock.now()).await;
    let key = begun.map_err(anyhow::Error::from)?.key();
    print::answer(&format!(
        "data key {key} seals now, {} secrets are left to nodes that run",
        safe.seals_left()
    ))
}

async fn list(store: &Store) -> Ran {
    let keys = store.vault_key_uses().await?;
    let rows = keys
        .into_iter()
        .map(|key| {
            let finished = key
                .finished_at
                .map_or_else(String::new, |at| at.to_rfc3339());
            [
                key.id.to_string(),
                key.created_at.to_rfc3339(),
                finished,
                key.seals.to_string(),
            ]
        })
        .collect();
    print::answer(&table(["KEY", "MADE", "SEALS ALL SINCE", "SEALS"], rows))
}

fn tell(rotation: &Rotation) -> Ran {
    let begun = if rotation.resumed {
        "finished the rotation that was broken off"
    } else {
        "made a new data key"
    };
    print::answer(&format!(
        "{begun}: data key {} seals now, {} secrets were sealed anew",
        rotation.key, rotation.resealed
    ))?;
    let damaged = rotation
        .damaged
        .iter()
        .map(|(credential, version)| format!("version {version} of credential {credential}"));
    let keys = rotation
        .damaged_keys
        .iter()
        .map(|(id, owner)| format!("private key {id} of {owner}"));
    let damaged: Vec<String> = damaged.chain(keys).collect();
    if damaged.is_empty() {
        return Ok(());
    }
    Err(Failure::text(
        Exit::Data,
        format!(
            "open some secrets: they were changed beside robotd and stay as they are: {}",
            damaged.join(", ")
        ),
    ))
}

fn tell_changed(changed: &Changed) -> Ran {
    print::answer(&format!(
        "`{}` is the master key now, {} data keys were wrapped anew; copy it to all nodes, and to where you keep it",
        changed.key.display(),
        changed.data_keys
    ))?;
    if let Some(former) = &changed.former {
        print::say(&format!(
            "`{}` opens older backups: move it to them",
            former.display()
        ));
    }
    Ok(())
}
