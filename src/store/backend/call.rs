//! A call on its way to a thread that owns a connection, and its answer on the way back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{mpsc, oneshot};

use super::{QueryError, QueryResult};
use crate::store::{StoreError, StoreResult};

/// Calls that wait for a thread; a caller beyond them waits until one is taken. 1,024 keeps a full
/// group for the writer behind the one in work, at a few hundred bytes each.
pub(super) const CALLS_MAX: usize = 1_024;

/// Work for a thread whose connection is a `C`.
pub(super) type Job<C> = Box<dyn Work<C>>;

/// What a call asks of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Extent {
    /// Any number of statements, of which all count or none.
    Transaction,
    /// At most one statement: it is a transaction by itself, and on a server that saves two trips.
    Statement,
}

/// The two steps of a call: what it does inside the transaction, and what it hears after it.
pub(super) trait Work<C>: Send {
    /// How much each run does; asked once, before the first.
    fn extent(&mut self) -> Extent;
    /// Runs the query. May be run again after a roll-back; the last run counts.
    fn run(&mut self, conn: &mut C) -> Ran;
    /// Why the last run failed, where it did.
    fn error(&self) -> Option<StoreError>;
    /// Ends the call: with its own result after a commit, with the engine's error otherwise.
    fn answer(self: Box<Self>, transaction: StoreResult<()>);
}

/// What one run of a query came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    /// Its changes are to be kept.
    Well,
    /// It failed by itself: its changes are to be undone.
    Badly,
    /// Another transaction was in its way: undo and run again.
    Race,
    /// The connection is gone.
    Disconnected,
}

struct Call<T, E, F, R> {
    extent: E,
    work: F,
    result: Option<QueryResult<T>>,
    reply: R,
}

impl<C, T, E, F, R> Work<C> for Call<T, E, F, R>
where
    T: Send,
    E: FnMut() -> Extent + Send,
    F: FnMut(&mut C) -> QueryResult<T> + Send,
    R: FnOnce(StoreResult<T>) + Send,
{
    fn extent(&mut self) -> Extent {
        (self.extent)()
    }

    fn run(&mut self, conn: &mut C) -> Ran {
        // The connection is sound after a panic: the engine rolls back whatever was begun.
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(conn)))
            .unwrap_or_else(|panic| Err(QueryError::Defect(panic_text(panic.as_ref()))));
        let ran = match &result {
            Ok(_) => Ran::Well,
            Err(error) if error.is_disconnect() => Ran::Disconnected,
            Err(error) if error.is_race() => Ran::Race,
            Err(_) => Ran::Badly,
        };
        self.result = Some(result);
        ran
    }

    fn error(&self) -> Option<StoreError> {
        match &self.result {
            Some(Err(error)) => Some(StoreError::Other(error.to_string())),
            _ => None,
        }
    }

    fn answer(self: Box<Self>, transaction: StoreResult<()>) {
        let result = match (transaction, self.result) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result.map_err(StoreError::from),
            (Ok(()), None) => Err(StoreError::Other(
                "a call was answered before it ran".to_owned(),
            )),
        };
        (self.reply)(result);
    }
}

/// Work whose extent, statements and end are three closures; `reply` is called when the transaction is over.
pub(super) fn job<C, T, E, F, R>(extent: E, work: F, reply: R) -> Job<C>
where
    T: Send + 'static,
    E: FnMut() -> Extent + Send + 'static,
    F: FnMut(&mut C) -> QueryResult<T> + Send + 'static,
    R: FnOnce(StoreResult<T>) + Send + 'static,
{
    Box::new(Call {
        extent,
        work,
        result: None,
        reply,
    })
}

/// Sends `work` to the threads behind `queue` and waits for its answer.
pub(super) async fn submit<C, T, F>(queue: &mpsc::Sender<Job<C>>, work: F) -> StoreResult<T>
where
    C: 'static,
    T: Send + 'static,
    F: FnMut(&mut C) -> QueryResult<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let tell = move |result| {
        if reply.send(result).is_err() {
            log::debug!("a caller of the store did not wait for its answer");
        }
    };
    let job = job(|| Extent::Transaction, work, tell);
    queue.send(job).await.map_err(|_| ended())?;
    answer.await.map_err(|_| ended())?
}

fn ended() -> StoreError {
    StoreError::Unavailable("its threads have ended".to_owned())
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    format!("a query panicked: {text}")
}
