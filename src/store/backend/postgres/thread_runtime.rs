//! The runtime of one database thread, and how long it waits for the server's word.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel_async::async_connection_wrapper::BlockOn;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::line::Line;
use crate::store::{StoreError, StoreResult};

/// Longest wait for a statement's answer before another session asks what became of it. Nearly all take milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer that was on its way while that was asked is there within this.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

thread_local! {
    static RUNTIME: RefCell<Option<ThreadRuntime>> = const { RefCell::new(None) };
}

/// The runtime of one database thread, on which its connection lives.
#[derive(Debug, Clone)]
pub(in crate::store) struct ThreadRuntime {
    runtime: Arc<Runtime>,
    /// The connection in use, once there is one.
    line: Arc<Mutex<Option<Line>>>,
}

impl ThreadRuntime {
    /// Makes the calling thread's runtime.
    pub(super) fn start() -> StoreResult<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(format!("no runtime: {error}")))?;
        let runtime = Self {
            runtime: Arc::new(runtime),
            line: Arc::default(),
        };
        RUNTIME.set(Some(runtime.clone()));
        Ok(runtime)
    }

    /// Runs `future` to its end.
    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Statements go over `line` from now on.
    pub(super) fn attend(&self, line: Line) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }

    fn line(&self) -> Option<Line> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.clone()
    }

    /// Waits for the answer to a statement for as long as the server works on it. A connection over which nothing comes
    /// any more, while whatever lies in between still takes what is sent, looks the same as a long statement from here:
    /// only the server knows. One that it knows nothing of is closed, which ends `statement` with an error.
    async fn attended<F: Future>(&self, statement: F) -> F::Output {
        let mut statement = pin!(statement);
        loop {
            if let Ok(answer) = timeout(PATIENCE, statement.as_mut()).await {
                return answer;
            }
            let Some(line) = self.line() else { continue };
            let why = match line.is_at_work().await {
                Ok(true) => continue,
                Ok(false) => "the server does not work on what it was asked".to_owned(),
                Err(error) => error.to_string(),
            };
            if let Ok(answer) = timeout(ON_ITS_WAY, statement.as_mut()).await {
                return answer;
            }
            log::warn!("a connection without an answer is closed: {why}");
            line.close();
        }
    }
}

impl BlockOn for ThreadRuntime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(self.attended(future))
    }

    #[expect(
        clippy::expect_used,
        reason = "the trait leaves no other way; every caller has started the runtime"
    )]
    fn get_runtime() -> Self {
        RUNTIME
            .with_borrow(Clone::clone)
            .expect("a connection is only made on a thread that has its runtime")
    }
}
