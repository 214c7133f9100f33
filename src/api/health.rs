//! `/health*`: for load balancers, service managers and monitoring; no token, never a wait.
//!
//! A 503 of these three is not a problem document: the monitoring system reads the same body in both cases.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::state::ApiState;
use crate::runtime::handle::{HealthStatus, NodeHealth, RobotHealth};

/// How the node does.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    /// The one word.
    pub status: HealthStatus,
    /// Why it is not `ok`; empty when it is.
    pub reasons: Vec<String>,
    /// Whether the control thread answers.
    pub control_alive: bool,
    /// Whether the database answers.
    pub store_reachable: bool,
    /// Whether the node is shutting down.
    pub draining: bool,
    /// Every robot on this node.
    pub robots: Vec<RobotHealth>,
}

/// A yes or no.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProbeView {
    /// `ok` or `failing`.
    pub status: HealthStatus,
    /// Why it is failing; empty when it is not.
    pub reasons: Vec<String>,
}

/// The supervisor's tree.
#[utoipa::path(
    get, path = "/health", tag = "health", operation_id = "health", security(()),
    responses(
        (status = 200, description = "The node is ok or degraded: work goes on", body = HealthView),
        (status = 503, description = "The node is failing: work does not go on", body = HealthView),
    )
)]
pub(super) async fn tree(state: web::Data<ApiState>) -> HttpResponse {
    let view = read(&state);
    HttpResponse::build(code(view.status != HealthStatus::Failing)).json(view)
}

/// The supervisor's tree; never a wait.
#[must_use]
pub fn read(state: &ApiState) -> HealthView {
    let NodeHealth {
        status,
        reasons,
        control_alive,
        store_reachable,
        draining,
        robots,
    } = state.handle.health();
    HealthView {
        status,
        reasons,
        control_alive,
        store_reachable,
        draining,
        robots,
    }
}

/// Whether the process should be left alone; a `failing` one should be restarted.
#[utoipa::path(
    get, path = "/health/live", tag = "health", operation_id = "health_live", security(()),
    responses(
        (status = 200, description = "The node's control thread answers", body = ProbeView),
        (status = 503, description = "It does not; restart the node", body = ProbeView),
    )
)]
pub(super) async fn live(state: web::Data<ApiState>) -> HttpResponse {
    let health = state.handle.health();
    probe(&[(health.control_alive, "the control thread does not answer")])
}

/// Whether the node should be sent requests.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "health_ready", security(()),
    responses(
        (status = 200, description = "The node takes requests", body = ProbeView),
        (status = 503, description = "It does not, for now", body = ProbeView),
    )
)]
pub(super) async fn ready(state: web::Data<ApiState>) -> HttpResponse {
    let health = state.handle.health();
    probe(&[
        (health.control_alive, "the control thread does not answer"),
        (health.store_reachable, "the database cannot be reached"),
        (!health.draining, "the node is shutting down"),
    ])
}

fn probe(conditions: &[(bool, &str)]) -> HttpResponse {
    let reasons: Vec<_> = conditions
        .iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, reason)| (*reason).to_owned())
        .collect();
    let well = reasons.is_empty();
    let status = if well {
        HealthStatus::Ok
    } else {
        HealthStatus::Failing
    };
    HttpResponse::build(code(well)).json(ProbeView { status, reasons })
}

const fn code(well: bool) -> StatusCode {
    if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
