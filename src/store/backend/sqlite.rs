//! SQLite: one thread writes, in groups; a few read.

pub(in crate::store) mod connect;
pub(in crate::store) mod dialect;
mod key_survey;
pub(in crate::store) mod outside;
mod threads;
pub(in crate::store) mod transfer;

#[path = "../queries/mod.rs"]
pub(in crate::store) mod queries;

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio::sync::mpsc;

use super::call::{CALLS_MAX, Extent, Job, job, submit};
use super::health::Health;
use super::{QueryResult, migrate};
use crate::store::upkeep::Reachability;
use crate::store::{StoreError, StoreResult};

/// The connection the queries speak to.
pub(in crate::store) type Conn = diesel::SqliteConnection;

/// Every step of the schema, in order.
pub(in crate::store) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Reading threads. Readers never block the writer (WAL); two keep a long report from delaying
/// the short look-ups, on machines that have two cores at the least.
const READERS: usize = 3;

/// The embedded database: a file, its threads, and perhaps the lock beside it.
#[derive(Debug)]
pub(in crate::store) struct Engine {
    path: PathBuf,
    writer: mpsc::Sender<Job<Conn>>,
    readers: mpsc::Sender<Job<Conn>>,
    health: Arc<Health>,
    lock: Mutex<Option<File>>,
    schema: migrate::Schema,
}

impl Engine {
    /// Opens or creates the file, migrates it and starts the threads. Blocks.
    pub(in crate::store) fn open(path: &std::path::Path) -> StoreResult<Self> {
        let path = connect::absolute(path)?;
        connect::create_private(&path)?;
        let mut conn = connect::writer(&path)?;
        // For as long as steps are applied that no other process may see half done.
        let mut alone = None;
        let schema = migrate::bring_up_to_date(&mut conn, MIGRATIONS, |_| match lock(&path) {
            Ok(file) => {
                alone = Some(file);
                Ok(true)
            }
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        })?;
        drop(alone);
        let health = Arc::new(Health::default());
        let (writer, writes) = mpsc::channel(CALLS_MAX);
        let (readers, reads) = mpsc::channel(CALLS_MAX);
        threads::start_writer(path.clone(), conn, writes, Arc::clone(&health))?;
        threads::start_readers(&path, READERS, reads, &health)?;
        Ok(Self {
            path,
            writer,
            readers,
            health,
            lock: Mutex::default(),
            schema,
        })
    }

    /// How the schema compares with the one this program knows.
    pub(in crate::store) const fn schema(&self) -> migrate::Schema {
        self.schema
    }

    /// Runs `work` in the next group of writes; answers after its commit.
    pub(in crate::store) async fn write<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        submit(&self.writer, work).await
    }

    /// Has `work` run in the next transaction without waiting for anything; `reply` is called with its end.
    /// False where too many calls wait: then neither will be called.
    pub(in crate::store) fn write_soon<T, E, F, R>(&self, extent: E, work: F, reply: R) -> bool
    where
        T: Send + 'static,
        E: FnMut() -> Extent + Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
        R: FnOnce(StoreResult<T>) + Send + 'static,
    {
        self.writer.try_send(job(extent, work, reply)).is_ok()
    }

    /// Runs `work` in a snapshot.
    pub(in crate::store) async fn read<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        submit(&self.readers, work).await
    }

    /// Locks the file beside the database until this engine is dropped or the process ends.
    pub(in crate::store) fn hold_exclusively(&self) -> StoreResult<()> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(lock(&self.path)?);
        }
        Ok(())
    }

    /// What the last statements met.
    pub(in crate::store) fn reachability(&self) -> Reachability {
        self.health.reachability()
    }
}

/// The lock beside a database; `Conflict` while another process has it.
fn lock(path: &std::path::Path) -> StoreResult<File> {
    let mut name = path.to_owned().into_os_string();
    name.push(".lock");
    let file = connect::private_file(&PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Conflict {
            what: format!("another robotd works on `{}`", path.display()),
        }),
        Err(TryLockError::Error(error)) => Err(StoreError::Other(format!(
            "lock of `{}`: {error}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::domain::time::from_micros;
    use crate::store::backend::QueryError;
    use crate::store::id::Series;

    #[tokio::test]
    async fn a_panic_in_the_writer_undoes_one_call_and_is_survived() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(&folder.path().join("robotd.db")).unwrap();
        let insert = |series: Series, panics: bool| {
            engine.write(move |conn| {
                queries::ids::reserve(conn, series, 5, from_micros(0))?;
                assert!(!panics, "on purpose");
                Ok(())
            })
        };
        let (one, two, three) = tokio::join!(
            insert(Series::Task, false),
            insert(Series::Process, true),
            insert(Series::Event, false)
        );
        one.unwrap();
        three.unwrap();
        assert!(
            matches!(two, Err(StoreError::Other(text)) if text.contains("panicked: on purpose"))
        );
        let next = engine
            .write(|conn| queries::ids::reserve(conn, Series::Process, 5, from_micros(0)))
            .await
            .unwrap();
        assert_eq!(next, 1, "the panicking call left nothing");
        assert_eq!(engine.reachability(), Reachability::Reachable);
    }

    #[tokio::test]
    async fn a_group_that_cannot_commit_fails_as_a_whole_and_is_survived() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(&folder.path().join("robotd.db")).unwrap();
        // Ends the transaction under the engine, as SQLite does by itself when the disk is full.
        let lost = engine
            .write(|conn| {
                conn.batch_execute("ROLLBACK")?;
                Err::<(), _>(QueryError::Defect("database or disk is full".to_owned()))
            })
            .await;
        assert!(matches!(lost, Err(StoreError::Other(text)) if text.contains("disk is full")));
        assert_eq!(engine.reachability(), Reachability::Unreachable);
        assert_eq!(
            engine
                .write(|conn| queries::ids::reserve(conn, Series::Task, 5, from_micros(0)))
                .await
                .unwrap(),
            1
        );
        assert_eq!(engine.reachability(), Reachability::Reachable);
    }

    #[tokio::test]
    async fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("robotd.db");
        let _engine = Engine::open(&path).unwrap();
        for name in ["robotd.db", "robotd.db-wal"] {
            let mode = std::fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
