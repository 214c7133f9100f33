//! The threads that own PostgreSQL's connections.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use tokio::sync::mpsc;

use super::super::call::{Extent, Job, Ran};
use super::super::error::QueryError;
use super::super::health::Health;
use super::Conn;
use super::connect::Target;
use super::thread_runtime::ThreadRuntime;
use crate::store::{StoreError, StoreResult};

/// Runs of one call that loses races. Five in a row need a livelock of five transactions.
const RUNS_MAX: u32 = 5;

/// Pause after a failed attempt to connect; doubles up to the longest. Calls that arrive meanwhile
/// are told at once that the database is not available.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`PAUSE_MIN`]; a database that is back is found again within this.
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// What a thread's transactions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes.
    Write,
    /// Reports and look-ups.
    Read,
}

impl Kind {
    /// What a session is set to when it is opened. Rows are found by an index, and by changes one by one. The server may
    /// not choose otherwise, neither while a table is small nor by counts that were true a moment ago: a plan is kept, and
    /// one that reads a whole table is ruinous when the table has grown. No plan is compiled: that takes the server a third
    /// of a second, and none of these statements runs as long.
    const fn settings(self) -> &'static str {
        match self {
            Self::Write => {
                "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
                 SET enable_hashjoin = off; SET enable_mergejoin = off"
            }
            Self::Read => "SET jit = off; SET enable_seqscan = off",
        }
    }

    const fn begin(self) -> &'static str {
        match self {
            Self::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// When the next attempt to connect is worth it, for all threads of an engine: the first of them that is
/// connected again spares the others their pause.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<Option<(Instant, Duration)>>);

impl Outage {
    /// Refuses while the last failed attempt is too young.
    pub(super) fn check(&self) -> StoreResult<()> {
        match *self.state() {
            Some((retry_at, _)) if Instant::now() < retry_at => Err(StoreError::Unavailable(
                "it could not be reached a moment ago".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Takes note of an attempt.
    pub(super) fn note(&self, connected: bool) {
        let mut state = self.state();
        *state = if connected {
            None
        } else {
            let pause = state.map_or(PAUSE_MIN, |(_, pause)| (pause * 2).min(PAUSE_MAX));
            Some((Instant::now() + pause, pause))
        };
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the threads of an engine share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// Where the database is.
    pub(super) target: Arc<Target>,
    /// What the last statements met.
    pub(super) health: Arc<Health>,
}

/// Starts `count` threads that take calls from `calls`.
pub(super) fn start(
    name: &str,
    count: u32,
    kind: Kind,
    calls: mpsc::Receiver<Job<Conn>>,
    shared: &Shared,
) -> StoreResult<()> {
    let calls = Arc::new(Mutex::new(calls));
    for number in 1..=count {
        let (calls, shared) = (Arc::clone(&calls), shared.clone());
        let health = Arc::clone(&shared.health);
        let work = move || {
            let runtime = match ThreadRuntime::start() {
                Ok(runtime) => runtime,
                Err(error) => return log::error!("a thread of the store ends: {error}"),
            };
            let mut session = Session {
                kind,
                shared,
                runtime,
                conn: None,
                silences: 0,
            };
            loop {
                // Whoever holds the lock is the one that waits for a call; the others queue behind it.
                let call = calls
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .blocking_recv();
                let Some(mut call) = call else { break };
                let result = session.transaction(&mut call);
                health.note(&result);
                call.answer(result);
            }
        };
        match std::thread::Builder::new()
            .name(format!("{name}-{number}"))
            .spawn(work)
        {
            Ok(_detached) => {}
            Err(error) => return Err(StoreError::Unavailable(format!("no thread: {error}"))),
        }
    }
    Ok(())
}

/// One thread's session, with what is needed to have another one.
struct Session {
    // Before `runtime`: a connection is dropped on the runtime it lives on.
    conn: Option<Conn>,
    kind: Kind,
    shared: Shared,
    runtime: ThreadRuntime,
    /// See [`Target::silences`]; as of when it was connected.
    silences: usize,
}

/// How one run of a transaction ended.
enum End {
    /// Committed, or undone because the call failed by itself.
    Done,
    /// Undone; the call is to be run again.
    Again,
    /// The connection turned out to be gone at the first word, which an idle one may have been for long.
    Closed(StoreError),
    /// The connection is gone, and whether it took a commit with it is in the error.
    Lost(StoreError),
}

impl Session {
    /// Runs one call in a transaction, on a new connection where the old one turns out to be gone.
    fn transaction(&mut self, call: &mut Job<Conn>) -> StoreResult<()> {
        let extent = call.extent();
        let mut closed = None;
        for run in 1..=RUNS_MAX {
            let fresh = self.conn.is_none();
            let kind = self.kind;
            let conn = self.connected()?;
            let end = match extent {
                Extent::Statement => statement(conn, call),
                Extent::Transaction => begun(conn, call, kind),
            };
            match (end, closed.take()) {
                // Refused, perhaps for what it did on the connection that was closed.
                (End::Done, Some(error))
                    if extent == Extent::Statement && call.error().is_some() =>
                {
                    return Err(error);
                }
                (End::Again, _) if run < RUNS_MAX => {}
                // Where it runs no more, the call's own result says that it lost a race.
                (End::Done | End::Again, _) => return Ok(()),
                (End::Closed(error), _) => {
                    self.conn = None;
                    if fresh || run == RUNS_MAX {
                        return Err(error);
                    }
                    closed = Some(error);
                }
                (End::Lost(error), _) => {
                    self.conn = None;
                    return Err(error);
                }
            }
        }
        Err(StoreError::Unavailable(
            "every connection was closed at once".to_owned(),
        ))
    }

    fn connected(&mut self) -> StoreResult<&mut Conn> {
        let silences = self.shared.target.silences.load(Ordering::Relaxed);
        // One that is older than a silence may be silent too: to find that out takes longer than to connect.
        if self.conn.is_none() || self.silences != silences {
            self.conn = None;
            self.conn = Some(self.connect()?);
            self.silences = silences;
        }
        self.conn
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable("not connected".to_owned()))
    }

    fn connect(&self) -> StoreResult<Conn> {
        let target = &self.shared.target;
        target.outage.check()?;
        let connected = Target::connect(target, &self.runtime);
        target.outage.note(connected.is_ok());
        let mut conn = connected?;
        conn.batch_execute(self.kind.settings())
            .map_err(QueryError::from)?;
        Ok(conn)
    }
}

/// One run of a call that is one statement.
fn statement(conn: &mut Conn, call: &mut Job<Conn>) -> End {
    match call.run(conn) {
        Ran::Well | Ran::Badly => End::Done,
        Ran::Race => End::Again,
        Ran::Disconnected => End::Closed(unknown(&"the server did not answer")),
    }
}

/// One run of a call between `BEGIN` and `COMMIT`.
fn begun(conn: &mut Conn, call: &mut Job<Conn>, kind: Kind) -> End {
    if let Err(error) = conn.batch_execute(kind.begin()) {
        return End::Closed(QueryError::from(error).into());
    }
    let lost = |error: diesel::result::Error| End::Lost(StoreError::Unavailable(error.to_string()));
    let ran = call.run(conn);
    if ran == Ran::Disconnected {
        return End::Lost(StoreError::Unavailable(
            "the connection was lost".to_owned(),
        ));
    }
    if ran != Ran::Well || kind == Kind::Read {
        return match conn.batch_execute("ROLLBACK") {
            Ok(()) if ran == Ran::Race => End::Again,
            Ok(()) => End::Done,
            Err(error) => lost(error),
        };
    }
    match conn.batch_execute("COMMIT").map_err(QueryError::from) {
        Ok(()) => End::Done,
        Err(error) if error.is_race() => match conn.batch_execute("ROLLBACK") {
            Ok(()) => End::Again,
            Err(error) => lost(error),
        },
        Err(error) if error.is_disconnect() => End::Lost(unknown(&error)),
        Err(error) => End::Lost(error.into()),
    }
}

fn unknown(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!(
        "the connection was lost during a commit, whose result is not known: {error}"
    ))
}
