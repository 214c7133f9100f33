//! Robots: configuration, live change, and what is refused.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::app::{Answer, Api, IDLE};

const PATH: &str = "/api/v1/robots/custom.idle";

async fn patch(api: &Api, condition: Option<&str>, body: &Value) -> Answer {
    let request = TestRequest::patch()
        .uri(PATH)
        .insert_header(("content-type", "application/merge-patch+json"));
    let request = request.set_payload(body.to_string());
    api.admin(match condition {
        Some(condition) => request.insert_header(("if-match", condition)),
        None => request,
    })
    .await
}

#[actix_web::test]
async fn a_robot_has_the_fields_of_the_design_in_their_order() {
    let api = Api::start().await;
    let answer = api.get(PATH).await;
    let json = answer.json();
    assert_eq!(answer.header("etag"), format!("\"{}\"", json["revision"]));
    let mut position = 0;
    for field in [
        "name",
        "title",
        "category",
        "summary",
        "enabled",
        "instances",
        "instances_max",
        "sharding",
        "schedule",
        "window",
        "range",
        "events",
        "timeout",
        "retry",
        "overlap",
        "catch_up",
        "settings",
        "revision",
        "state",
    ] {
        let found = answer
            .text()
            .find(&format!("\"{field}\":"))
            .unwrap_or_else(|| panic!("no `{field}`"));
        assert!(found >= position, "`{field}` stands too early");
        position = found;
    }
    let listed = api
        .get("/api/v1/robots?category=custom&limit=1")
        .await
        .json();
    assert_eq!(listed["items"][0]["name"], IDLE);
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = api
        .get(&format!(
            "/api/v1/robots?category=custom&limit=1&cursor={cursor}"
        ))
        .await
        .json();
    assert_eq!(rest["items"][0]["name"], "custom.waiter");
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[actix_web::test]
async fn a_change_is_in_force_warned_of_and_in_the_trail() {
    let api = Api::start().await;
    let before = api.get(PATH).await;
    let change =
        json!({"instances": 4, "schedule": {"every": "PT1H"}, "retry": {"max_attempts": 7}});
    let answer = patch(&api, Some(before.header("etag")), &change).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.json()["warning"]
            .as_str()
            .unwrap()
            .contains("unavailable")
    );
    let now = api.get(PATH).await;
    assert_eq!(now.json()["instances"], 4);
    assert_eq!(now.json()["schedule"], json!({"every": "PT1H"}));
    assert_eq!(now.json()["retry"]["max_attempts"], 7);
    assert_eq!(now.header("etag"), answer.header("etag"));
    let trail = api.get("/api/v1/audit?actor=admin").await.json();
    assert_eq!(trail["items"][0]["action"], "robot.change");
    patch(&api, Some(before.header("etag")), &change)
        .await
        .problem(412, "stale");
    let reset = api
        .admin(TestRequest::post().uri("/api/v1/robots/custom.idle/reset"))
        .await;
    assert_eq!(reset.json()["instances"], before.json()["instances"]);
}

#[actix_web::test]
async fn a_patch_that_changes_nothing_is_not_written() {
    let api = Api::start().await;
    let first = patch(&api, None, &json!({"instances": 4})).await;
    let entries = || async {
        let trail = api.get("/api/v1/audit").await.json();
        trail["items"].as_array().unwrap().len()
    };
    let before = entries().await;
    for nothing in [json!({}), json!({"instances": 4})] {
        let again = patch(&api, None, &nothing).await;
        assert_eq!(again.status, 200);
        assert_eq!(again.header("etag"), first.header("etag"), "{nothing}");
    }
    assert_eq!(entries().await, before);
}

#[actix_web::test]
async fn a_schedule_that_always_misses_its_window_is_warned_of() {
    let api = Api::start().await;
    let window = json!({"start": "22:00", "end": "02:00", "days": ["mon"], "timezone": "UTC"});
    let warning = |hour: &str| {
        let change = json!({"schedule": {"cron": format!("0 {hour} * * *")}, "window": window});
        let api = &api;
        async move {
            let answer = patch(api, None, &change).await.json();
            answer["warning"].as_str().unwrap().to_owned()
        }
    };
    assert!(
        warning("12")
            .await
            .starts_with("None of the planned instants")
    );
    assert!(warning("23").await.starts_with("Changing"));
}

#[actix_web::test]
async fn a_name_that_is_given_twice_is_refused() {
    let api = Api::start().await;
    let twice = r#"{"instances": 2, "instances": 3}"#.to_owned();
    let answer = api
        .raw("PATCH", PATH, "application/merge-patch+json", twice)
        .await;
    assert!(
        answer.text().contains("`instances` is given twice"),
        "{}",
        answer.text()
    );
    answer.problem(422, "invalid");
}

#[actix_web::test]
async fn bad_changes_name_their_fields_and_change_nothing() {
    let api = Api::start().await;
    for (body, field) in [
        (json!({"colour": "red"}), "colour"),
        (json!({"name": "x"}), "name"),
        (json!({"enabled": "yes"}), "enabled"),
        (json!({"instances": -1}), "instances"),
        (json!({"instances": 10_001}), "instances"),
        (json!({"timeout": "5 minutes"}), "timeout"),
        (json!({"timeout": "P8D"}), "timeout"),
        (json!({"retry": {"max_attempts": 0}}), "retry"),
        (json!({"retry": [5]}), "retry"),
        (
            json!({"schedule": {"every": "PT1M", "cron": "* * * * *"}}),
            "schedule",
        ),
        (json!({"schedule": ["PT1M"]}), "schedule"),
        (json!({"schedule": {"cron": "61 * * * *"}}), "schedule"),
        (
            json!({"window": {"start": "25:00", "end": "06:00"}}),
            "window",
        ),
        (json!({"overlap": {"skip": null}}), "overlap"),
        (json!({"catch_up": "some"}), "catch_up"),
        (json!({"settings": {"x": 1}}), "settings"),
        (json!({"range": {"days": 1}}), "range"),
    ] {
        let fields = patch(&api, None, &body).await.problem(422, "invalid");
        assert!(fields[0].starts_with(field), "{body}: {fields:?}");
    }
    for condition in ["3", "", "\"3", "x"] {
        assert_eq!(
            patch(&api, Some(condition), &json!({}))
                .await
                .problem(400, "malformed"),
            ["If-Match"]
        );
    }
    for condition in ["\"999\"", "W/\"1\"", "\"x\""] {
        patch(&api, Some(condition), &json!({"instances": 2}))
            .await
            .problem(412, "stale");
    }
    assert_eq!(api.get(PATH).await.json()["instances"], 1);
    assert_eq!(api.get("/api/v1/audit").await.json()["items"], json!([]));
}

#[actix_web::test]
async fn a_preview_shows_the_nights_of_the_clock() {
    let api = Api::start().await;
    let body = json!({
        "schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        "from": "2026-03-28T12:00:00Z", "count": 2
    });
    let items = api
        .post("/api/v1/robots/custom.idle/preview", &body)
        .await
        .json()["items"]
        .clone();
    assert_eq!(items[0]["at"], "2026-03-29T01:00:00Z");
    assert_eq!(items[0]["local"], "2026-03-29T03:00:00+02:00");
    assert_eq!(items[0]["note"], "gap");
    assert_eq!(items[1]["note"], Value::Null);
    for (body, field) in [
        (json!({}), "schedule"),
        (
            json!({"schedule": {"every": "PT1M"}, "count": 101}),
            "count",
        ),
        (
            json!({"schedule": {"every": "PT1M"}, "from": "9999-01-01T00:00:00Z"}),
            "from",
        ),
        (json!({"schedule": ["PT1M", null, null]}), "schedule"),
    ] {
        let fields = api
            .post("/api/v1/robots/custom.idle/preview", &body)
            .await
            .problem(422, "invalid");
        assert_eq!(fields, [field], "{body}");
    }
}
