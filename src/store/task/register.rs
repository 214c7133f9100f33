//! Registering tasks: small orders that arrive while another commits share the next commit.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, oneshot};

use super::{Added, NewTask, Registered, bounded};
use crate::domain::task::BATCH_TASKS_MAX;
use crate::domain::time::Timestamp;
use crate::store::backend::{Backend, postgres, sqlite, write};
use crate::store::id::Series;
use crate::store::{Store, StoreError, StoreResult};

/// Orders of more tasks than this are large enough to be worth a commit of their own.
const SHARED_TASKS_MAX: usize = 16;

/// What one caller registers.
#[derive(Debug)]
pub(in crate::store) struct Order {
    /// The tasks.
    pub(in crate::store) tasks: Vec<NewTask>,
    /// The id of the first; the others follow.
    pub(in crate::store) first: i64,
    /// When.
    pub(in crate::store) now: Timestamp,
}

/// What a caller is told of its order.
#[derive(Debug)]
enum Told {
    /// What became of it.
    Answer(StoreResult<Vec<Added>>),
    /// Somebody's order was refused, and all that shared its transaction with it: each is to try by itself.
    Alone,
}

#[derive(Debug)]
struct Waiting {
    order: Arc<Order>,
    caller: oneshot::Sender<Told>,
}

/// Orders that wait for the next commit. Whoever has the turn takes all of them to the database and keeps the turn
/// until they are committed; nobody's order depends on that caller, which may go away at any moment.
#[derive(Debug, Default)]
pub(in crate::store) struct Orders {
    waiting: Mutex<Vec<Waiting>>,
    turn: Turn<()>,
}

impl Orders {
    fn put(&self, order: Arc<Order>) -> oneshot::Receiver<Told> {
        let (caller, told) = oneshot::channel();
        self.lock().push(Waiting { order, caller });
        told
    }

    fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Registers tasks, all or none, in one transaction. Answers in the order given.
    /// Signals `TasksReady` after the commit. At most `BATCH_TASKS_MAX`.
    pub async fn task_add(&self, tasks: Vec<NewTask>, now: Timestamp) -> StoreResult<Vec<Added>> {
        bounded("tasks", tasks.len(), BATCH_TASKS_MAX)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.ids(Series::Task, tasks.len(), now).await?;
        let order = Arc::new(Order { tasks, first, now });
        if order.tasks.len() > SHARED_TASKS_MAX {
            return self.register_alone(order).await;
        }
        let mut told = self.orders().put(Arc::clone(&order));
        let told = tokio::select! {
            biased;
            told = &mut told => told,
            _turn = self.orders().turn.lock() => {
                self.register_waiting().await?;
                told.await
            }
        };
        match told {
            Ok(Told::Answer(answer)) => answer,
            Ok(Told::Alone) => self.register_alone(order).await,
            Err(_) => Err(StoreError::Unavailable("its threads have ended".to_owned())),
        }
    }

    async fn register_alone(&self, order: Arc<Order>) -> StoreResult<Vec<Added>> {
        let orders = Vec::from([order]);
        let registered = write!(self, task_add::add_orders(&orders))?;
        self.tell_waiting(registered.ready, registered.scheduled);
        Ok(registered.added)
    }

    /// Takes all waiting orders to the database.
    async fn register_waiting(&self) -> StoreResult<()> {
        let store = self.clone();
        let waiting = self.orders().take();
        if waiting.is_empty() {
            return Ok(());
        }
        let orders: Vec<_> = waiting
            .iter()
            .map(|waiting| Arc::clone(&waiting.order))
            .collect();
        let tell = move |result| store.tell_orders(waiting, result);
        match self.backend_ref() {
            Backend::Sqlite(engine) => {
                let work = move |conn: &mut _| sqlite::queries::task_add::add_orders(conn, &orders);
                engine.write_then(work, tell).await
            }
            Backend::Postgres(engine) => {
                let work =
                    move |conn: &mut _| postgres::queries::task_add::add_orders(conn, &orders);
                engine.write_then(work, tell).await
            }
        }
    }

    /// Tells each caller what became of its order, and everybody that there is work. Runs on the thread that has
    /// committed, so that no caller's absence keeps it from others.
    fn tell_orders(&self, waiting: Vec<Waiting>, result: StoreResult<Registered>) {
        let refused = matches!(result, Err(StoreError::Other(_))) && waiting.len() > 1;
        let (result, ready, scheduled) = match result {
            Ok(registered) => (Ok(registered.added), registered.ready, registered.scheduled),
            Err(error) => (Err(error), Vec::new(), None),
        };
        let mut added = result.as_ref().map(|added| added.iter());
        self.tell_waiting(ready, scheduled);
        for Waiting { order, caller } in waiting {
            let told = match &mut added {
                Ok(added) => Told::Answer(Ok(added
                    .by_ref()
                    .take(order.tasks.len())
                    .copied()
                    .collect())),
                Err(_) if refused => Told::Alone,
                Err(error) => Told::Answer(Err(error.clone())),
            };
            if caller.send(told).is_err() {
                log::debug!("a caller did not wait for its tasks to be registered");
            }
        }
    }
}
