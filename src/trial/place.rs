//! Where one run happens: a folder and a database, both as they were before when it is over.

use anyhow::Context as _;
use tempfile::TempDir;

use crate::config::read_database_url;
use crate::store::{Store, StoreConfig, StoreResult};

/// A folder, and a database that was empty.
pub(crate) struct Place {
    /// Removed with it.
    pub(crate) folder: TempDir,
    /// Where the database is.
    pub(crate) url: String,
    config: StoreConfig,
}

impl Place {
    /// Takes the database at `url`, or a file of its own; refuses one that has tables.
    pub(crate) async fn take(url: Option<&str>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("robotd-place-")
            .tempdir()
            .context("failed to make a temporary folder")?;
        let url = url.map_or_else(
            || format!("sqlite://{}", folder.path().join("robotd.db").display()),
            str::to_owned,
        );
        let config = read_database_url(&url)?;
        let place = Self {
            folder,
            url,
            config,
        };
        if !place.outside(StoreConfig::is_empty).await? {
            anyhow::bail!(
                "the database is not empty; every table is removed when it is over, so give it a database of its own"
            );
        }
        Ok(place)
    }

    /// `sqlite` or `postgres`.
    pub(crate) const fn database(&self) -> &'static str {
        match self.config {
            StoreConfig::Sqlite { .. } => "sqlite",
            StoreConfig::Postgres { .. } => "postgres",
        }
    }

    /// The database, beside the node that works on it.
    pub(crate) async fn store(&self) -> anyhow::Result<Store> {
        Store::open(self.config.clone())
            .await
            .context("failed to open the database")
    }

    /// Brings the database to the state in which every measurement begins.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        self.outside(StoreConfig::settle).await
    }

    /// See [`StoreConfig::transactions`].
    pub(crate) async fn transactions(&self) -> anyhow::Result<Option<i64>> {
        self.outside(StoreConfig::transactions).await
    }

    /// Removes what was made.
    pub(crate) async fn leave(self) -> anyhow::Result<()> {
        self.outside(StoreConfig::clear).await
    }

    async fn outside<T: Send + 'static>(
        &self,
        work: fn(&StoreConfig) -> StoreResult<T>,
    ) -> anyhow::Result<T> {
        let config = self.config.clone();
        Ok(tokio::task::spawn_blocking(move || work(&config))
            .await
            .context("a thread died")??)
    }
}
