//! `robotd vault`: the keys that seal secrets, in the database itself; nodes may run beside it.

use clap::Subcommand;

use super::exit::{Exit, Failure, Ran};
use super::node::runtime;
use super::print;
use crate::app;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::robot::safe::Rotation;

/// What to do with the vault's keys.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Make a new data key and seal all secrets with it
    ///
    /// Nodes may run meanwhile: they take the new key at once. A rotation that was broken off is finished instead of
    /// another one begun. Needs the master key in the data directory.
    RotateKey,
}

pub(super) fn vault(config: &Config, what: What) -> Ran {
    let What::RotateKey = what;
    let rotation = runtime()?.block_on(async {
        let store = app::open_store(config).await?;
        let safe = app::open_safe(&config.data_dir, &store, &SystemClock).await?;
        let told = |secrets| log::info!("sealed {secrets} secrets anew");
        anyhow::Ok(safe.rotate(&SystemClock, told).await?)
    })?;
    tell(&rotation)
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
