//! Opening a session, and migrating in one.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel_async::AsyncPgConnection;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::error::QueryError;
use super::super::migrate::bring_up_to_date;
use super::threads::ThreadRuntime;
use super::{Conn, MIGRATIONS, tls, url};
use crate::store::{StoreError, StoreResult};

/// Longest wait for a session. Callers are told "not available" after it rather than hang.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the server's acknowledgement of what was sent, after which the connection is
/// given up: a pulled cable is noticed within it.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Limits of every session. A statement of the store takes milliseconds; 30 s is a report on a
/// server under heavy load. A lock is waited for 5 s. A transaction that a stopped process left open
/// is ended after 2 s, so that its locks do not outlive the node's lease, which is 2 s at least. `synchronous_commit`
/// is set in case the server's default would answer before the commit is on disk.
const SESSION: &str = "-c statement_timeout=30s -c lock_timeout=5s \
     -c idle_in_transaction_session_timeout=2s -c synchronous_commit=on -c jit=off";

/// The key of the lock that is held while migrating: "robotd" and 1, in ASCII.
const MIGRATION_LOCK: i64 = 0x0072_6f62_6f74_6401;

/// Where the database is, and how to speak to it.
pub(super) struct Target {
    config: tokio_postgres::Config,
    connector: MakeRustlsConnect,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // tokio-postgres leaves the password out.
        f.debug_struct("Target")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Reads `url`; connects to nothing yet.
    pub(super) fn new(url: &str) -> StoreResult<Self> {
        let url::ParsedUrl { mut config, tls } = url::parse(url)?;
        config
            .application_name("robotd")
            .options(SESSION)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(SILENCE_MAX)
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
        Ok(Self {
            config,
            connector: tls::connector(&tls)?,
        })
    }

    /// Opens a session without diesel, for the lock.
    pub(super) async fn open(
        &self,
    ) -> StoreResult<(
        tokio_postgres::Client,
        tokio_postgres::Connection<
            tokio_postgres::Socket,
            impl tokio_postgres::tls::TlsStream + Unpin + Send + 'static + use<>,
        >,
    )> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.config.connect(self.connector.clone()))
            .await
        {
            Ok(Ok(pair)) => Ok(pair),
            Ok(Err(error)) => Err(StoreError::Unavailable(chain(&error))),
            Err(_elapsed) => Err(StoreError::Unavailable(format!(
                "the server did not answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Opens a session on the calling thread's runtime.
    pub(super) fn connect(&self, runtime: &ThreadRuntime) -> StoreResult<Conn> {
        let conn = runtime.run(async {
            let (client, connection) = self.open().await?;
            AsyncPgConnection::try_from_client_and_connection(client, connection)
                .await
                .map_err(|error| StoreError::Unavailable(error.to_string()))
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

/// Migrates in a session of its own, one process at a time.
pub(super) fn migrate(target: &Target) -> StoreResult<()> {
    let runtime = ThreadRuntime::start()?;
    let mut conn = target.connect(&runtime)?;
    let failed = |error: diesel::result::Error| StoreError::from(QueryError::from(error));
    // The lock ends with the session. A step may take long on a big table, and others wait for it.
    conn.batch_execute("SET statement_timeout = 0; SET lock_timeout = '10min'")
        .map_err(failed)?;
    conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))
        .map_err(failed)?;
    bring_up_to_date(&mut conn, MIGRATIONS)
}
