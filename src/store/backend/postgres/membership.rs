//! The session by which a process belongs to a database: its advisory lock says that the process is the only one, or one
//! of several nodes; several tell each other through it what they did. It is kept, and taken again when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_postgres::{AsyncMessage, Notification};

use super::super::health::Health;
use super::connect::{CONNECT_TIMEOUT, Target};
use super::thread_runtime::ThreadRuntime;
use crate::store::note::Note;
use crate::store::signal::Signal;
use crate::store::{StoreError, StoreResult};

/// The key of the lock: "robotd" and 2, in ASCII.
pub(super) const LOCK: i64 = 0x0072_6f62_6f74_6402;
/// Where nodes listen.
const CHANNEL: &str = "robotd";

/// How long the lock is tried for: the session of a killed process ends when its server process
/// notices, which takes a moment.
const TRIES: u32 = 25;
/// Pause between tries, also between attempts to have a lost session again.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a node that starts looks whether it is alone, for the same reason. One that finds others takes
/// up what a dead one left only when that one's lease ends.
const ALONE_TRIES: u32 = 5;
/// How often the session is used, so that a silent loss is noticed.
const CHECK: Duration = Duration::from_secs(5);
/// Shortest time between two notes. The server lets only one transaction at a time commit a note; a hundred of them
/// in a second are nothing to it, one for each registered task would be.
const NOTE_EVERY: Duration = Duration::from_millis(10);
/// The others are told no more often than this that tasks and processes changed here: people look at that.
const DIGEST_EVERY: Duration = Duration::from_millis(500);
/// Signals that wait to be told, and notes to be read; what is beyond is lost, and found by the next look.
pub(in crate::store) const WAITING_MAX: usize = 4_096;

/// Takes what other nodes told.
pub(in crate::store) type Deliver = Box<dyn Fn(Signal) + Send>;

/// What a node hears and tells.
pub(in crate::store) struct Talk {
    /// Takes what it hears.
    pub(in crate::store) deliver: Deliver,
    /// What it is to tell.
    pub(in crate::store) told: mpsc::Receiver<Signal>,
    /// Whether [`Signal::Elsewhere`] is on its way to the others.
    pub(in crate::store) stirred: Arc<AtomicBool>,
}

/// The lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    /// Its end tells the thread to end the session.
    _until: oneshot::Sender<()>,
    registered: Arc<Notify>,
}

impl Held {
    /// Whoever starts from now on finds this node in the table of nodes.
    pub(super) fn registered(&self) {
        self.registered.notify_one();
    }
}

/// What a process wants the session for.
pub(super) enum Purpose {
    /// To be the only one.
    Alone,
    /// To be a node beside others.
    Member(Talk),
}

/// Takes the lock in a session on a thread of its own; answers also whether nobody else has a part in the database.
pub(super) async fn hold(
    target: Arc<Target>,
    health: Arc<Health>,
    purpose: Purpose,
) -> StoreResult<(Held, bool)> {
    let (until, ended) = oneshot::channel();
    let (reply, answer) = oneshot::channel();
    let registered = Arc::new(Notify::new());
    let member = match purpose {
        Purpose::Alone => None,
        Purpose::Member(talk) => Some(Member {
            talk,
            next_note: Instant::now(),
            next_digest: None,
            registered: Arc::clone(&registered),
        }),
    };
    let work = move || match ThreadRuntime::start() {
        Ok(runtime) => runtime.run(keep(&target, &health, member, reply, ended)),
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
    let alone = answer
        .await
        .map_err(|_| StoreError::Unavailable("the thread of the lock has ended".to_owned()))??;
    let held = Held {
        _until: until,
        registered,
    };
    Ok((held, alone))
}

/// Takes the lock, answers, and keeps it until `ended`.
async fn keep(
    target: &Target,
    health: &Health,
    mut member: Option<Member>,
    reply: oneshot::Sender<StoreResult<bool>>,
    mut ended: oneshot::Receiver<()>,
) {
    let first = match &member {
        None => alone(target, TRIES).await,
        Some(_) => start_among_others(target).await,
    };
    let (answer, mut session) = match first {
        Ok(session) => (Ok(session.alone), Some(session)),
        Err(error) => (Err(error), None),
    };
    let failed = answer.is_err();
    if reply.send(answer).is_err() || failed {
        return;
    }
    loop {
        let watch = async {
            match (session.take(), &mut member) {
                (Some(session), Some(member)) => member.attend(session).await,
                (Some(session), None) => session.until_lost().await,
                (None, _) => tokio::time::sleep(PAUSE).await,
            }
        };
        tokio::select! {
            _ = &mut ended => return,
            () = watch => {}
        }
        let again = match &member {
            None => alone(target, 1).await,
            Some(_) => among_others(target, 1).await,
        };
        match again {
            Ok(taken) => {
                health.set_displaced(false);
                session = Some(taken);
                if let Some(member) = &member {
                    (member.talk.deliver)(Signal::Anything);
                }
            }
            Err(StoreError::Conflict { what }) => {
                health.set_displaced(true);
                log::error!("{what} since this one lost its connection; this one must not go on");
            }
            Err(error) => log::debug!("the database's lock is not held: {error}"),
        }
    }
}

/// A session that holds the lock.
struct Session {
    client: tokio_postgres::Client,
    notes: mpsc::Receiver<Notification>,
    /// Whether it keeps everybody else away.
    alone: bool,
}

/// A session that keeps all others away. `Conflict` when another one still has a part after `tries`.
async fn alone(target: &Target, tries: u32) -> StoreResult<Session> {
    let mut session = Session::open(target).await?;
    session.alone = session.lock("pg_try_advisory_lock", tries).await?;
    if session.alone {
        Ok(session)
    } else {
        Err(conflict("another robotd works on this database"))
    }
}

/// A session beside others that listens. `Conflict` when somebody keeps all others away after `tries`.
async fn among_others(target: &Target, tries: u32) -> StoreResult<Session> {
    let session = Session::open(target).await?;
    session.take_part(tries).await?;
    Ok(session)
}

/// The same; where there is nobody else yet, nobody else comes until this node is registered.
async fn start_among_others(target: &Target) -> StoreResult<Session> {
    let mut session = Session::open(target).await?;
    session.alone = session.lock("pg_try_advisory_lock", ALONE_TRIES).await?;
    session.take_part(TRIES).await?;
    Ok(session)
}

fn conflict(what: &str) -> StoreError {
    StoreError::Conflict {
        what: what.to_owned(),
    }
}

impl Session {
    async fn open(target: &Target) -> StoreResult<Self> {
        let (client, mut connection) = target.open().await?;
        let (told, notes) = mpsc::channel(WAITING_MAX);
        // On this thread's own runtime, and it ends with the client.
        tokio::runtime::Handle::current().spawn(async move {
            let mut messages = stream::poll_fn(|context| connection.poll_message(context));
            while let Some(message) = messages.next().await {
                match message {
                    // Where too many wait one is lost, which costs its readers some time.
                    Ok(AsyncMessage::Notification(note)) => drop(told.try_send(note)),
                    Ok(_) => {}
                    Err(error) => {
                        return log::warn!("the session of the database's lock ended: {error}");
                    }
                }
            }
        });
        Ok(Self {
            client,
            notes,
            alone: false,
        })
    }

    /// Tries for the lock; answers whether it was got.
    async fn lock(&self, function: &str, tries: u32) -> StoreResult<bool> {
        let take = format!("SELECT {function}($1)");
        for attempt in 1..=tries {
            if answered(self.client.query_one(&take, &[&LOCK]))
                .await?
                .get::<_, bool>(0)
            {
                return Ok(true);
            }
            if attempt < tries {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(false)
    }

    async fn take_part(&self, tries: u32) -> StoreResult<()> {
        if !self.lock("pg_try_advisory_lock_shared", tries).await? {
            return Err(conflict("another robotd has this database for itself"));
        }
        let listen = format!("LISTEN {CHANNEL}");
        answered(self.client.batch_execute(&listen)).await
    }

    async fn check(&self) -> StoreResult<()> {
        answered(self.client.batch_execute("SELECT 1")).await
    }

    /// Returns when the session is gone.
    async fn until_lost(self) {
        loop {
            tokio::time::sleep(CHECK).await;
            if let Err(error) = self.check().await {
                return log::warn!("the session of the database's lock is lost: {error}");
            }
        }
    }
}

/// What a statement came to. None of this session takes a moment: where no answer comes, none ever will.
async fn answered<T>(
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> StoreResult<T> {
    match tokio::time::timeout(CONNECT_TIMEOUT, statement).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
        Err(_elapsed) => Err(StoreError::Unavailable(
            "the server does not answer".to_owned(),
        )),
    }
}

/// One of several nodes.
struct Member {
    talk: Talk,
    next_note: Instant,
    /// When the others are to be told that something changed here.
    next_digest: Option<Instant>,
    registered: Arc<Notify>,
}

impl Member {
    /// Hears and tells until the session is gone.
    async fn attend(&mut self, session: Session) {
        if let Err(error) = self.converse(session).await {
            log::warn!("the session of the database's lock is lost: {error}");
        }
    }

    async fn converse(&mut self, mut session: Session) -> StoreResult<()> {
        let row = session.client.query_one("SELECT pg_backend_pid()", &[]);
        let own: i32 = answered(row).await?.get(0);
        loop {
            tokio::select! {
                note = session.notes.recv() => match note {
                    Some(note) if note.process_id() != own => {
                        for signal in Note::read(note.payload()) {
                            (self.talk.deliver)(signal);
                        }
                    }
                    Some(_) => {}
                    None => return Err(StoreError::Unavailable("it was closed".to_owned())),
                },
                signal = next(&mut self.talk.told, self.next_note) => self.tell(&session, signal).await?,
                () = at(self.next_digest) => self.digest(&session).await?,
                () = self.registered.notified(), if session.alone => {
                    let unlock = session.client.query_one("SELECT pg_advisory_unlock($1)", &[&LOCK]);
                    answered(unlock).await?;
                    session.alone = false;
                }
                () = tokio::time::sleep(CHECK) => session.check().await?,
            }
        }
    }

    /// Tells the others `first` and all that has come with it.
    async fn tell(&mut self, session: &Session, first: Signal) -> StoreResult<()> {
        let mut note = Note::default();
        let mut next = Ok(first);
        while let Ok(signal) = next {
            if signal == Signal::Elsewhere {
                self.next_digest = Some(Instant::now() + DIGEST_EVERY);
            } else {
                note.add(signal);
            }
            next = self.talk.told.try_recv();
        }
        if note == Note::default() {
            return Ok(());
        }
        self.send(session, &note).await
    }

    /// Tells the others that something changed here.
    async fn digest(&mut self, session: &Session) -> StoreResult<()> {
        self.next_digest = None;
        self.talk.stirred.store(false, Ordering::Relaxed);
        let mut note = Note::default();
        note.add(Signal::Elsewhere);
        self.send(session, &note).await
    }

    async fn send(&mut self, session: &Session, note: &Note) -> StoreResult<()> {
        let text = note.text();
        let notify = "SELECT pg_notify($1, $2)";
        answered(session.client.execute(notify, &[&CHANNEL, &text])).await?;
        self.next_note = Instant::now() + NOTE_EVERY;
        Ok(())
    }
}

/// Returns at an instant, or never.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The next signal to be told, not before its time; never where there will be none.
async fn next(told: &mut mpsc::Receiver<Signal>, not_before: Instant) -> Signal {
    tokio::time::sleep_until(not_before).await;
    match told.recv().await {
        Some(signal) => signal,
        None => std::future::pending().await,
    }
}
