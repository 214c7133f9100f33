//! Files over HTTP: taken within bounds, shown, cancelled.

use actix_web::test::TestRequest;
use robotd::connect::sheet::{Cell, Limits, read};
use robotd::domain::access::Role;
use robotd::domain::import::COLUMNS;
use serde_json::{Value, json};

use super::app::{Answer, Api};
use crate::support::form::{form, media};

const CSV: &[u8] = b"hostname,address,secret\nweb1,192.0.2.1,S3cret-77\n";

async fn send(api: &Api, fields: &[(&str, Option<&str>, &[u8])]) -> Answer {
    let body = form(fields);
    api.raw("POST", "/api/v1/imports", &media(), body).await
}

#[actix_web::test]
async fn a_file_is_kept_shown_and_cancelled() {
    let api = Api::start().await;
    let name = "up/devices.csv";
    let kept = send(
        &api,
        &[("mode", None, b"validate"), ("file", Some(name), CSV)],
    )
    .await;
    assert_eq!(kept.status, 202, "{}", kept.text());
    let view = kept.json();
    assert_eq!(
        (&view["state"], &view["mode"], &view["name"], &view["bytes"]),
        (
            &json!("waiting"),
            &json!("validate"),
            &json!("devices.csv"),
            &json!(CSV.len())
        )
    );
    let path = kept.header("location").to_owned();
    assert_eq!(api.get(&path).await.json(), view);
    let same = send(&api, &[("file", Some("again.csv"), CSV)]).await.json();
    assert_eq!(
        (&same["same_as"], &same["mode"]),
        (&view["id"], &json!("apply"))
    );
    let listed = api
        .get("/api/v1/imports?state=waiting&limit=1")
        .await
        .json();
    assert_eq!(listed["items"], json!([same]));
    let told = api
        .get("/api/v1/events?type=batch_import.uploaded")
        .await
        .json();
    assert_eq!(told["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        api.get(&format!("{path}/rows?answer=refused")).await.json()["items"],
        json!([])
    );
    let result = format!("{path}/result.xlsx");
    api.get(&result).await.problem(409, "conflict");
    let cancelled = api
        .raw("POST", &format!("{path}/cancel"), "", "")
        .await
        .json();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    api.get(&result).await.problem(409, "conflict");
    api.raw("POST", &format!("{path}/cancel"), "", "")
        .await
        .problem(409, "conflict");
    let trail = api.get("/api/v1/audit?actor=admin").await.json();
    let done: Vec<&Value> = trail["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["action"])
        .collect();
    assert_eq!(done, ["import.finish", "import.create", "import.create"]);
    for list in ["/api/v1/imports", "/api/v1/events", "/api/v1/audit"] {
        assert!(!api.get(list).await.text().contains("S3cret"), "{list}");
    }
}

#[actix_web::test]
async fn what_is_no_file_is_refused() {
    let api = Api::start().await;
    let big = vec![b'a'; 8 * 1024 * 1024 + 1];
    send(&api, &[("file", None, &big)])
        .await
        .problem(413, "too-large");
    for (fields, field) in [
        (&[][..], "file"),
        (&[("mode", None, &b"apply"[..])], "file"),
        (&[("file", None, b"")], "file"),
        (&[("file", None, b"a"), ("file", None, b"b")], "file"),
        (&[("file", None, b"a"), ("mode", None, b"dry")], "mode"),
        (
            &[
                ("file", None, b"a"),
                ("mode", None, b"apply apply apply apply apply apply"),
            ],
            "mode",
        ),
        (&[("file", None, b"a"), ("other", None, b"b")], "other"),
    ] {
        let refused = send(&api, fields).await;
        assert_eq!(refused.problem(422, "invalid"), [field], "{fields:?}");
    }
    let cut = &form(&[("file", None, CSV)])[..80];
    let broken = api
        .raw("POST", "/api/v1/imports", &media(), cut.to_vec())
        .await;
    broken.problem(400, "malformed");
    for media in ["multipart/form-data", "application/json", "text/csv", ""] {
        let refused = api.raw("POST", "/api/v1/imports", media, CSV).await;
        let (status, kind) = match media {
            "multipart/form-data" => (400, "malformed"),
            _ => (415, "unsupported-media-type"),
        };
        refused.problem(status, kind);
    }
    let request = TestRequest::post()
        .uri("/api/v1/imports")
        .insert_header((
            "authorization",
            format!("Bearer {}", api.token(Role::Operator)),
        ))
        .insert_header(("content-type", media()))
        .set_payload(form(&[("file", None, CSV)]));
    api.send(request).await.problem(403, "forbidden");
    for path in [
        "/api/v1/imports/7",
        "/api/v1/imports/7/rows",
        "/api/v1/imports/07/result.xlsx",
    ] {
        api.get(path).await.problem(404, "not-found");
    }
    assert_eq!(api.get("/api/v1/imports").await.json()["items"], json!([]));
}

#[actix_web::test]
async fn the_template_is_a_workbook_with_every_column() {
    let api = Api::start().await;
    let template = api.get("/api/v1/imports/template.xlsx").await;
    assert!(
        template
            .header("content-disposition")
            .contains("import-template.xlsx")
    );
    let rows = read(&template.bytes, &Limits::default()).unwrap();
    let lines: Vec<u32> = rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [1, 4, 5], "explained in line 4, named in line 5");
    let names = COLUMNS.map(|column| Cell::Text(column.name.to_owned()));
    assert!(rows[2].cells == names);
}
