//! `/stream`: every change of task, process and robot as server-sent events; and, for people who look at a page,
//! what kinds of things changed, at most once a second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse, Responder};
use actix_web_lab::sse::{Data, Event, Sse};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;

use super::auth::{Caller, Viewer, caller_of};
use super::error::{ApiError, Code};
use super::query::Query;
use super::state::ApiState;
use crate::domain::id::RobotId;
use crate::store::signal::Signal;

/// Has nginx hand on each piece of an answer as it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Silence after which a comment is sent, so that proxies keep the line open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often an open stream looks whether its token still lives.
const TOKEN_CHECK: Duration = Duration::from_secs(30);
/// Shortest time between two digests.
const DIGEST_EVERY: Duration = Duration::from_secs(1);
/// How long the first change waits for those that belong to it.
const DIGEST_GATHER: Duration = Duration::from_millis(50);

/// Changes as they are committed. `lagged` says that some were missed: read the lists again.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "stream", operation_id = "stream",
    responses((status = 200, description = "Events `task`, `process`, `robot` and `lagged`, until the node ends",
        body = String, content_type = "text/event-stream"))
)]
pub(super) async fn open(
    Viewer(caller): Viewer,
    _: Query<()>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let listener = Listener::new(&state, caller)?;
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.event().await?;
        Some((event, listener))
    });
    Ok(answer(&request, events))
}

/// The kinds of things that changed, as events `change` of `{"topics":["process","robot","task"]}`.
///
/// At most one in [`DIGEST_EVERY`]: a reader that reads its page again needs no more, and a busy node tells no more.
///
/// # Errors
/// Too many open streams.
pub async fn digest(
    Viewer(caller): Viewer,
    _: Query<()>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let listener = Listener::new(&state, caller)?;
    let events = stream::unfold((listener, None), |(mut listener, last)| async move {
        let (event, at) = listener.digest(last).await?;
        Some((event, (listener, Some(at))))
    });
    Ok(answer(&request, events))
}

fn answer(request: &HttpRequest, events: impl Stream<Item = Event> + 'static) -> HttpResponse {
    let mut answer = Sse::from_infallible_stream(events)
        .with_keep_alive(KEEP_ALIVE)
        .respond_to(request)
        .map_into_boxed_body();
    // nginx would gather events before it hands them on.
    let headers = answer.headers_mut();
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    answer
}

/// One open stream; its place among [`super::state::STREAMS_MAX`] is free again when it is dropped.
struct Listener {
    signals: Receiver<Signal>,
    next_check: Instant,
    caller: Caller,
    state: ApiState,
    _place: OwnedSemaphorePermit,
}

/// What a listener hears.
enum Heard {
    Change(Signal),
    Missed(u64),
}

impl Listener {
    fn new(state: &ApiState, caller: Caller) -> Result<Self, ApiError> {
        let place = Arc::clone(&state.streams).try_acquire_owned();
        let place = place
            .map_err(|_| ApiError::new(Code::Overloaded, "too many event streams are open"))?;
        Ok(Self {
            signals: state.store.changes(),
            next_check: Instant::now() + TOKEN_CHECK,
            caller,
            state: state.clone(),
            _place: place,
        })
    }

    /// The next event; `None` when the node ends or the token was withdrawn.
    async fn event(&mut self) -> Option<Event> {
        loop {
            match self.heard().await? {
                Heard::Change(signal) => {
                    if let Some((name, body)) = self.change(&signal) {
                        return Some(Data::new(body.to_string()).event(name).into());
                    }
                }
                Heard::Missed(missed) => {
                    let body = json!({"missed": missed}).to_string();
                    return Some(Data::new(body).event("lagged").into());
                }
            }
        }
    }

    /// The next digest and when it was made; `last` is when the one before was.
    async fn digest(&mut self, last: Option<Instant>) -> Option<(Event, Instant)> {
        let mut topics: BTreeSet<&str> = BTreeSet::new();
        while topics.is_empty() {
            topics.extend(self.heard().await?.topics());
        }
        let soon = Instant::now() + DIGEST_GATHER;
        let at = last.map_or(soon, |last| soon.max(last + DIGEST_EVERY));
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(at) => break,
                heard = self.heard() => topics.extend(heard?.topics()),
            }
        }
        let body = json!({"topics": topics}).to_string();
        Some((Data::new(body).event("change").into(), at))
    }

    async fn heard(&mut self) -> Option<Heard> {
        loop {
            tokio::select! {
                () = self.state.shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(self.next_check) => {
                    self.next_check = Instant::now() + TOKEN_CHECK;
                    // A database that does not answer now is no reason to send a reader away.
                    if let Ok(None) = caller_of(&self.state, self.caller.hash).await {
                        return None;
                    }
                }
                signal = self.signals.recv() => match signal {
                    Ok(signal) => return Some(Heard::Change(signal)),
                    Err(RecvError::Lagged(missed)) => return Some(Heard::Missed(missed)),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    /// What a signal says to readers; signals between parts of the program say nothing.
    fn change(&self, signal: &Signal) -> Option<(&'static str, Value)> {
        match signal {
            Signal::Task { id, robot, status } => Some((
                "task",
                json!({"id": id, "robot": self.name(*robot), "status": status}),
            )),
            Signal::Process { id, robot, outcome } => Some((
                "process",
                json!({"id": id, "robot": self.name(*robot), "outcome": outcome}),
            )),
            Signal::Robot(robot) => Some(("robot", json!({"robot": self.name(*robot)}))),
            Signal::TasksReady(_)
            | Signal::Scheduled(_)
            | Signal::Inventory
            | Signal::Syslog
            | Signal::Configured(_)
            | Signal::Cancel { .. }
            | Signal::Nodes
            | Signal::Shares
            | Signal::Elsewhere
            | Signal::Anything => None,
        }
    }

    fn name(&self, robot: RobotId) -> Option<String> {
        self.state
            .registry()
            .by_id(robot)
            .map(|entry| entry.name().to_owned())
    }
}

impl Heard {
    /// The kinds of things that changed; who missed something must look at all.
    fn topics(&self) -> &'static [&'static str] {
        match self {
            Self::Change(Signal::Task { .. }) => &["task"],
            Self::Change(Signal::Process { .. }) => &["process"],
            Self::Change(Signal::Robot(_)) => &["robot"],
            Self::Change(Signal::Inventory) => &["inventory"],
            Self::Change(
                Signal::TasksReady(_)
                | Signal::Scheduled(_)
                | Signal::Syslog
                | Signal::Configured(_)
                | Signal::Cancel { .. }
                | Signal::Nodes
                | Signal::Shares
                | Signal::Anything,
            ) => &[],
            Self::Change(Signal::Elsewhere) => &["process", "task"],
            Self::Missed(_) => &["inventory", "process", "robot", "task"],
        }
    }
}
