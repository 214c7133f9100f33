//! The threads that own SQLite's connections.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use tokio::sync::mpsc;

use super::super::call::{Job, Ran};
use super::super::error::QueryError;
use super::super::health::Health;
use super::{Conn, connect};
use crate::store::{StoreError, StoreResult};

/// Most calls of one commit. A commit costs one flush of the disk (milliseconds) however many share
/// it; 256 bounds how long the first of a group waits for the last.
const GROUP_MAX: usize = 256;

/// Starts the only thread that writes.
pub(super) fn start_writer(
    path: PathBuf,
    conn: Conn,
    mut calls: mpsc::Receiver<Job<Conn>>,
    health: Arc<Health>,
) -> StoreResult<()> {
    let work = move || {
        let mut writer = Writer {
            path,
            conn: Some(conn),
            health,
        };
        let mut group = Vec::with_capacity(GROUP_MAX);
        while calls.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
            writer.commit(std::mem::take(&mut group));
        }
    };
    start("store-writer".to_owned(), work)
}

/// Starts `count` threads that read.
pub(super) fn start_readers(
    path: &Path,
    count: usize,
    calls: mpsc::Receiver<Job<Conn>>,
    health: &Arc<Health>,
) -> StoreResult<()> {
    let calls = Arc::new(Mutex::new(calls));
    for number in 1..=count {
        let (path, calls, health) = (path.to_owned(), Arc::clone(&calls), Arc::clone(health));
        let work = move || {
            let mut conn = None;
            loop {
                // Whoever holds the lock is the one that waits for a call; the others queue behind it.
                let call = calls
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .blocking_recv();
                let Some(call) = call else { break };
                look(&mut conn, &path, call, &health);
            }
        };
        start(format!("store-reader-{number}"), work)?;
    }
    Ok(())
}

fn start(name: String, work: impl FnOnce() + Send + 'static) -> StoreResult<()> {
    match std::thread::Builder::new().name(name).spawn(work) {
        Ok(_detached) => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!("no thread: {error}"))),
    }
}

/// The writing thread's state; `conn` is `None` after a failure that leaves its standing unknown.
struct Writer {
    path: PathBuf,
    conn: Option<Conn>,
    health: Arc<Health>,
}

impl Writer {
    /// Runs a group of calls in one transaction and answers them.
    fn commit(&mut self, mut group: Vec<Job<Conn>>) {
        let result = self.transaction(&mut group);
        if result.is_err() {
            // Dropping the connection rolls back; the next group opens a new one.
            self.conn = None;
        }
        self.health.note(&result);
        for call in group {
            call.answer(result.clone());
        }
    }

    /// An error concerns the whole group; a call that fails by itself is undone alone and keeps
    /// its error to itself.
    fn transaction(&mut self, group: &mut [Job<Conn>]) -> StoreResult<()> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            empty => empty.insert(connect::writer(&self.path)?),
        };
        execute(conn, "BEGIN IMMEDIATE")?;
        if let [call] = group {
            // It has the transaction for itself: a savepoint would only make SQLite copy every page it changes.
            if call.run(conn) == Ran::Well {
                return execute(conn, "COMMIT");
            }
            return execute(conn, "ROLLBACK").map_err(|error| call.error().unwrap_or(error));
        }
        for call in group {
            execute(conn, "SAVEPOINT call")?;
            if call.run(conn) != Ran::Well {
                // Fails where SQLite has rolled back everything by itself (disk full, I/O error):
                // the whole group then hears of what the call met.
                execute(conn, "ROLLBACK TO call").map_err(|error| call.error().unwrap_or(error))?;
            }
            execute(conn, "RELEASE call")?;
        }
        execute(conn, "COMMIT")
    }
}

/// Runs one reading call in a snapshot of its own.
fn look(conn: &mut Option<Conn>, path: &Path, mut call: Job<Conn>, health: &Health) {
    let result = snapshot(conn, path, &mut call);
    if result.is_err() {
        *conn = None;
        health.note(&result);
    }
    call.answer(result);
}

fn snapshot(conn: &mut Option<Conn>, path: &Path, call: &mut Job<Conn>) -> StoreResult<()> {
    let conn = match conn {
        Some(conn) => conn,
        empty => empty.insert(connect::reader(path)?),
    };
    execute(conn, "BEGIN")?;
    let _told_to_the_caller: Ran = call.run(conn);
    execute(conn, "ROLLBACK")
}

fn execute(conn: &mut Conn, sql: &str) -> StoreResult<()> {
    conn.batch_execute(sql)
        .map_err(|error| QueryError::from(error).into())
}
