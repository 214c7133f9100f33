//! Issuers get their key once, by an admin, and it is not shown again; a renewal is asked for by an operator.

use robotd::domain::access::Role;
use serde_json::{Value, json};

use super::app::Api;
use crate::support::authority::Authority;

async fn issuer(api: &Api, body: Value) -> String {
    let made = api.post("/api/v1/certificate-issuers", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.header("location").to_owned()
}

#[actix_web::test]
async fn an_issuer_gets_one_key_and_shows_none() {
    let api = Api::start().await;
    let path = issuer(&api, json!({"name": "Ours", "kind": "internal"})).await;
    let key = format!("{path}/key");
    let half = api.post(&key, &json!({"certificate": "x"})).await;
    assert_eq!(half.problem(422, "invalid"), ["private_key"]);
    let odd = api
        .post(
            &key,
            &json!({"certificate": "x", "private_key": "secret-key-text"}),
        )
        .await;
    assert!(!odd.text().contains("secret-key-text"));
    assert_eq!(odd.problem(422, "invalid"), ["certificate"]);
    let made = api.post(&key, &json!({})).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let certificate = made.json()["certificate"].as_str().unwrap().to_owned();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!made.text().contains("PRIVATE KEY"));
    api.post(&key, &json!({})).await.problem(409, "conflict");
    let folder = tempfile::tempdir().unwrap();
    if let Some(authority) = Authority::make(folder.path()) {
        let read = |path| std::fs::read_to_string(path).unwrap();
        let import = json!({"certificate": read(authority.ca), "private_key": read(folder.path().join("ca.key"))});
        let other = issuer(&api, json!({"name": "Theirs", "kind": "internal"})).await;
        let taken = api.post(&format!("{other}/key"), &import).await;
        assert_eq!(taken.status, 200, "{}", taken.text());
        assert_eq!(taken.json()["certificate"], import["certificate"]);
        assert!(
            !api.get("/api/v1/audit")
                .await
                .text()
                .contains("PRIVATE KEY")
        );
    }
    let acme = json!({"name": "Public", "kind": "acme", "acme": {"directory": "https://acme.example.org/directory"}});
    let public = issuer(&api, acme).await;
    let refused = api.post(&format!("{public}/key"), &json!({})).await;
    assert_eq!(refused.problem(422, "invalid"), ["kind"]);
}

#[actix_web::test]
async fn issuers_say_what_they_lack() {
    let api = Api::start().await;
    for (body, field) in [
        (json!({"name": "a", "kind": "acme"}), "acme"),
        (
            json!({"name": "a", "kind": "internal", "acme": {"directory": "https://a"}}),
            "acme",
        ),
        (
            json!({"name": "a", "kind": "acme", "acme": {"directory": "http://a"}}),
            "acme.directory",
        ),
        (
            json!({"name": "a", "kind": "acme", "acme": {"directory": "https://a", "ca": "x"}}),
            "acme.ca",
        ),
        (
            json!({"name": "a", "kind": "internal", "lifetime": "PT1S"}),
            "lifetime",
        ),
        (
            json!({"name": "a", "kind": "internal", "orders_max": 0}),
            "orders_max",
        ),
    ] {
        let refused = api.post("/api/v1/certificate-issuers", &body).await;
        assert_eq!(refused.problem(422, "invalid"), [field], "{body}");
    }
}

#[actix_web::test]
async fn a_renewal_is_asked_for() {
    let api = Api::start().await;
    let path = issuer(&api, json!({"name": "Ours", "kind": "internal"})).await;
    let body = json!({"name": "www", "issuer": path.rsplit('/').next(), "names": ["www.example.org"], "approval_role": "operator"});
    let made = api.post("/api/v1/certificate-automations", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["renewal_asked_at"], Value::Null);
    let renew = format!("{}/renew", made.header("location"));
    let request = |role| {
        actix_web::test::TestRequest::post()
            .uri(&renew)
            .insert_header(("authorization", format!("Bearer {}", api.token(role))))
    };
    api.send(request(Role::Viewer))
        .await
        .problem(403, "forbidden");
    let asked = api.send(request(Role::Operator)).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    assert!(asked.json()["renewal_asked_at"].is_string());
    let events = api.get("/api/v1/events").await;
    let events = events.text();
    assert_eq!(
        events
            .matches("\"type\":\"certificate.renewal_requested\"")
            .count(),
        2,
        "made and asked for: {events}"
    );
    let approve = renew.replace("/renew", "/approve");
    let approved = async |role| {
        let request = actix_web::test::TestRequest::post().uri(&approve);
        let bearer = format!("Bearer {}", api.token(role));
        api.send(request.insert_header(("authorization", bearer)))
            .await
    };
    approved(Role::Operator).await.problem(403, "forbidden");
    let agreed = approved(Role::Admin).await;
    assert_eq!(agreed.status, 202, "{}", agreed.text());
    assert_eq!(agreed.json()["renewal_approved_by"], "admin");
    approved(Role::Admin).await.problem(409, "conflict");
    let revoke = "/api/v1/certificates/999/revoke";
    let odd = api.post(revoke, &json!({"reason": "bored"})).await;
    assert_eq!(odd.problem(422, "invalid"), ["reason"]);
    let nowhere = api.post(revoke, &json!({"reason": "superseded"})).await;
    nowhere.problem(404, "not-found");
    // A certificate that nobody issues cannot be named, and an issuer in use stays.
    api.send(
        actix_web::test::TestRequest::delete()
            .uri(&path)
            .insert_header((
                "authorization",
                format!("Bearer {}", api.token(Role::Admin)),
            )),
    )
    .await
    .problem(409, "conflict");
}
