//! Changing a robot in place.

use reqwest::Method;
use serde_json::json;

use super::rig::{Visitor, node};
use crate::support::browser::Browser;
use crate::support::node::Node;

#[tokio::test]
async fn a_change_is_cautioned_previewed_and_safe_from_others() {
    let (Some(one), Some(other)) = (
        Browser::start("UTC").await,
        Browser::start("Europe/Berlin").await,
    ) else {
        return;
    };
    let node = node().await;
    for browser in [&one, &other] {
        browser.sign_in(&node, &node.token()).await;
        browser.open(&format!("{}/robots", node.url())).await;
        browser.click("tr[data-key='custom.slow'] .in-place").await;
        browser
            .until("document.activeElement.name === 'instances'")
            .await;
    }

    one_changes_it_by_keys_alone(&one, &node).await;
    the_other_is_shown_both(&other, &node).await;
    for browser in [&one, &other] {
        let complaints = browser.complaints().await;
        // The browser calls the answer to the older form an error.
        assert!(
            complaints.iter().all(|text| text.contains("409")),
            "{complaints:?}"
        );
    }
}

/// The number, Enter, the caution, Enter.
async fn one_changes_it_by_keys_alone(one: &Browser, node: &Node) {
    one.keys("5\u{e007}").await;
    one.until("document.querySelector('dialog .caution')?.textContent.includes('can make data unavailable')").await;
    assert_eq!(one.text("dialog .diff tbody").await, "Instances 2 5");
    let robot = node.get("/robots/custom.slow").await;
    assert_eq!(
        robot["instances"], 2,
        "nothing is changed before it is confirmed"
    );
    one.until("document.activeElement.textContent === 'Yes, change it'")
        .await;
    one.keys("\u{e007}").await;
    one.until("!document.querySelector('dialog').open").await;
    one.until("document.querySelector('.told').textContent === 'custom.slow is changed.'")
        .await;
    one.until(
        "document.querySelector('tr[data-key=\"custom.slow\"] .in-place').textContent === '0/5'",
    )
    .await;
}

/// Their form is older; what they did not touch is as it is now.
async fn the_other_is_shown_both(other: &Browser, node: &Node) {
    other
        .until("!document.querySelector('dialog [data-overtaken]').hidden")
        .await;
    other.click("dialog input[value=cron]").await;
    other.fill("dialog #cron", "30 2 * * *").await;
    other.fill("dialog #cron-zone", "Europe/Berlin").await;
    other
        .until("document.querySelector('dialog [data-ticks] .night') !== null")
        .await;
    let nights = other.text("dialog [data-ticks]").await;
    assert!(
        nights.contains("local time is skipped") && nights.contains("local time occurs twice"),
        "{nights}"
    );
    other.click("dialog button[value=save]").await;
    other.until("document.querySelector('dialog .caution')?.textContent.includes('Somebody else changed')").await;
    assert_eq!(
        other.text("dialog .diff tbody").await,
        "Schedule None daily at 02:30 Europe/Berlin"
    );
    assert_eq!(
        other
            .value("document.querySelector('dialog #instances').value")
            .await,
        "5"
    );
    other.click("dialog button[value=save]").await;
    other
        .click("dialog input[name=confirmed] ~ .foot button.main")
        .await;
    other.until("!document.querySelector('dialog').open").await;
    let robot = node.get("/robots/custom.slow").await;
    assert_eq!(
        (&robot["instances"], &robot["schedule"]["cron"]),
        (&json!(5), &json!("30 2 * * *"))
    );
    let audit = node.all("/audit").await;
    let changes = audit
        .iter()
        .filter(|entry| entry["object"] == "robot:custom.slow")
        .count();
    assert_eq!(changes, 2);
}

/// Somebody without scripts at the form of `custom.quick`.
struct Form {
    visitor: Visitor,
    form_token: String,
    revision: String,
}

impl Form {
    /// The form with some fields changed. Answers status and page.
    async fn send(&self, changed: &[(&str, &str)]) -> (u16, String) {
        self.order("change", changed).await
    }

    async fn order(&self, order: &str, changed: &[(&str, &str)]) -> (u16, String) {
        let mut fields = vec![
            ("form_token", self.form_token.as_str()),
            ("revision", &self.revision),
            ("enabled", "on"),
            ("instances", "1"),
            ("kind", "none"),
            ("windowed", "always"),
            ("timeout", "5 min"),
            ("settings", "{}"),
        ];
        fields.retain(|(name, _)| changed.iter().all(|(known, _)| known != name));
        fields.extend(changed);
        let path = format!("/robots/custom.quick/{order}");
        let answer = self.visitor.post(&path, &fields).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

const NIGHTS: [(&str, &str); 6] = [
    ("windowed", "only"),
    ("start", "22:00"),
    ("end", "06:00"),
    ("day", "mon"),
    ("window_timezone", "America/Sao_Paulo"),
    ("at_close", "drain"),
];

#[tokio::test]
async fn a_form_works_without_scripts() {
    let node = node().await;
    let patch = json!({"timeout": "PT5M"});
    node.send(Method::PATCH, "/robots/custom.quick", patch)
        .await;
    let visitor = Visitor::signed_in(&node, &node.token()).await;
    let form = Form {
        form_token: visitor.form_token().await,
        visitor,
        revision: node.get("/robots/custom.quick").await["revision"].to_string(),
    };
    for (field, value, said) in [
        ("instances", "many", "must be a whole number"),
        ("instances", "99999", "must"),
        ("timeout", "soon", "write it as"),
        ("settings", "{", "is not JSON"),
        ("settings", "[]", "must be an object"),
        ("kind", "cron", "cron"),
    ] {
        let (status, page) = form.send(&[(field, value)]).await;
        assert_eq!(status, 422, "{field} = {value}: {page}");
        assert!(page.contains(said), "{field} = {value}: {page}");
    }
    assert_eq!(form.send(&[]).await.0, 303, "as it was");
    let robot = node.get("/robots/custom.quick").await;
    assert_eq!(robot["revision"].to_string(), form.revision);

    let (status, page) = form.send(&NIGHTS).await;
    let words = "22:00–06:00 Mon America/Sao_Paulo; then open runs finish";
    assert!(status == 200 && page.contains(words), "{page}");
    let confirmed = [NIGHTS.as_slice(), &[("confirmed", "yes")]].concat();
    assert_eq!(form.send(&confirmed).await.0, 303);
    let window = json!({"start": "22:00", "end": "06:00", "days": ["mon"], "timezone": "America/Sao_Paulo", "at_close": "drain"});
    assert_eq!(node.get("/robots/custom.quick").await["window"], window);
    assert_eq!(form.send(&[]).await.0, 409, "the revision is an older one");
    let robot = node.get("/robots/custom.quick").await;
    let revision = robot["revision"].to_string();
    let (status, page) = form.order("reset", &[("revision", &revision)]).await;
    assert!(
        status == 200 && page.contains("can make data unavailable"),
        "{page}"
    );
    assert!(page.contains(words), "what is lost is shown: {page}");
    assert_eq!(node.get("/robots/custom.quick").await["window"], window);
    let confirmed = [("revision", revision.as_str()), ("confirmed", "yes")];
    assert_eq!(form.order("reset", &confirmed).await.0, 303);
    let robot = node.get("/robots/custom.quick").await;
    assert!(robot["window"].is_null(), "{robot}");
}
