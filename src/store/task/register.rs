//! Registering tasks: small orders that arrive while another commits share the next commit.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::oneshot;

use super::{Added, NewTask, Registered, Start, bounded};
use crate::domain::task::{BATCH_TASKS_MAX, TaskStatus};
use crate::domain::time::Timestamp;
use crate::store::backend::call::Extent;
use crate::store::backend::{Backend, postgres, sqlite, write};
use crate::store::id::Series;
use crate::store::outbox::Outbox;
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

/// Orders that wait for the next commit. The first of them calls the database, which takes along all that have come
/// by the time it begins; nobody's order depends on that first caller, which may go away at any moment.
#[derive(Debug, Default)]
pub(in crate::store) struct Orders(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether there is a [`Turn`], which will take what waits.
    called: bool,
}

impl Orders {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A commit that is to come or under way; there is one at a time.
#[derive(Debug)]
struct Turn {
    store: Store,
    batch: Batch,
    /// Whether the batch has its answers. A turn can end without: the database's queue was full, or its threads end.
    answered: bool,
}

/// What a turn has taken along: nothing until the database begins.
#[derive(Debug, Default, Clone)]
struct Batch(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    waiting: Vec<Waiting>,
    /// What is started of it.
    start: Option<Arc<Start>>,
}

impl Batch {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The orders to be committed, and what is to be started of them; the same ones each time.
    fn orders(&self, store: &Store) -> (Vec<Arc<Order>>, Option<Arc<Start>>) {
        let mut batch = self.lock();
        if batch.waiting.is_empty() {
            batch.waiting = mem::take(&mut store.orders().lock().waiting);
            batch.start = start_of(store, &batch.waiting);
        }
        let orders = batch.waiting.iter().map(|own| Arc::clone(&own.order));
        (orders.collect(), batch.start.clone())
    }
}

/// What can be started of orders.
fn start_of(store: &Store, waiting: &[Waiting]) -> Option<Arc<Start>> {
    let orders = waiting.iter().map(|own| &own.order);
    let at = orders.clone().map(|order| order.now).max()?;
    let at_once = orders.flat_map(|order| {
        let queued = |task: &&NewTask| task.first_status(order.now).0 == TaskStatus::Queued;
        order.tasks.iter().filter(queued).map(|task| task.robot)
    });
    store.start_of(at_once, at)
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
        match self.put(Arc::clone(&order)).await {
            Ok(Told::Answer(answer)) => answer,
            Ok(Told::Alone) => self.register_alone(order).await,
            Err(_) => Err(StoreError::Unavailable("its threads have ended".to_owned())),
        }
    }

    async fn register_alone(&self, order: Arc<Order>) -> StoreResult<Vec<Added>> {
        let orders = Vec::from([order]);
        let outbox = self.outbox();
        let registered = write!(self, task_add::add_orders(&orders, None, outbox))?;
        Ok(self.tell_registered(registered))
    }

    /// Lets an order wait for the next commit, and sees to it that there is one.
    fn put(&self, order: Arc<Order>) -> oneshot::Receiver<Told> {
        let (caller, told) = oneshot::channel();
        let called = {
            let mut queue = self.orders().lock();
            queue.waiting.push(Waiting { order, caller });
            mem::replace(&mut queue.called, true)
        };
        if !called {
            self.call();
        }
        told
    }

    /// Calls the database to take what waits.
    fn call(&self) {
        let (store, batch, outbox) = (self.clone(), Batch::default(), self.outbox());
        let turn = Turn {
            store: self.clone(),
            batch: batch.clone(),
            answered: false,
        };
        let tell = move |result| turn.answer(result);
        // Where it is refused, the turn has been dropped and has told everybody.
        let _accepted: bool = match self.backend_ref() {
            Backend::Sqlite(engine) => engine.write_soon(
                || Extent::Transaction,
                move |conn| {
                    let (orders, start) = batch.orders(&store);
                    sqlite::queries::task_add::add_orders(conn, &orders, start.as_ref(), outbox)
                },
                tell,
            ),
            Backend::Postgres(engine) => {
                let (all, of) = (batch.clone(), self.clone());
                engine.write_soon(
                    move || extent(&all.orders(&of).0, outbox),
                    move |conn| {
                        let (orders, start) = batch.orders(&store);
                        postgres::queries::task_add::add_orders(
                            conn,
                            &orders,
                            start.as_ref(),
                            outbox,
                        )
                    },
                    tell,
                )
            }
        };
    }
}

impl Turn {
    /// Tells each caller what became of its order, and everybody that there is work. Runs on the thread that has
    /// committed, so that no caller's absence keeps it from others.
    fn answer(mut self, result: StoreResult<Registered>) {
        self.answered = true;
        let Taken { waiting, .. } = mem::take(&mut *self.batch.lock());
        let waiting = if waiting.is_empty() {
            // A database that cannot be reached has not even begun: those who wait are to know.
            mem::take(&mut self.store.orders().lock().waiting)
        } else {
            waiting
        };
        let refused = matches!(result, Err(StoreError::Other(_))) && waiting.len() > 1;
        let result = result.map(|registered| self.store.tell_registered(registered));
        let mut added = result.as_ref().map(|added| added.iter());
        for own in waiting {
            let told = match &mut added {
                Ok(added) => {
                    let count = own.order.tasks.len();
                    Told::Answer(Ok(added.by_ref().take(count).copied().collect()))
                }
                Err(_) if refused => Told::Alone,
                Err(error) => Told::Answer(Err(error.clone())),
            };
            own.tell(told);
        }
    }
}

impl Drop for Turn {
    /// Begins the next turn, where orders have come meanwhile. Without an answer each is to try by itself.
    fn drop(&mut self) {
        let (more, left) = {
            let mut queue = self.store.orders().lock();
            queue.called = self.answered && !queue.waiting.is_empty();
            match self.answered {
                true => (queue.called, Vec::new()),
                false => (false, mem::take(&mut queue.waiting)),
            }
        };
        if more {
            self.store.call();
        }
        let taken = mem::take(&mut *self.batch.lock());
        for own in taken.waiting.into_iter().chain(left) {
            own.tell(Told::Alone);
        }
    }
}

impl Waiting {
    fn tell(self, told: Told) {
        if self.caller.send(told).is_err() {
            log::debug!("a caller did not wait for its tasks to be registered");
        }
    }
}

/// Whether registering `orders` takes one statement: no keys to be taken, no changes to be kept, and no more than goes
/// into one piece.
fn extent(orders: &[Arc<Order>], outbox: Outbox) -> Extent {
    if outbox == Outbox::On {
        return Extent::Transaction;
    }
    let mut tasks = orders.iter().flat_map(|order| &order.tasks);
    let bytes: usize = tasks.clone().map(row_bytes_max).sum();
    if bytes <= postgres::dialect::PIECE_BYTES_MAX && tasks.all(|task| task.unique_key.is_none()) {
        Extent::Statement
    } else {
        Extent::Transaction
    }
}

/// No task's row is longer than this.
fn row_bytes_max(task: &NewTask) -> usize {
    /// All columns but two are numbers.
    const NUMBERS: usize = 20 * size_of::<i64>();
    NUMBERS + task.requested_by.len() + json_bytes_max(&task.payload)
}

/// No way of writing `value` is longer than this.
fn json_bytes_max(value: &Value) -> usize {
    /// The longest number, with what stands around a value.
    const PLAIN: usize = 32;
    /// `\u0000`.
    const ESCAPED: usize = 6;
    PLAIN
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => ESCAPED * text.len(),
            Value::Array(values) => values.iter().map(json_bytes_max).sum(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| PLAIN + ESCAPED * name.len() + json_bytes_max(value))
                .sum(),
        }
}
