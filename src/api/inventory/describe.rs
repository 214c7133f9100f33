//! The inventory in the description of the API: the same five operations for each noun.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{
    Content, ContentBuilder, KnownFormat, OpenApi as Description, RefOr, Required,
};
use utoipa::{IntoParams, Modify, PartialSchema, ToSchema};

use super::certificate::{KeyBody, RevokeBody};
use super::secret::{SecretView, ViewBody};
use super::shape::{Named, reference, schemas, type_name};
use crate::api::error::PROBLEM_JSON;
use crate::api::etag::IfMatchParam;
use crate::api::paging::PageParams;
use crate::domain::inventory::check::NAME_CHARS_MAX;
use crate::domain::inventory::column::{Filter, FilterKind};
use crate::domain::inventory::{Noun, NounSpec};

/// Adds the paths and schemas of all nouns.
pub(in crate::api) struct Nouns;

impl Modify for Nouns {
    fn modify(&self, openapi: &mut Description) {
        for noun in Noun::ALL {
            let spec = noun.spec();
            add(openapi, schemas(noun));
            let all = format!("/api/v1/{}", spec.path);
            let one = format!("{all}/{{id}}");
            for (path, method, operation) in [
                (&all, HttpMethod::Get, list(spec)),
                (&all, HttpMethod::Post, create(spec)),
                (&one, HttpMethod::Get, get(spec)),
                (&one, HttpMethod::Patch, change(spec)),
                (&one, HttpMethod::Delete, remove(spec)),
            ] {
                let methods = Vec::from([method]);
                openapi.paths.add_path_operation(path, methods, operation);
            }
        }
        let mut named = Vec::from([
            (
                "SecretView".to_owned(),
                <SecretView<'_> as PartialSchema>::schema(),
            ),
            ("ViewBody".to_owned(), ViewBody::schema()),
        ]);
        ViewBody::schemas(&mut named);
        KeyBody::schemas(&mut named);
        named.push(("KeyBody".to_owned(), KeyBody::schema()));
        RevokeBody::schemas(&mut named);
        named.push(("RevokeBody".to_owned(), RevokeBody::schema()));
        add(openapi, named);
        for (path, operation) in [
            ("/api/v1/credentials/{id}/view", view()),
            ("/api/v1/certificate-issuers/{id}/key", issuer_key()),
            (
                "/api/v1/certificate-automations/{id}/renew",
                renew_certificate(),
            ),
            (
                "/api/v1/certificate-automations/{id}/approve",
                approve_renewal(),
            ),
            ("/api/v1/certificates/{id}/revoke", revoke_certificate()),
        ] {
            let methods = Vec::from([HttpMethod::Post]);
            openapi.paths.add_path_operation(path, methods, operation);
        }
    }
}

fn add(openapi: &mut Description, named: Vec<Named>) {
    let components = openapi.components.get_or_insert_default();
    components.schemas.extend(named);
}

fn operation(spec: &NounSpec, verb: &str, summary: String) -> OperationBuilder {
    OperationBuilder::new()
        .tag(spec.path)
        .operation_id(Some(format!("{}_{verb}", spec.word)))
        .summary(Some(summary))
}

fn list(spec: &NounSpec) -> Operation {
    let title = spec.noun.title();
    let list = ObjectBuilder::new()
        .property(
            "items",
            ArrayBuilder::new().items(reference(&type_name(spec))),
        )
        .property(
            "next_cursor",
            ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::from_iter([
                Type::String,
                Type::Null,
            ])),
        )
        .required("items")
        .required("next_cursor");
    let csv = ObjectBuilder::new().schema_type(Type::String);
    let answer = ResponseBuilder::new()
        .description(format!("Each {title}, newest first"))
        .content("application/json", content(list))
        .content("text/csv", content(csv));
    let about = format!("Lists each {title}, newest first. CSV by `Accept: text/csv`.");
    let mut parameters = PageParams::into_params(|| Some(ParameterIn::Query));
    parameters.extend(spec.filters.iter().map(filter));
    operation(spec, "list", about)
        .parameters(Some(parameters))
        .response("200", answer)
        .build()
}

fn filter(filter: &Filter) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let schema = match filter.kind {
        FilterKind::Name | FilterKind::Text => {
            text.min_length(Some(1)).max_length(Some(NAME_CHARS_MAX))
        }
        FilterKind::Ref => text.pattern(Some("^[1-9][0-9]{0,18}$")),
        FilterKind::Bool => ObjectBuilder::new().schema_type(Type::Boolean),
        FilterKind::Before => text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
    };
    ParameterBuilder::new()
        .name(filter.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(filter.about))
        .schema(Some(schema))
        .build()
}

fn create(spec: &NounSpec) -> Operation {
    let title = spec.noun.title();
    let made = shown(spec, "The new thing").header("Location", header("Where it is"));
    let body = RequestBodyBuilder::new()
        .content(
            "application/json",
            content(reference(&format!("New{}", type_name(spec)))),
        )
        .required(Some(Required::True))
        .build();
    operation(spec, "create", format!("Makes a {title}."))
        .request_body(Some(body))
        .response("201", made)
        .response("409", problem("Another one has what must be its own"))
        .build()
}

fn get(spec: &NounSpec) -> Operation {
    operation(spec, "get", format!("Shows one {}.", spec.noun.title()))
        .parameter(id())
        .response("200", shown(spec, "The thing"))
        .build()
}

fn change(spec: &NounSpec) -> Operation {
    let title = spec.noun.title();
    let about = format!("Lays a merge patch (RFC 7396) over a {title}.");
    operation(spec, "change", about)
        .parameters(Some(guarded()))
        .request_body(Some(patch(spec)))
        .response("200", shown(spec, "The thing as it is now"))
        .response("409", problem("Another one has what must be its own"))
        .response("412", problem("It is at another revision"))
        .build()
}

fn patch(spec: &NounSpec) -> RequestBody {
    let schema = || content(reference(&format!("{}Patch", type_name(spec))));
    RequestBodyBuilder::new()
        .content("application/merge-patch+json", schema())
        .content("application/json", schema())
        .required(Some(Required::True))
        .build()
}

fn remove(spec: &NounSpec) -> Operation {
    let title = spec.noun.title();
    operation(
        spec,
        "delete",
        format!("Removes a {title} that nothing refers to."),
    )
    .parameters(Some(guarded()))
    .response("204", ResponseBuilder::new().description("It is gone"))
    .response("409", problem("Others refer to it"))
    .response("412", problem("It is at another revision"))
    .build()
}

fn view() -> Operation {
    let spec = Noun::Credential.spec();
    let about = "Shows the secret in force; the view is on disk and in the audit trail before this is answered.";
    let body = RequestBodyBuilder::new()
        .content("application/json", content(reference("ViewBody")))
        .required(Some(Required::False))
        .build();
    let secret = ResponseBuilder::new()
        .description("The secret")
        .content("application/json", content(reference("SecretView")));
    operation(spec, "view", about.to_owned())
        .parameter(id())
        .request_body(Some(body))
        .response("200", secret)
        .response("409", problem("There is no secret"))
        .build()
}

fn issuer_key() -> Operation {
    let spec = Noun::CertificateIssuer.spec();
    let about = "Makes the key and certificate of an internal issuer, or imports those of an authority from elsewhere.";
    let body = RequestBodyBuilder::new()
        .content("application/json", content(reference("KeyBody")))
        .required(Some(Required::True))
        .build();
    operation(spec, "key", about.to_owned())
        .parameter(id())
        .request_body(Some(body))
        .response("200", shown(spec, "The issuer, with its certificate"))
        .response("409", problem("It has a key"))
        .build()
}

fn renew_certificate() -> Operation {
    let spec = Noun::CertificateAutomation.spec();
    let about = "Asks for another certificate, whatever the age of the one in force.";
    operation(spec, "renew", about.to_owned())
        .parameter(id())
        .response("202", shown(spec, "It is asked for"))
        .build()
}

fn approve_renewal() -> Operation {
    let spec = Noun::CertificateAutomation.spec();
    let about = "Agrees to the certificate that is requested. Not who asked for it, and only a role that the automation names.";
    operation(spec, "approve", about.to_owned())
        .parameter(id())
        .response("202", shown(spec, "It is agreed to, and ordered"))
        .response("409", problem("Nothing is requested, or it is agreed to"))
        .build()
}

fn revoke_certificate() -> Operation {
    let spec = Noun::Certificate.spec();
    let about = "Has a certificate revoked that was issued here: it is not renewed, and published nowhere, unless that is asked for.";
    let body = RequestBodyBuilder::new()
        .content("application/json", content(reference("RevokeBody")))
        .required(Some(Required::True))
        .build();
    operation(spec, "revoke", about.to_owned())
        .parameter(id())
        .request_body(Some(body))
        .response("202", shown(spec, "It is asked for"))
        .response("409", problem("It was not issued here, or is revoked"))
        .build()
}

fn id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn guarded() -> Vec<Parameter> {
    let mut parameters = IfMatchParam::into_params(|| Some(ParameterIn::Header));
    parameters.push(id());
    parameters
}

fn shown(spec: &NounSpec, about: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(about)
        .content("application/json", content(reference(&type_name(spec))))
        .header("ETag", header("Its revision, for `If-Match`"))
}

fn header(about: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(about))
        .build()
}

fn problem(about: &str) -> Response {
    ResponseBuilder::new()
        .description(about)
        .content(PROBLEM_JSON, content(reference("Problem")))
        .build()
}

fn content(schema: impl Into<RefOr<Schema>>) -> Content {
    ContentBuilder::new().schema(Some(schema)).build()
}
