//! `robotd data`: a whole database to a file and from one.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::exit::{Exit, Failure, Ran};
use super::node::runtime;
use super::print;
use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::store::transfer::{Incoming, Moved};
use crate::store::{Store, StoreResult};
use crate::vault::key::{MasterKey, mismatch_text};
use crate::vault::secret_file::SecretFileError;

/// What a file that is being written is called until it is whole: this, and some letters.
const PARTIAL_PREFIX: &str = ".robotd-export-";

/// What to do with a database.
#[derive(Debug, Subcommand)]
#[expect(
    clippy::doc_markdown,
    reason = "these texts are shown by --help as they are"
)]
pub(crate) enum What {
    /// Write everything that the database holds to a new file
    ///
    /// A node may run meanwhile; the file has what was there at one instant. Secrets stay sealed: the file needs the
    /// master key of this database to be of use, and that is not in it.
    Export {
        /// The file; it must not exist
        file: PathBuf,
    },
    /// Fill an empty database from such a file
    ///
    /// All or nothing. Needs the master key of the exported database in the data directory (DATA_DIR/master.key), and
    /// that no node runs on the database.
    Import {
        /// The file
        file: PathBuf,
    },
}

pub(super) fn data(config: &Config, what: &What) -> Ran {
    match what {
        What::Export { file } => {
            let moved = export(config, file)?;
            print::answer(&format!("wrote {} rows to {}", moved.rows, file.display()))
        }
        What::Import { file } => {
            let moved = import(config, file)?;
            print::answer(&format!("read {} rows from {}", moved.rows, file.display()))
        }
    }
}

fn export(config: &Config, path: &Path) -> Result<Moved, Failure> {
    let failed = || format!("failed to export to `{}`", path.display());
    if path.symlink_metadata().is_ok() {
        let text = format!("export to `{}`: it exists already", path.display());
        return Err(Failure::text(Exit::CannotCreate, text));
    }
    if config.database.is_empty()? {
        let text = "export the database: nothing is in it, not even a table";
        return Err(Failure::text(Exit::Data, text));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // With mode 0600, and removed where anything fails.
    let file = tempfile::Builder::new()
        .prefix(PARTIAL_PREFIX)
        .tempfile_in(folder)
        .with_context(failed)?;
    let out = BufWriter::new(file.as_file().try_clone().with_context(failed)?);
    let moved = runtime()?.block_on(async {
        let store = open(config).await?;
        let exported = store.export(Box::new(out), SystemClock.now()).await;
        exported.with_context(failed)
    })?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist_noclobber(path)
        .map_err(|error| error.error)
        .with_context(failed)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(failed)?;
    Ok(moved)
}

fn import(config: &Config, path: &Path) -> Result<Moved, Failure> {
    let failed = || format!("failed to import `{}`", path.display());
    let file = File::open(path).with_context(failed)?;
    let incoming = Incoming::open(Box::new(BufReader::new(file))).with_context(failed)?;
    check_key(&config.data_dir, &incoming)?;
    runtime()?.block_on(async {
        let store = open(config).await?;
        store
            .hold_exclusively()
            .await
            .context("failed to have the database alone")?;
        Ok(store.import(incoming).await.with_context(failed)?)
    })
}

/// The configured database; unlike `app::open_store` without making it this node's.
async fn open(config: &Config) -> anyhow::Result<Store> {
    app::prepare_data_dir(&config.data_dir)?;
    let opened: StoreResult<Store> = Store::open(config.database.clone()).await;
    opened.context("failed to open the database")
}

/// Refuses a master key that is not the file's, as a node refuses one that is not its database's.
fn check_key(data_dir: &Path, incoming: &Incoming) -> Ran {
    let Some(check) = incoming.master_key() else {
        return Ok(());
    };
    let missing = match MasterKey::read(data_dir) {
        Ok(key) if key.check_value() == check => return Ok(()),
        Ok(_) => false,
        Err(SecretFileError::Missing { .. }) => true,
        Err(error) => return Err(anyhow::Error::new(error).into()),
    };
    let text = mismatch_text(&MasterKey::path_in(data_dir), missing);
    Err(Failure::text(
        Exit::Config,
        format!("import this file: {text}"),
    ))
}
