//! The description names what the table answers, and the table answers what the description names.

use std::collections::BTreeSet;

use robotd::api::{openapi, routes};
use serde_json::Value;

fn description() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

fn operations(description: &Value) -> Vec<(String, String, &Value)> {
    let paths = description["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    });
    operations.collect()
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let description = description();
    let described: BTreeSet<_> = operations(&description)
        .into_iter()
        .map(|(m, p, _)| (m, p))
        .collect();
    let assets = |path: &str| path.starts_with("/api/v1/docs/");
    let answered: BTreeSet<_> = routes()
        .into_iter()
        .filter(|(_, path)| !assets(path))
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    assert_eq!(answered, described);
}

#[test]
fn the_description_is_as_reviewed() {
    insta::assert_json_snapshot!("openapi", description());
}

/// A path parameter that is not declared, or a reference that leads nowhere, breaks every generator.
#[test]
fn the_description_is_whole() {
    let description = description();
    assert_eq!(description["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&description) {
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{method} {path}: id twice"
        );
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let declared = |name: &str| {
            parameters
                .iter()
                .any(|p| p["in"] == "path" && p["name"] == name)
        };
        for name in path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        {
            assert!(declared(name), "{method} {path}: `{name}` is not declared");
        }
        assert!(
            operation["responses"]["500"].is_object(),
            "{method} {path}: no 500"
        );
    }
    let text = description.to_string();
    for reference in text.split("\"#/").skip(1) {
        let pointer = format!("/{}", reference.split('"').next().unwrap());
        assert!(
            description.pointer(&pointer).is_some(),
            "{pointer} leads nowhere"
        );
    }
}

/// All that takes a token says so, and nothing else does.
#[test]
fn only_health_docs_and_local_metrics_are_open() {
    let description = description();
    let open: BTreeSet<_> = operations(&description)
        .into_iter()
        .filter(|(_, _, operation)| operation.get("security").is_some())
        .map(|(_, path, _)| path)
        .collect();
    let expected = [
        "/api/v1/docs",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
    ];
    assert_eq!(open.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(description["security"][0]["bearer"], serde_json::json!([]));
}
