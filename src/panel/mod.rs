//! The web panel: pages for people, rendered here and made live by a few small scripts.
//!
//! `table()` is the whole URL table. A page is a view struct and its template: the handler asks `api` for what the
//! page shows (the panel has no query of its own), and a template shows it. Who may see or order something is the first
//! argument of a handler, as in `api`; what one may not do is not offered. Every change is a form that works without
//! scripts; the scripts show it in place. All texts stand in `text.rs`, all words for values in `words.rs`.
//!
//! A new page: a file here with its view struct and handler, `templates/NAME.html` that extends `layout.html` and has what
//! may change in elements with an id and `data-live` (rows in `data-rows` with a `data-key` each), a line in `table()`, a
//! place in `shell::PLACES` with the topics that it is read again for, and a test in `tests/it/panel/`. A report is a
//! `list::Report`, with a template that extends `report.html`.
//!
//! The panel owns no state: a session is a signed cookie (`session`), everything else is read anew. Why it is so:
//! `docs/decisions/0010-panel.md`.

mod approvals;
mod assets;
mod audit;
mod certificates;
mod executions;
mod form;
mod guard;
mod imports;
mod inventory;
mod latency;
mod list;
mod log;
mod meaning;
mod moment;
mod operations;
mod overview;
mod plain;
mod problem;
mod process;
mod processes;
mod robots;
mod schedule;
mod session;
mod shell;
mod sign_in;
mod spark;
mod task;
mod tasks;
mod text;
mod ticks;
mod waiting;
mod when;
mod words;

use actix_web::http::header;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{HttpRequest, HttpResponse, web};

use self::approvals::Approvals;
use self::audit::Audit;
use self::executions::Executions;
use self::imports::{Imports, Rows};
use self::inventory::Things;
use self::operations::Operations;
use self::processes::Processes;
use self::tasks::Tasks;
use self::ticks::Ticks;
use crate::api;
use crate::api::table::{Endpoint, at};
use crate::api::{ApiError, csv, observe, stream};
use crate::vault::{MasterKey, Signer};

/// What the panel signs for: a session of one purpose is no session of another.
const PURPOSE: &str = "panel session";

/// What the panel has beside the API's state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Panel {
    signer: std::sync::Arc<Signer>,
}

impl Panel {
    /// The panel of the nodes that share this key: a session of one of them is a session of all.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self {
            signer: std::sync::Arc::new(Signer::new(master, PURPOSE)),
        }
    }
}

/// Every path of the panel with its methods.
fn table() -> Vec<Endpoint> {
    vec![
        at("/").get(overview::page),
        at("/sign-in").get(sign_in::page).post(sign_in::enter),
        at("/sign-out").post(sign_in::leave),
        at("/live").get(stream::digest),
        at("/robots").get(robots::page),
        at("/robots/switch")
            .get(robots::switch::page)
            .post(robots::switch::apply),
        at("/robots/{name}").get(robots::one::page),
        at("/robots/{name}/change")
            .get(robots::change::page)
            .post(robots::change::apply),
        at("/robots/{name}/preview").post(robots::preview::show),
        at("/robots/{name}/reset").post(robots::change::reset),
        at("/robots/{name}/run").post(robots::one::run),
        at("/executions").get(list::page::<Executions>),
        at("/executions.csv").get(list::table::<Executions>),
        at("/executions/{id}/cancel").post(executions::cancel),
        at("/processes").get(list::page::<Processes>),
        at("/processes.csv").get(list::table::<Processes>),
        at("/processes/{id}").get(process::page),
        at("/processes/{id}/log").get(log::lines),
        at("/processes/{id}/log.txt").get(log::file),
        at("/ticks").get(list::page::<Ticks>),
        at("/ticks.csv").get(list::table::<Ticks>),
        at("/audit").get(list::page::<Audit>),
        at("/audit.csv").get(list::table::<Audit>),
        at("/inventory").get(inventory::home),
        at("/inventory/{noun}.csv").get(list::table::<Things>),
        at("/inventory/{noun}").get(list::page::<Things>),
        at("/inventory/{noun}/{id}").get(inventory::one),
        at("/inventory/credentials/{id}/secret").post(inventory::secret),
        at("/inventory/certificate-automations/{id}/renew").post(certificates::renew),
        at("/inventory/certificate-automations/{id}/approve").post(certificates::approve),
        at("/inventory/certificates/{id}/revoke")
            .get(certificates::caution)
            .post(certificates::revoke),
        at("/operations").get(list::page::<Operations>),
        at("/operations.csv").get(list::table::<Operations>),
        at("/operations/{id}").get(operations::page),
        at("/operations/{id}/cancel").post(operations::cancel),
        at("/imports")
            .get(list::page::<Imports>)
            .post(imports::upload),
        at("/imports.csv").get(list::table::<Imports>),
        at("/imports/template.xlsx").get(imports::template),
        at("/imports/{id}.csv").get(list::table::<Rows>),
        at("/imports/{id}").get(list::page::<Rows>),
        at("/imports/{id}/result.xlsx").get(imports::result),
        at("/imports/{id}/cancel").post(imports::cancel),
        at("/tasks").get(list::page::<Tasks>),
        at("/tasks.csv").get(list::table::<Tasks>),
        at("/tasks/{id}").get(task::page),
        at("/approvals").get(list::page::<Approvals>),
        at("/approvals.csv").get(list::table::<Approvals>),
        at("/approvals/{id}/{decision}").post(approvals::decide),
        at("/tasks/{id}/cancel").post(tasks::cancel),
        at("/tasks/{id}/retry").post(tasks::retry),
    ]
}

/// Registers the panel's paths. The API must be registered too: the pages are made of what it offers.
pub fn configure(config: &mut web::ServiceConfig, panel: Panel) {
    config.app_data(web::Data::new(panel));
    config.service(assets::service());
    for endpoint in table() {
        config.service(
            endpoint
                .resource()
                .wrap(from_fn(observe::watch))
                .wrap(from_fn(guard::guard))
                .wrap(Compress::default()),
        );
    }
}

/// Sends the browser to another page, with GET.
fn see(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .finish()
}

/// The answer to a path that nobody has: a page for browsers, a problem document for programs.
///
/// # Errors
/// To programs, always.
pub async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if csv::prefers(request.headers(), "text/html") {
        guard::identify(&request).await;
        let error = ApiError::missing("page", request.path());
        return Ok(guard::protected(problem::page(&request, &error)));
    }
    api::not_found(request).await
}
