//! Being the only process on a database: a session's advisory lock, kept and taken again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::health::Health;
use super::connect::Target;
use super::threads::ThreadRuntime;
use crate::store::{StoreError, StoreResult};

/// The key of the lock: "robotd" and 2, in ASCII.
const LOCK: i64 = 0x0072_6f62_6f74_6402;

/// How long the lock is tried for: the session of a killed process ends when its server process
/// notices, which takes a moment.
const TRIES: u32 = 25;
/// Pause between tries, also between attempts to have a lost session again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the session is used, so that a silent loss is noticed.
const CHECK: Duration = Duration::from_secs(5);

/// The lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    /// Its end tells the thread to end the session.
    _until: oneshot::Sender<()>,
}

/// Takes the lock in a session on a thread of its own.
pub(super) async fn hold(target: Arc<Target>, health: Arc<Health>) -> StoreResult<Held> {
    let (until, ended) = oneshot::channel();
    let (reply, answer) = oneshot::channel();
    let work = move || match ThreadRuntime::start() {
        Ok(runtime) => runtime.run(keep(&target, &health, reply, ended)),
        Err(error) => {
            if reply.send(Err(error)).is_err() {
                log::debug!("nobody waits for the database's lock any more");
            }
        }
    };
    std::thread::Builder::new()
        .name("store-lock".to_owned())
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))?;
    answer
        .await
        .map_err(|_| StoreError::Unavailable("the thread of the lock has ended".to_owned()))??;
    Ok(Held { _until: until })
}

/// Takes the lock, answers, and keeps it until `ended`.
async fn keep(
    target: &Target,
    health: &Health,
    reply: oneshot::Sender<StoreResult<()>>,
    mut ended: oneshot::Receiver<()>,
) {
    let first = take(target, TRIES).await;
    let (answer, mut session) = match first {
        Ok(session) => (Ok(()), session),
        Err(error) => (Err(error), None),
    };
    let failed = answer.is_err();
    if reply.send(answer).is_err() || failed {
        return;
    }
    loop {
        let watch = async {
            match session.take() {
                Some(client) => until_lost(client).await,
                None => tokio::time::sleep(PAUSE).await,
            }
        };
        tokio::select! {
            _ = &mut ended => return,
            () = watch => {}
        }
        match take(target, 1).await {
            Ok(client) => {
                health.set_displaced(false);
                session = client;
            }
            Err(StoreError::Conflict { what }) => {
                health.set_displaced(true);
                log::error!("{what} since this one lost its connection; this one must not go on");
            }
            Err(error) => log::debug!("the database's lock is not held: {error}"),
        }
    }
}

/// Opens a session that holds the lock. `Conflict` when another one still has it after `tries`.
async fn take(target: &Target, tries: u32) -> StoreResult<Option<tokio_postgres::Client>> {
    let (client, connection) = target.open().await?;
    // On this thread's own runtime, and it ends with the client.
    tokio::runtime::Handle::current().spawn(async move {
        if let Err(error) = connection.await {
            log::warn!("the session of the database's lock ended: {error}");
        }
    });
    for _ in 0..tries {
        let row = client
            .query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK])
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        if row.get::<_, bool>(0) {
            return Ok(Some(client));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(StoreError::Conflict {
        what: "another robotd works on this database".to_owned(),
    })
}

/// Returns when the session is gone.
async fn until_lost(client: tokio_postgres::Client) {
    loop {
        tokio::time::sleep(CHECK).await;
        if let Err(error) = client.batch_execute("SELECT 1").await {
            return log::warn!("the session of the database's lock is lost: {error}");
        }
    }
}
