//! One connection to the server as seen from outside of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::connect::{CONNECT_TIMEOUT, Target};
use crate::store::{StoreError, StoreResult};

/// What a server knows a session by: the number of its process, which another one may have later, and its beginning.
const IDENTITY: &str = "
    SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
/// Whether a session of a statement's own role does something, or at least may: a server can be set not to say.
const AT_WORK: &str = "
    SELECT count(*) FROM pg_stat_activity
    WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2 AND COALESCE(state, '?') NOT LIKE 'idle%'";

/// A connection, and the means to look after it and to close it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    target: Arc<Target>,
    pid: i32,
    began: String,
    /// What moves its bytes.
    driver: AbortHandle,
}

impl Line {
    /// Asks the server what it calls the session of `client`, which `driver` moves.
    pub(super) async fn of(
        target: &Arc<Target>,
        client: &tokio_postgres::Client,
        driver: AbortHandle,
    ) -> Result<Self, tokio_postgres::Error> {
        let row = client.query_one(IDENTITY, &[]).await?;
        Ok(Self {
            target: Arc::clone(target),
            pid: row.try_get(0)?,
            began: row.try_get(1)?,
            driver,
        })
    }

    /// Whether the server works on a statement that came over this connection, asked over another one. One at a time of
    /// all of a process asks, so that an overloaded server is not met by twice as many connections; one that takes no more
    /// connections is taken to be at work.
    pub(super) async fn is_at_work(&self) -> StoreResult<bool> {
        let _turn = self.target.inquiry.lock().await;
        self.target.outage.check()?;
        let opened = self.target.open().await;
        if let Err(StoreError::Unavailable(text)) = &opened
            && is_full(text)
        {
            return Ok(true);
        }
        self.target.outage.note(opened.is_ok());
        let (client, connection) = opened?;
        let ask = async {
            let row = client.query_one(AT_WORK, &[&self.pid, &self.began]).await?;
            row.try_get::<_, i64>(0)
        };
        let asked = async {
            tokio::select! {
                count = ask => count,
                // Its end is an answer of `ask` too, which comes with the next look.
                Err(error) = connection => Err(error),
            }
        };
        match timeout(CONNECT_TIMEOUT, asked).await {
            Ok(Ok(count)) => Ok(count > 0),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(_elapsed) => Err(StoreError::Unavailable(
                "the server does not answer".to_owned(),
            )),
        }
    }

    /// Closes it because it is silent: whoever waits for an answer is told that none will come.
    pub(super) fn close(&self) {
        self.target.silences.fetch_add(1, Ordering::Relaxed);
        self.driver.abort();
    }
}

/// Whether a server refused a session for having too many.
fn is_full(text: &str) -> bool {
    text.contains("too many clients") || text.contains("connection slots")
}
