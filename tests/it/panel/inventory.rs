//! The pages of the inventory.

use reqwest::Method;
use serde_json::{Value, json};

use super::orders::{
    a_file_is_sent_and_its_rows_are_seen, operations_are_seen_and_cancelled, tasks_are_decided_on,
};
use super::rig::{LIVE, Visitor, node, token};
use crate::support::browser::Browser;
use crate::support::node::Node;

const SECRET: &str = "correct <horse> battery";

#[tokio::test]
async fn things_are_found_and_a_secret_is_shown_on_request() {
    let Some(browser) = Browser::start("UTC").await else {
        return;
    };
    let node = node().await;
    let credential = stock(&node).await;
    browser.sign_in(&node, &node.token()).await;
    browser
        .open(&format!("{}/inventory/devices", node.url()))
        .await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 2")
        .await;
    // What somebody else adds is seen, and all of it is in the file.
    browser.point_nowhere().await;
    browser.until(LIVE).await;
    let third = json!({"hostname": "mail-1", "address": "192.0.2.9"});
    node.send(Method::POST, "/devices", third).await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 3")
        .await;
    all_things_are_in_the_file(&node).await;
    browser.fill("[name=hostname]", "db-1").await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 1")
        .await;
    let row = browser.text("tbody").await;
    assert!(row.contains("db-1") && row.contains("Berlin"), "{row}");
    browser.click("tbody th a").await;
    browser
        .until("document.querySelector('h1').textContent === 'db-1'")
        .await;
    assert!(browser.text("main").await.contains("ssh"));

    browser.open(&format!("{}{credential}", node.url())).await;
    let page = browser.value("document.documentElement.outerHTML").await;
    assert!(!page.as_str().unwrap().contains("horse"));
    browser.fill("#reason", "a night call").await;
    browser.click("main form button").await;
    browser
        .until("document.querySelector('.secret') !== null")
        .await;
    assert_eq!(browser.text(".secret").await, SECRET);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    let audit = node.get("/audit?limit=1").await;
    let entry = &audit["items"][0];
    assert!(entry.to_string().contains("a night call"), "{entry}");
    assert!(!node.log().contains("horse") && !audit.to_string().contains("horse"));

    who_may_not_see_it_is_refused(&node, &credential).await;
    a_file_is_sent_and_its_rows_are_seen(&browser, &node).await;
    operations_are_seen_and_cancelled(&browser, &node).await;
    tasks_are_decided_on(&browser, &node).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Two devices, one of them in Berlin and with an account. Answers the page of its credential.
async fn stock(node: &Node) -> String {
    let id = |made: Value| made["id"].clone();
    let site = node
        .send(Method::POST, "/sites", json!({"name": "Berlin"}))
        .await;
    let device = json!({"hostname": "db-1", "address": "192.0.2.7", "site": id(site), "connectivities": [{"protocol": "ssh", "port": 22}]});
    let device = node.send(Method::POST, "/devices", device).await;
    let other = json!({"hostname": "web-1", "address": "192.0.2.8"});
    node.send(Method::POST, "/devices", other).await;
    let credential = json!({"device": id(device), "username": "root", "automatic_change": false, "secret": SECRET});
    let credential = node.send(Method::POST, "/credentials", credential).await;
    format!(
        "/inventory/credentials/{}",
        credential["id"].as_str().unwrap()
    )
}

async fn all_things_are_in_the_file(node: &Node) {
    let visitor = Visitor::signed_in(node, &node.token()).await;
    let file = visitor.get("/inventory/devices.csv?hostname=db-1").await;
    let name = file.headers()["content-disposition"].clone();
    assert_eq!(name, "attachment; filename=\"devices.csv\"");
    let file = file.text().await.unwrap();
    let lines: Vec<_> = file.lines().collect();
    assert!(
        lines[0].starts_with("id,") && lines[0].contains("hostname"),
        "{file}"
    );
    assert!(lines.len() == 2 && lines[1].contains("db-1"), "{file}");
    let secrets = visitor.get("/inventory/credentials.csv").await;
    let secrets = secrets.text().await.unwrap();
    assert!(
        secrets.contains("root") && !secrets.contains("horse"),
        "{secrets}"
    );
}

async fn who_may_not_see_it_is_refused(node: &Node, credential: &str) {
    let viewer = Visitor::signed_in(node, &token(node, "viewer")).await;
    let page = viewer.get(credential).await.text().await.unwrap();
    assert!(page.contains("root") && !page.contains("/secret\""));
    let form_token = viewer.form_token().await;
    let forced = viewer
        .post(
            &format!("{credential}/secret"),
            &[("form_token", &form_token)],
        )
        .await;
    assert_eq!(forced.status(), 403);
    for nowhere in [
        "/inventory/spoons",
        "/inventory/spoons.csv",
        "/inventory/devices/0",
        "/inventory/devices/999",
    ] {
        assert_eq!(viewer.get(nowhere).await.status(), 404, "{nowhere}");
    }
}
