//! The description of the API, made from the handlers.
//!
//! What every path answers alike (errors, and what a token needs) is added here once instead of at each
//! handler.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, OpenApi as Description, Ref, RefOr, Required, Response, ResponseBuilder,
};
use utoipa::{Modify, OpenApi};

use super::error::{PROBLEM_JSON, Problem, ProblemField};
use super::inventory::describe::Nouns;
use super::{
    activity, alerts, audit, docs, events, executions, health, imports, inventory, metrics, nodes,
    operations, preview, process_log, processes, queue_history, robots, schema, stats, stream,
    task_approvals, tasks, ticks,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "robotd", description = "Robots: supervised background services. Conventions: docs/API.md."),
    paths(
        health::tree, health::live, health::ready, metrics::scrape,
        robots::list, robots::get, robots::change, robots::reset, robots::run, preview::show,
        events::list, events::publish,
        tasks::list, tasks::create, tasks::batch, tasks::get, tasks::cancel, tasks::retry,
        task_approvals::list, task_approvals::get, task_approvals::decide,
        processes::list, processes::get, process_log::read,
        executions::list, executions::cancel,
        operations::list, operations::create, operations::get, operations::cancel,
        imports::list, imports::create, imports::template, imports::get, imports::rows, imports::result,
        imports::cancel,
        inventory::views::list,
        inventory::connectivity_tests::list,
        ticks::list, audit::list, nodes::list, stats::show, activity::show,
        queue_history::show, alerts::list, stream::open,
        docs::description, docs::folder,
    ),
    components(schemas(
        Problem, ProblemField, schema::ScheduleSchema, schema::WindowSchema, schema::RetrySchema,
    )),
    modifiers(&Bearer, &Nouns, &Errors),
    security(("bearer" = [])),
    tags(
        (name = "robots", description = "Configuration and live state"),
        (name = "tasks", description = "Registered work"),
        (name = "task-approvals", description = "Tasks that wait for somebody's decision"),
        (name = "processes", description = "Started runs"),
        (name = "executions", description = "Runs in execution"),
        (name = "sites", description = "Where devices stand"),
        (name = "devices", description = "Machines and services"),
        (name = "credentials", description = "Accounts on devices"),
        (name = "credential-policies", description = "How long secrets last, and what new ones are like"),
        (name = "users", description = "People"),
        (name = "user-groups", description = "People who are treated alike"),
        (name = "certificates", description = "What must be renewed in time"),
        (name = "operation-templates", description = "How operations are carried out"),
        (name = "certificate-issuers", description = "Who issues certificates"),
        (name = "certificate-automations", description = "Which certificates are renewed, and when"),
        (name = "certificate-bindings", description = "Where certificates are published"),
        (name = "task-definitions", description = "What is done to many accounts, and when"),
        (name = "operations", description = "What is done to the accounts of credentials"),
        (name = "imports", description = "Spreadsheets that become things of the inventory"),
        (name = "ticks", description = "Planned instants and what became of them"),
        (name = "events", description = "Messages from other components"),
        (name = "audit", description = "Who changed what"),
        (name = "nodes", description = "Starts of robotd"),
        (name = "stats", description = "Figures"),
        (name = "stream", description = "Changes as they happen"),
        (name = "health", description = "For monitoring"),
        (name = "docs", description = "This description"),
    )
)]
struct Api;

/// The OpenAPI 3.1 description of the API.
#[must_use]
pub fn openapi() -> Description {
    Api::openapi()
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut Description) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of `robotd token create`; roles viewer, operator, admin.",
            ))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Operations whose body may be absent.
const OPTIONAL_BODY: [&str; 4] = [
    "robot_run",
    "robot_preview",
    "credential_view",
    "task_approval_decide",
];

/// Adds the errors that follow from what an operation takes.
struct Errors;

impl Modify for Errors {
    fn modify(&self, openapi: &mut Description) {
        for item in openapi.paths.paths.values_mut() {
            let operations = [
                &mut item.get,
                &mut item.post,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in operations.into_iter().flatten() {
                let optional =
                    OPTIONAL_BODY.contains(&operation.operation_id.as_deref().unwrap_or_default());
                if let Some(RefOr::T(body)) = operation.request_body.as_mut().filter(|_| optional) {
                    body.required = Some(Required::False);
                }
                for (status, what) in errors_of(operation) {
                    let answers = &mut operation.responses.responses;
                    answers
                        .entry(status.to_owned())
                        .or_insert_with(|| problem(what).into());
                }
            }
        }
    }
}

fn errors_of(operation: &Operation) -> Vec<(&'static str, &'static str)> {
    // Operations that name their own security are open to callers without a token.
    let open = operation.security.is_some();
    let is_metrics = operation.operation_id.as_deref() == Some("metrics");
    let mut errors = vec![("500", "A defect of robotd")];
    if !open || is_metrics {
        errors.push(("401", "No token, or one that is not known"));
        errors.push(("403", "The token may not do this"));
        errors.push((
            "503",
            "The database cannot be reached, or too many streams are open; see Retry-After",
        ));
    }
    if !open {
        errors.push((
            "400",
            "The request cannot be read: query string, header or JSON",
        ));
    }
    let in_path = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => matches!(parameter.parameter_in, ParameterIn::Path),
        RefOr::Ref(_) => false,
    };
    if operation.parameters.iter().flatten().any(in_path) {
        errors.push(("404", "There is no such thing"));
    }
    if operation.request_body.is_some() {
        errors.push(("413", "The body is too large"));
        errors.push(("415", "The body's type is not understood here"));
        errors.push((
            "422",
            "The content is not acceptable; `errors` names each field",
        ));
    }
    errors
}

fn problem(what: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(what)
        .content(PROBLEM_JSON, content)
        .build()
}
