//! `/events`: messages from other components come in here, and are listed.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{Operator, Viewer};
use super::body::{BATCH_BYTES_MAX, BODY_BYTES_MAX, Head, parse};
use super::csv::{Row, report};
use super::error::{ApiError, Code};
use super::paging::{ListView, PageParams};
use super::query::{FromParams, Params, Query, SpanParams};
use super::state::ApiState;
use crate::domain::event::CloudEvent;
use crate::domain::id::{EventId, TaskId};
use crate::domain::time::Timestamp;
use crate::intake::{self, IntakeError};
use crate::store::event::EventFilter;
use crate::store::page::Page;

/// Media type of one event (CloudEvents HTTP binding, structured mode).
const SINGLE: &str = "application/cloudevents+json";
/// Media type of several events (batched mode).
const BATCH: &str = "application/cloudevents-batch+json";

/// What was accepted. It is on disk when this is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedView {
    /// New events.
    accepted: u32,
    /// Events whose `source` and `id` were known already.
    duplicates: u32,
    /// Tasks that the new events made.
    #[schema(value_type = Vec<String>)]
    tasks: Vec<TaskId>,
}

/// One event or a batch, as the content type says.
#[derive(Debug)]
pub(super) enum EventsBody {
    One(Box<CloudEvent>),
    Batch(Vec<CloudEvent>),
}

impl FromRequest for EventsBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let head = Head::of(request);
        let payload = payload.take();
        Box::pin(async move {
            let media = head.media(&[SINGLE, BATCH])?;
            if media == SINGLE {
                let bytes = head.read(payload, BODY_BYTES_MAX).await?;
                parse(&bytes).map(|event| Self::One(Box::new(event)))
            } else {
                let bytes = head.read(payload, BATCH_BYTES_MAX).await?;
                parse(&bytes).map(Self::Batch)
            }
        })
    }
}

impl EventsBody {
    /// The events, and whether their errors carry a position.
    fn into_parts(self) -> (Vec<CloudEvent>, bool) {
        match self {
            Self::One(event) => (vec![*event], false),
            Self::Batch(events) => (events, true),
        }
    }
}

/// Accepts one CloudEvent or a batch: durable, each once, with the tasks they make.
#[utoipa::path(
    post, path = "/api/v1/events", tag = "events", operation_id = "event_publish",
    request_body(content((CloudEvent = "application/cloudevents+json"), (Vec<CloudEvent> = "application/cloudevents-batch+json"))),
    responses((status = 202, description = "The events are on disk", body = AcceptedView))
)]
pub(super) async fn publish(
    _: Operator,
    _: Query<()>,
    body: EventsBody,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let (events, numbered) = body.into_parts();
    let done = intake::accept(&state.store, state.registry(), state.clock.as_ref(), events).await;
    let done = done.map_err(|error| refusal(error, numbered))?;
    let view = AcceptedView {
        accepted: done.accepted,
        duplicates: done.duplicates,
        tasks: done.tasks,
    };
    Ok(HttpResponse::Accepted().json(view))
}

fn refusal(error: IntakeError, numbered: bool) -> ApiError {
    match error {
        IntakeError::Count { max } => {
            ApiError::new(Code::Invalid, format!("a batch holds 1 to {max} events"))
        }
        IntakeError::Invalid(errors) => {
            let place = |(index, mut error): (usize, crate::domain::robot::FieldError)| {
                if numbered {
                    let dot = if error.field.is_empty() { "" } else { "." };
                    error.field = format!("[{index}]{dot}{}", error.field);
                }
                error
            };
            ApiError::fields(Code::Invalid, errors.into_iter().map(place).collect())
        }
        IntakeError::Store(error) => error.into(),
    }
}

/// An accepted event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// robotd's own number of it.
    #[schema(value_type = String)]
    id: EventId,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// What arrived.
    event: CloudEvent,
}

impl Row for EventView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "received_at",
        "event.type",
        "event.source",
        "event.id",
        "event.subject",
        "event.time",
        "event.data",
    ];
}

/// Filters of the report.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Only events of this type.
    #[param(rename = "type", value_type = Option<String>, min_length = 1, max_length = 256, nullable = false)]
    kind: Option<String>,
    /// Only events of this source.
    #[param(value_type = Option<String>, min_length = 1, max_length = 256, nullable = false)]
    source: Option<String>,
}

impl FromParams for EventParams {
    fn from_params(params: &mut Params<'_>) -> Self {
        Self {
            kind: params.text("type", 256),
            source: params.text("source", 256),
        }
    }
}

/// Accepted events, newest first. CSV by `Accept: text/csv`.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "event_list",
    params(PageParams, EventParams, SpanParams),
    responses((status = 200, description = "Events",
        content((ListView<EventView> = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    _: Viewer,
    Query((page, only, span)): Query<(PageParams, EventParams, SpanParams)>,
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let filter = EventFilter {
        kind: only.kind,
        source: only.source,
        from: span.from,
        to: span.to,
    };
    let events = state.store.event_list(filter, page.request()).await?;
    let view = |record: crate::domain::event::EventRecord| EventView {
        id: record.id,
        received_at: record.received_at,
        event: record.event,
    };
    report(
        &request,
        Page {
            items: events.items.into_iter().map(view).collect(),
            next: events.next,
        },
    )
}
