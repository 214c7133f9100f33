//! Secrets over HTTP: taken, viewed on the record, and in nothing else that is answered.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use robotd::api::routes;
use robotd::domain::access::Role;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::{Algorithm, PrivateKey};
use serde_json::{Value, json};

use super::app::{Answer, Api};

const SECRET: &str = "first-secret-4f1b\u{e9}";
const NEXT: &str = "next-secret-98aa";
/// One that has the form of a key, with the same text inside.
const KEY: &str =
    "-----BEGIN OPENSSH PRIVATE KEY-----\nnext-secret-98aa\n-----END OPENSSH PRIVATE KEY-----\n";
const PASSPHRASE: &str = "open-sesame-77c0";

/// A credential with [`SECRET`]; its path.
async fn credential(api: &Api) -> String {
    let device = api
        .post("/api/v1/devices", &json!({"hostname": "h", "address": "a"}))
        .await
        .json();
    let body = json!({"device": device["id"], "username": "root", "automatic_change": true, "secret": SECRET});
    let made = api.post("/api/v1/credentials", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(!made.text().contains(SECRET));
    assert_eq!(made.json()["secret_version"], 1);
    made.header("location").to_owned()
}

async fn view(api: &Api, role: Role, path: &str, body: &Value) -> Answer {
    let request = TestRequest::post()
        .uri(&format!("{path}/view"))
        .insert_header(("authorization", format!("Bearer {}", api.token(role))))
        .set_json(body);
    api.send(request).await
}

#[actix_web::test]
async fn a_view_is_on_the_record() {
    let api = Api::start().await;
    let path = credential(&api).await;
    view(&api, Role::Viewer, &path, &json!({}))
        .await
        .problem(403, "forbidden");
    let reason = "r".repeat(501);
    let long = view(&api, Role::Operator, &path, &json!({"reason": reason})).await;
    assert_eq!(long.problem(422, "invalid"), ["reason"]);
    let shown = view(&api, Role::Operator, &path, &json!({"reason": "ticket 7"})).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert_eq!(shown.header("cache-control"), "no-store");
    assert_eq!(
        (&shown.json()["secret"], &shown.json()["secret_version"]),
        (&json!(SECRET), &json!(1))
    );
    // No body is no reason.
    let bare = api.raw("POST", &format!("{path}/view"), "", "").await;
    assert_eq!(bare.json()["secret"], SECRET);
    let id = path.rsplit('/').next().unwrap();
    let trail = api
        .get(&format!("/api/v1/audit?object=credential:{id}"))
        .await
        .json();
    let viewed = &trail["items"][1];
    assert_eq!(
        (&viewed["action"], &viewed["actor"]),
        (&json!("credential.view"), &json!("operator"))
    );
    assert_eq!(viewed["after"]["reason"], "ticket 7");
    let events = api
        .get("/api/v1/events?type=credential.viewed")
        .await
        .json();
    assert_eq!(events["items"].as_array().unwrap().len(), 2);
    assert_ne!(api.get(&path).await.json()["last_viewed_at"], Value::Null);
    views_are_told(&api, &path).await;
    view(&api, Role::Admin, "/api/v1/credentials/999999", &json!({}))
        .await
        .problem(404, "not-found");
}

/// Of two views, the first by an operator with a reason.
async fn views_are_told(api: &Api, path: &str) {
    let first = api.get(&format!("{path}/views?limit=1")).await.json();
    assert_eq!(first["items"][0]["reason"], Value::Null);
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("{path}/views?limit=1&cursor={cursor}");
    let rest = api.get(&next).await.json();
    let [view] = rest["items"].as_array().unwrap().as_slice() else {
        panic!("one: {rest}")
    };
    assert_eq!(
        (&view["actor"], &view["reason"], &view["secret_version"]),
        (&json!("operator"), &json!("ticket 7"), &json!(1))
    );
    assert_eq!(rest["next_cursor"], Value::Null);
    let count = async |filter: &str| {
        let request = TestRequest::get()
            .uri(&format!("{path}/views?{filter}"))
            .insert_header((
                "authorization",
                format!("Bearer {}", api.token(Role::Viewer)),
            ));
        let found = api.send(request).await.json();
        found["items"].as_array().unwrap().len()
    };
    assert_eq!(count("actor=operator").await, 1);
    assert_eq!(count("actor=nobody").await, 0);
    assert_eq!(count("to=2026-01-01T00:00:00Z").await, 0);
    api.get("/api/v1/credentials/999999/views")
        .await
        .problem(404, "not-found");
    api.raw("DELETE", path, "", "").await;
    assert_eq!(count("").await, 2, "views outlive their credential");
}

#[actix_web::test]
async fn a_secret_is_replaced_but_not_removed() {
    let api = Api::start().await;
    let path = credential(&api).await;
    let patch = |body: Value| api.raw("PATCH", &path, "application/json", body.to_string());
    for bad in [
        json!(null),
        json!(""),
        json!(7),
        json!({"a": 1}),
        json!("x".repeat(16_385)),
    ] {
        let refused = patch(json!({"secret": bad})).await;
        assert_eq!(refused.problem(422, "invalid"), ["secret"]);
    }
    a_passphrase_comes_with_its_key(&api, &path).await;
    let changed = patch(json!({"kind": "password", "secret": NEXT, "username": "toor"}))
        .await
        .json();
    assert_eq!(
        (&changed["secret_version"], &changed["revision"]),
        (&json!(3), &json!(3))
    );
    let shown = view(&api, Role::Admin, &path, &json!({})).await.json();
    assert_eq!(
        (&shown["secret"], &shown["passphrase"]),
        (&json!(NEXT), &Value::Null)
    );
    for kind in ["credential.changed", "credential.password_changed"] {
        let told = api.get(&format!("/api/v1/events?type={kind}")).await.json();
        assert_eq!(told["items"].as_array().unwrap().len(), 2, "{kind}");
    }
}

async fn a_passphrase_comes_with_its_key(api: &Api, path: &str) {
    let patch = |body: Value| api.raw("PATCH", path, "application/json", body.to_string());
    let key = |secret: &str, passphrase: Value| json!({"kind": "ssh_key", "secret": secret, "passphrase": passphrase});
    for (bad, field) in [
        (json!({"passphrase": PASSPHRASE}), "passphrase"),
        (
            json!({"secret": NEXT, "passphrase": PASSPHRASE}),
            "passphrase",
        ),
        (key(KEY, json!(7)), "passphrase"),
        (key(KEY, json!("")), "passphrase"),
        (key(KEY, json!("x".repeat(1_025))), "passphrase"),
        (key(KEY, json!("a\0b")), "passphrase"),
        (key(&KEY.replace("98", "\0"), json!(null)), "secret"),
        (key("abc", json!(null)), "secret"),
        (
            key(&KEY.replace(" PRIVATE", " PUBLIC"), json!(null)),
            "secret",
        ),
    ] {
        let refused = patch(bad).await;
        assert_eq!(refused.problem(422, "invalid"), [field]);
        assert!(!refused.text().contains(PASSPHRASE));
    }
    let changed = patch(key(KEY, json!(PASSPHRASE))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let shown = view(api, Role::Operator, path, &json!({})).await.json();
    assert_eq!(
        (&shown["secret"], &shown["passphrase"]),
        (&json!(KEY), &json!(PASSPHRASE))
    );
    // What it is says nothing of another secret.
    let other = patch(json!({"kind": "password"})).await;
    assert_eq!(other.problem(422, "invalid"), ["kind"]);
    let same = patch(json!({"kind": "ssh_key"})).await;
    assert_eq!(same.status, 200, "{}", same.text());
}

#[actix_web::test]
async fn no_answer_but_a_view_holds_a_secret() {
    let api = Api::start().await;
    let path = credential(&api).await;
    let patched = api
        .raw(
            "PATCH",
            &path,
            "application/json",
            json!({"kind": "ssh_key", "secret": KEY, "passphrase": PASSPHRASE}).to_string(),
        )
        .await;
    let viewed = view(&api, Role::Admin, &path, &json!({"reason": "look"})).await;
    assert!(viewed.text().contains(NEXT));
    let mut texts = vec![
        patched.text().to_owned(),
        api.get(&path).await.text().to_owned(),
    ];
    // Refusals of a body that holds a secret.
    for body in [
        json!({"secret": NEXT, "username": ""}),
        json!({"secret": NEXT, "device": "x"}),
        json!({"secret": NEXT, "device": "999999"}),
        json!({"secret": [NEXT], "passphrase": PASSPHRASE}),
        json!({"secret": NEXT, "passphrase": [PASSPHRASE]}),
    ] {
        let refused = api
            .raw("PATCH", &path, "application/json", body.to_string())
            .await;
        assert!(refused.status.is_client_error());
        texts.push(refused.text().to_owned());
    }
    for (method, route) in routes() {
        let others =
            route.ends_with("/stream") || route.contains("/docs") || route.ends_with(".xlsx");
        if method != "GET" || others {
            continue;
        }
        let id = path.rsplit('/').next().unwrap();
        let concrete = route
            .replace("{id}", id)
            .replace("{name}", super::app::IDLE);
        for accept in ["application/json", "text/csv"] {
            let request = TestRequest::get()
                .uri(&concrete)
                .insert_header(("accept", accept));
            texts.push(api.admin(request).await.text().to_owned());
        }
    }
    for text in texts {
        for secret in [SECRET, NEXT, PASSPHRASE] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[actix_web::test]
async fn a_secret_that_was_tampered_with_is_a_problem() {
    let api = Api::start().await;
    let path = credential(&api).await;
    let id = path.rsplit('/').next().unwrap();
    // Another byte than it was, whatever it was.
    api.sql(
        "UPDATE secret_versions SET sealed = substr(sealed, 1, 30)
            || CASE substr(sealed, 31, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(sealed, 32)",
    );
    let shown = view(&api, Role::Admin, &path, &json!({})).await;
    assert!(shown.problem(500, "damaged").is_empty());
    assert!(!shown.text().contains("sealed"), "{}", shown.text());
    let trail = api
        .get(&format!("/api/v1/audit?object=credential:{id}"))
        .await
        .json();
    assert_eq!(trail["items"][0]["action"], "credential.damaged");
    let events = api
        .get("/api/v1/events?type=credential.viewed")
        .await
        .json();
    assert!(events["items"].as_array().unwrap().is_empty());
}

/// A private key in OpenSSH's form, locked by [`PASSPHRASE`] where that is wanted.
fn key_text(key: PrivateKey, locked: bool) -> String {
    let key = match locked {
        true => key.encrypt(&mut rand::rng(), PASSPHRASE).unwrap(),
        false => key,
    };
    key.to_openssh(LineEnding::LF).unwrap().as_str().to_owned()
}

#[actix_web::test]
async fn a_key_that_does_not_open_or_is_too_short_is_refused() {
    let api = Api::start().await;
    let path = credential(&api).await;
    let device = api.get(&path).await.json()["device"].clone();
    let random = &mut rand::rng();
    let key = PrivateKey::random(random, Algorithm::Ed25519).unwrap();
    let (open, locked) = (key_text(key.clone(), false), key_text(key, true));
    let short = RsaKeypair::random(random, 1_024).unwrap();
    let short = key_text(short.into(), false);
    for (text, passphrase, expected) in [
        (&open, json!(PASSPHRASE), Some("passphrase")),
        (&locked, json!("closed sesame"), Some("passphrase")),
        (&short, Value::Null, Some("secret")),
        (&open, Value::Null, None),
        (&locked, json!(PASSPHRASE), None),
    ] {
        let mut body = json!({"kind": "ssh_key", "secret": text, "passphrase": passphrase});
        let patched = api.raw("PATCH", &path, "application/json", body.to_string());
        let patched = patched.await;
        let name = format!("kay-{}-{passphrase}", text.len());
        let more = json!({"device": device, "username": name, "automatic_change": false});
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let made = api.post("/api/v1/credentials", &body).await;
        match expected {
            Some(field) => {
                for refused in [&patched, &made] {
                    assert_eq!(refused.problem(422, "invalid"), [field]);
                    assert!(!refused.text().contains("closed sesame"));
                }
            }
            None => assert_eq!(
                (patched.status, made.status),
                (StatusCode::OK, StatusCode::CREATED)
            ),
        }
    }
    // What it is stays what it was: another secret is judged as a key, too.
    let short = json!({"secret": short}).to_string();
    let refused = api.raw("PATCH", &path, "application/json", short).await;
    assert_eq!(refused.problem(422, "invalid"), ["secret"]);
}
