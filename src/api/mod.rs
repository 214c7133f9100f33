//! The HTTP API: JSON for other programs and for the panel.
//!
//! `table()` is the whole URL table; nothing else registers routes. A handler checks, makes one call of
//! the store or of the runtime's handle, and shows the result. Who may call it is the first argument of
//! its signature. The API owns no state but counters, a two-second cache of tokens and the open streams.
//! The views are public: the panel shows what the API answers. Conventions are in `docs/API.md`.

pub mod activity;
pub mod alerts;
pub mod audit;
pub mod auth;
pub mod body;
pub mod csv;
pub mod docs;
pub mod error;
pub mod etag;
pub mod events;
pub mod executions;
pub mod health;
pub mod imports;
pub mod inventory;
pub mod metrics;
pub mod nodes;
mod object;
pub mod observe;
pub mod openapi;
pub mod operation_view;
pub mod operations;
pub mod paging;
pub mod path;
pub mod preview;
pub mod process_log;
pub mod process_view;
pub mod processes;
pub mod query;
pub mod queue_history;
pub mod robot_view;
pub mod robots;
pub mod schema;
pub mod state;
pub mod stats;
pub mod stream;
pub mod table;
pub mod task_approvals;
pub mod task_view;
pub mod tasks;
pub mod ticks;
pub mod time;

use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, web};

pub use auth::{Admin, Caller, Operator, Viewer};
pub use error::{ApiError, Code};
pub use metrics::count_outcomes;
pub use openapi::openapi;
pub use state::{ApiState, STREAMS_MAX};
pub use table::routes;

use table::{Endpoint, at};

/// Every path of the API with its methods.
fn table() -> Vec<Endpoint> {
    let mut all = vec![
        // What programs call thousands of times a second stands first: paths are tried in this order.
        at("/api/v1/events").get(events::list).post(events::publish),
        at("/api/v1/tasks").get(tasks::list).post(tasks::create),
        at("/api/v1/tasks/batch").post(tasks::batch),
        at("/health").get(health::tree),
        at("/health/live").get(health::live),
        at("/health/ready").get(health::ready),
        at("/metrics").get(metrics::scrape),
        at("/api/v1/robots").get(robots::list),
        at("/api/v1/robots/{name}")
            .get(robots::get)
            .patch(robots::change),
        at("/api/v1/robots/{name}/reset").post(robots::reset),
        at("/api/v1/robots/{name}/run").post(robots::run),
        at("/api/v1/robots/{name}/preview").post(preview::show),
        at("/api/v1/tasks/{id}").get(tasks::get),
        at("/api/v1/tasks/{id}/cancel").post(tasks::cancel),
        at("/api/v1/tasks/{id}/retry").post(tasks::retry),
        at("/api/v1/task-approvals").get(task_approvals::list),
        at("/api/v1/task-approvals/{id}").get(task_approvals::get),
        at("/api/v1/task-approvals/{id}/{decision}").post(task_approvals::decide),
        at("/api/v1/processes").get(processes::list),
        at("/api/v1/processes/{id}").get(processes::get),
        at("/api/v1/processes/{id}/log").get(process_log::read),
        at("/api/v1/executions").get(executions::list),
        at("/api/v1/executions/{id}/cancel").post(executions::cancel),
        at("/api/v1/operations")
            .get(operations::list)
            .post(operations::create),
        at("/api/v1/operations/{id}").get(operations::get),
        at("/api/v1/operations/{id}/cancel").post(operations::cancel),
        at("/api/v1/imports")
            .get(imports::list)
            .post(imports::create),
        at("/api/v1/imports/template.xlsx").get(imports::template),
        at("/api/v1/imports/{id}").get(imports::get),
        at("/api/v1/imports/{id}/rows").get(imports::rows),
        at("/api/v1/imports/{id}/result.xlsx").get(imports::result),
        at("/api/v1/imports/{id}/cancel").post(imports::cancel),
        at("/api/v1/ticks").get(ticks::list),
        at("/api/v1/audit").get(audit::list),
        at("/api/v1/alerts").get(alerts::list),
        at("/api/v1/nodes").get(nodes::list),
        at("/api/v1/stats").get(stats::show),
        at("/api/v1/stats/activity").get(activity::show),
        at("/api/v1/stats/queue").get(queue_history::show),
        at("/api/v1/stream").get(stream::open),
        at("/api/v1/openapi.json").get(docs::description),
        at("/api/v1/docs").get(docs::folder),
        at("/api/v1/docs/").get(docs::index),
        at("/api/v1/docs/{file}").get(docs::page),
    ];
    all.extend(nouns());
    all
}

/// The lines of the inventory: all nouns have the same methods, see `inventory`.
fn nouns() -> Vec<Endpoint> {
    let things = |all: &'static str, one: &'static str| {
        [
            at(all).get(inventory::list).post(inventory::create),
            at(one)
                .get(inventory::get)
                .patch(inventory::change)
                .delete(inventory::remove),
        ]
    };
    let mut all = vec![
        at("/api/v1/credentials/{id}/view").post(inventory::view_secret),
        at("/api/v1/credentials/{id}/views").get(inventory::views::list),
        at("/api/v1/devices/{id}/connectivity-tests").get(inventory::connectivity_tests::list),
        at("/api/v1/certificate-issuers/{id}/key").post(inventory::issuer_key),
        at("/api/v1/certificate-automations/{id}/renew").post(inventory::renew_certificate),
        at("/api/v1/certificate-automations/{id}/approve").post(inventory::approve_renewal),
        at("/api/v1/certificates/{id}/revoke").post(inventory::revoke_certificate),
    ];
    for lines in [
        things("/api/v1/sites", "/api/v1/sites/{id}"),
        things("/api/v1/devices", "/api/v1/devices/{id}"),
        things("/api/v1/credentials", "/api/v1/credentials/{id}"),
        things(
            "/api/v1/credential-policies",
            "/api/v1/credential-policies/{id}",
        ),
        things("/api/v1/users", "/api/v1/users/{id}"),
        things("/api/v1/user-groups", "/api/v1/user-groups/{id}"),
        things("/api/v1/certificates", "/api/v1/certificates/{id}"),
        things(
            "/api/v1/operation-templates",
            "/api/v1/operation-templates/{id}",
        ),
        things(
            "/api/v1/certificate-issuers",
            "/api/v1/certificate-issuers/{id}",
        ),
        things(
            "/api/v1/certificate-automations",
            "/api/v1/certificate-automations/{id}",
        ),
        things(
            "/api/v1/certificate-bindings",
            "/api/v1/certificate-bindings/{id}",
        ),
        things("/api/v1/task-definitions", "/api/v1/task-definitions/{id}"),
    ] {
        all.extend(lines);
    }
    all
}

/// Registers the API: its table, and the answer to every path below `/api` that is not in it.
///
/// The application sets the size of headers and the time limits of connections, and names
/// [`not_found`] as its default service, so that other unknown paths are answered alike.
pub fn configure(config: &mut web::ServiceConfig, state: ApiState) {
    config.app_data(web::Data::new(state));
    for endpoint in table() {
        config.service(endpoint.resource().wrap(from_fn(observe::observe)));
    }
    config.service(web::scope("/api").default_service(web::to(not_found)));
}

/// The answer to an unknown path.
///
/// # Errors
/// Always.
pub async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::missing("path", request.path()))
}
