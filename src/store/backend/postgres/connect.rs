//! Opening a session, and migrating in one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::AsyncPgConnection;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::error::QueryError;
use super::super::migrate::{Schema, bring_up_to_date};
use super::line::Line;
use super::thread_runtime::ThreadRuntime;
use super::threads::Outage;
use super::{Conn, MIGRATIONS, membership, tls, url};
use crate::store::{StoreError, StoreResult};

/// Longest wait for a session on one server. Callers are told "not available" after it rather than hang.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the server's acknowledgement of what was sent, after which the connection is
/// given up: a pulled cable is noticed within it.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Limits of every session. A statement of the store takes milliseconds; 30 s is a report on a
/// server under heavy load. A lock is waited for 5 s. A transaction that a stopped process left open
/// is ended after 2 s, so that its locks do not outlive the node's lease, which is 2 s at least. `synchronous_commit`
/// is set in case the server's default would answer before the commit is on disk. The server asks as often as this side
/// whether the other one is still there: by its own defaults a session whose machine is gone keeps its locks for two hours.
const SESSION: &str = "-c statement_timeout=30s -c lock_timeout=5s \
     -c idle_in_transaction_session_timeout=2s -c synchronous_commit=on -c jit=off \
     -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3";

/// The key of the lock that is held while migrating: "robotd" and 1, in ASCII.
const MIGRATION_LOCK: i64 = 0x0072_6f62_6f74_6401;
/// Longest wait until nobody else migrates, and again until nobody uses a table that a step changes.
const MIGRATION_MAX: Duration = Duration::from_secs(600);
/// Between two attempts at a step: those who waited behind it have their turn.
const MIGRATION_PAUSE: Duration = Duration::from_secs(1);
/// What the server says of a lock that was waited for too long.
const LOCK_TIMEOUT: &str = "canceling statement due to lock timeout";

/// Where the database is, and how to speak to it.
pub(super) struct Target {
    /// The servers that may have it, in the order in which they are tried.
    servers: Vec<tokio_postgres::Config>,
    connector: MakeRustlsConnect,
    /// Which of them was reached last.
    last: AtomicUsize,
    /// Whether connecting is worth it now.
    pub(super) outage: Outage,
    /// Held by whoever asks in another session what became of a statement.
    pub(super) inquiry: tokio::sync::Mutex<()>,
    /// How often a connection was found silent: those of before the last time may be so too.
    pub(super) silences: AtomicUsize,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // tokio-postgres leaves the password out.
        f.debug_struct("Target")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Reads `url`; connects to nothing yet.
    pub(super) fn new(url: &str) -> StoreResult<Self> {
        let url::ParsedUrl { mut servers, tls } = url::parse(url)?;
        for server in &mut servers {
            server
                .application_name("robotd")
                .options(SESSION)
                // One that takes no changes, a standby, is as good as none.
                .target_session_attrs(TargetSessionAttrs::ReadWrite)
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_user_timeout(SILENCE_MAX)
                .keepalives_idle(SILENCE_MAX)
                .keepalives_interval(Duration::from_secs(2))
                .keepalives_retries(3);
        }
        Ok(Self {
            servers,
            connector: tls::connector(&tls)?,
            last: AtomicUsize::new(0),
            outage: Outage::default(),
            inquiry: tokio::sync::Mutex::default(),
            silences: AtomicUsize::new(0),
        })
    }

    /// Opens a session without diesel, on the server that had the database last, or the next one that has it now.
    pub(super) async fn open(
        &self,
    ) -> StoreResult<(
        tokio_postgres::Client,
        tokio_postgres::Connection<
            tokio_postgres::Socket,
            impl tokio_postgres::tls::TlsStream + Unpin + Send + 'static + use<>,
        >,
    )> {
        let mut refusals = Vec::new();
        let last = self.last.load(Ordering::Relaxed);
        let numbered = self.servers.iter().enumerate();
        for (number, server) in numbered.cycle().skip(last).take(self.servers.len()) {
            let opening = server.connect(self.connector.clone());
            let refused = match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
                Ok(Ok(pair)) => {
                    self.last.store(number, Ordering::Relaxed);
                    return Ok(pair);
                }
                Ok(Err(error)) => chain(&error),
                Err(_elapsed) => format!(
                    "the server did not answer within {} s",
                    CONNECT_TIMEOUT.as_secs()
                ),
            };
            refusals.push(match self.servers.len() {
                1 => refused,
                _ => format!("{}: {refused}", url::place(server)),
            });
        }
        Err(StoreError::Unavailable(refusals.join("; ")))
    }

    /// Opens a session on the calling thread's runtime, which attends to it from then on.
    pub(super) fn connect(target: &Arc<Self>, runtime: &ThreadRuntime) -> StoreResult<Conn> {
        let failed = |error: &dyn std::error::Error| StoreError::Unavailable(chain(error));
        let conn = runtime.run(async {
            let (client, connection) = target.open().await?;
            let driver = tokio::runtime::Handle::current().spawn(async move {
                if let Err(error) = connection.await {
                    log::debug!("a session with the database ended: {}", chain(&error));
                }
            });
            let prepare = async {
                let line = Line::of(target, &client, driver.abort_handle()).await;
                let line = line.map_err(|error| failed(&error))?;
                let conn = AsyncPgConnection::try_from(client).await;
                Ok::<_, StoreError>((conn.map_err(|error| failed(&error))?, line))
            };
            match tokio::time::timeout(CONNECT_TIMEOUT, prepare).await {
                Ok(Ok((conn, line))) => {
                    runtime.attend(line);
                    Ok(conn)
                }
                Ok(Err(error)) => Err(error),
                Err(_elapsed) => {
                    driver.abort();
                    Err(StoreError::Unavailable("the server fell silent".to_owned()))
                }
            }
        })?;
        Ok(Conn::from(conn))
    }
}

/// An error with its causes: tokio-postgres itself only says "error connecting to server".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Migrates in a session of its own, one process at a time, perhaps beside nodes that work. A step that changes a table
/// waits a moment only until nobody uses it, because all who want to use it wait behind the step; then it is tried again.
pub(super) fn migrate(target: &Arc<Target>) -> StoreResult<Schema> {
    let runtime = ThreadRuntime::start()?;
    let mut conn = Target::connect(target, &runtime)?;
    let mut execute = |sql: &str| {
        let done = conn.batch_execute(sql);
        done.map_err(|error| StoreError::from(QueryError::from(error)))
    };
    // The lock ends with the session. A step may take long on a big table, and others wait for it.
    let patience = MIGRATION_MAX.as_secs();
    execute(&format!(
        "SET statement_timeout = 0; SET lock_timeout = '{patience}s'"
    ))?;
    execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    execute("SET lock_timeout = '1s'")?;
    let deadline = Instant::now() + MIGRATION_MAX;
    loop {
        match bring_up_to_date(&mut conn, MIGRATIONS, no_node_works) {
            Err(StoreError::Other(text))
                if text.contains(LOCK_TIMEOUT) && Instant::now() < deadline =>
            {
                log::info!("a step of the schema waits for a table that is in use");
                runtime.run(tokio::time::sleep(MIGRATION_PAUSE));
            }
            ended => return ended,
        }
    }
}

/// Keeps all nodes away until the session ends, where there are none.
fn no_node_works(conn: &mut Conn) -> StoreResult<bool> {
    #[derive(QueryableByName)]
    struct Got {
        #[diesel(sql_type = Bool)]
        got: bool,
    }
    let lock = format!("SELECT pg_try_advisory_lock({}) AS got", membership::LOCK);
    let got: Result<Got, _> = diesel::sql_query(lock).get_result(conn);
    let got = got.map_err(|error| StoreError::from(QueryError::from(error)))?;
    Ok(got.got)
}
