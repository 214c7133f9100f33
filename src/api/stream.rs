//! `/stream`: every change of task, process and robot as server-sent events.

use std::sync::Arc;
use std::time::Duration;

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

/// Silence after which a comment is sent, so that proxies keep the line open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often an open stream looks whether its token still lives.
const TOKEN_CHECK: Duration = Duration::from_secs(30);

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
    let place = Arc::clone(&state.streams).try_acquire_owned();
    let place =
        place.map_err(|_| ApiError::new(Code::Overloaded, "too many event streams are open"))?;
    let listener = Listener {
        signals: state.store.changes(),
        next_check: Instant::now() + TOKEN_CHECK,
        caller,
        state: state.get_ref().clone(),
        _place: place,
    };
    Ok(Sse::from_infallible_stream(events(listener))
        .with_keep_alive(KEEP_ALIVE)
        .respond_to(&request))
}

/// One open stream; its place among [`super::state::STREAMS_MAX`] is free again when it is dropped.
struct Listener {
    signals: Receiver<Signal>,
    next_check: Instant,
    caller: Caller,
    state: ApiState,
    _place: OwnedSemaphorePermit,
}

fn events(listener: Listener) -> impl Stream<Item = Event> {
    stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((event, listener))
    })
}

impl Listener {
    /// The next event; `None` when the node ends or the token was withdrawn.
    async fn next(&mut self) -> Option<Event> {
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
                    Ok(signal) => {
                        if let Some((name, body)) = self.change(&signal) {
                            return Some(Data::new(body.to_string()).event(name).into());
                        }
                    }
                    Err(RecvError::Lagged(missed)) => {
                        return Some(Data::new(json!({"missed": missed}).to_string()).event("lagged").into());
                    }
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
            | Signal::Syslog
            | Signal::Configured(_)
            | Signal::Cancel { .. }
            | Signal::Nodes
            | Signal::Shares
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
