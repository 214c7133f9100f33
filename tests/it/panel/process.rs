//! The pages of one process and of one task.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use super::rig::{Visitor, node, token};
use crate::support::browser::Browser;
use crate::support::counterpart::PATIENCE;
use crate::support::node::Node;

#[tokio::test]
async fn a_log_is_followed_searched_and_kept() {
    let Some(browser) = Browser::start("UTC").await else {
        return;
    };
    let node = node().await;
    let go_on = node.path("go-on");
    let process = chatter(&node, &json!(go_on)).await;
    browser.sign_in(&node, &node.token()).await;
    let page = format!("{}/processes/{process}", node.url());
    browser.open(&page).await;

    its_end_is_shown_and_harmless(&browser, &process).await;
    every_line_is_reached(&browser, &page).await;

    browser.open(&page).await;
    browser.value("window.here = true").await;
    fs::write(&go_on, "").unwrap();
    let said = "document.querySelector('.log li:last-child .said').textContent";
    browser.until(&format!("{said} === 'it went on'")).await;
    browser
        .until("document.querySelector('#process .word.good')?.textContent === 'Succeeded'")
        .await;
    assert_eq!(
        browser.value("window.here").await,
        true,
        "without leaving the page"
    );
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    let visitor = Visitor::signed_in(&node, &node.token()).await;
    let file = visitor.get(&format!("/processes/{process}/log.txt")).await;
    let name = format!("attachment; filename=\"process-{process}.log\"");
    assert_eq!(file.headers()["content-disposition"], name);
    let file = file.text().await.unwrap();
    assert_eq!(file.lines().count(), 1_002);
    assert!(file.contains("\u{1b}[31m<script>"), "as it was written");
}

/// A run of `custom.chatty` that has written its long log.
async fn chatter(node: &Node, payload: &Value) -> String {
    let order = json!({"robot": "custom.chatty", "payload": payload});
    node.send(Method::POST, "/tasks", order).await;
    let running = "/executions?robot=custom.chatty";
    let found = node
        .until(running, PATIENCE, |page| page["items"][0]["id"].is_string())
        .await;
    let process = found["items"][0]["id"].as_str().unwrap().to_owned();
    let last = format!("/processes/{process}/log?contains=SCRIPT");
    node.until(&last, PATIENCE, |log| log["items"][0]["seq"] == 1_001)
        .await;
    process
}

async fn its_end_is_shown_and_harmless(browser: &Browser, process: &str) {
    browser
        .until("document.querySelectorAll('.log li').length === 200")
        .await;
    let last = browser.text(".log li:last-child .said").await;
    assert_eq!(last, "␛[31m<script>document.title='owned'</script>‹U+202E›");
    let title = format!("Process {process} · robotd");
    assert_eq!(browser.value("document.title").await, title);
    let made = "document.querySelectorAll('main script').length";
    assert_eq!(browser.value(made).await, 0);
    let list = "document.querySelector('.log')";
    browser
        .until(&format!(
            "{list}.scrollTop + {list}.clientHeight >= {list}.scrollHeight - 8"
        ))
        .await;
}

async fn every_line_is_reached(browser: &Browser, page: &str) {
    let first = "document.querySelector('.log li .said').textContent";
    browser.click("a[rel=prev]").await;
    browser
        .until(&format!("{first} === 'line 602 of many'"))
        .await;
    browser.click("a[rel=prev]").await;
    browser
        .until(&format!("{first} === 'line 402 of many'"))
        .await;
    browser.click("a[rel=next]").await;
    browser
        .until(&format!("{first} === 'line 602 of many'"))
        .await;

    browser.fill("[name=contains]", "LINE 77").await;
    browser.keys("\u{e007}").await;
    browser
        .until("document.querySelectorAll('.log li').length === 11")
        .await;
    browser.open(&format!("{page}?contains=of+many")).await;
    browser
        .until(&format!("{first} === 'line 1 of many'"))
        .await;
    browser.click("a[rel=next]").await;
    browser
        .until(&format!("{first} === 'line 201 of many'"))
        .await;
    browser.open(&format!("{page}?contains=nowhere")).await;
    assert!(browser.text("[data-log-empty]").await.contains("No line"));
}

#[tokio::test]
async fn a_task_is_tried_again_by_those_who_may() {
    let Some(browser) = Browser::start("UTC").await else {
        return;
    };
    let node = node().await;
    let order =
        json!({"robot": "custom.broken", "max_attempts": 1, "payload": {"why": "\u{1b}<b>"}});
    let task = node.send(Method::POST, "/tasks", order).await;
    let task = task["id"].as_str().unwrap().to_owned();
    let failed = |task: &Value| task["status"] == "failed";
    let ended = node
        .until(&format!("/tasks/{task}"), PATIENCE, failed)
        .await;
    let process = ended["process"].as_str().unwrap();
    who_may_not_is_refused(&node, &task, process).await;

    browser.sign_in(&node, &node.token()).await;
    browser.open(&format!("{}/tasks/{task}", node.url())).await;
    let payload = browser.text("[aria-labelledby=payload] pre").await;
    assert!(payload.contains("\"why\": \"\\u001b<b>\""), "{payload}");
    browser.click(".actions button.main").await;
    browser
        .until("document.querySelector('.told')?.textContent.endsWith('is queued again.')")
        .await;
    browser
        .until("document.querySelectorAll('#task tbody tr').length === 2")
        .await;
    browser.click("#task tbody a").await;
    browser
        .until("document.querySelector('#process pre.error') !== null")
        .await;
    assert!(browser.text(".log").await.contains("it broke"));
    assert_eq!(
        browser
            .value("document.querySelectorAll('#process tbody tr').length")
            .await,
        2
    );
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    assert_eq!(
        Visitor::signed_in(&node, &node.token())
            .await
            .get("/processes/999999999")
            .await
            .status(),
        404
    );
}

/// What one may not do is not offered, and refused when forced or sent from elsewhere.
async fn who_may_not_is_refused(node: &Node, task: &str, process: &str) {
    let viewer = Visitor::signed_in(node, &token(node, "viewer")).await;
    let operator = Visitor::signed_in(node, &token(node, "operator")).await;
    let retry = format!("/tasks/{task}/retry");
    for page in [format!("/tasks/{task}"), format!("/processes/{process}")] {
        for (visitor, offered) in [(&viewer, false), (&operator, true)] {
            let page = visitor.get(&page).await.text().await.unwrap();
            assert_eq!(page.contains(&retry), offered);
        }
    }
    let form_token = viewer.form_token().await;
    for (visitor, form_token) in [
        (&viewer, form_token.as_str()),
        (&operator, form_token.as_str()),
        (&operator, ""),
    ] {
        for path in [&retry, &format!("/executions/{process}/cancel")] {
            let answer = visitor.post(path, &[("form_token", form_token)]).await;
            assert_eq!(answer.status(), 403, "{path}");
        }
    }
}
