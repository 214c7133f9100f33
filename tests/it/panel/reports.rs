//! The reports on tasks and on what is in execution.

use reqwest::Method;
use serde_json::json;

use super::rig::{LIVE, Visitor, node};
use crate::support::browser::Browser;
use crate::support::counterpart::PATIENCE;
use crate::support::node::Node;

#[tokio::test]
async fn what_runs_is_seen_as_it_goes_and_can_be_stopped() {
    let Some(browser) = Browser::start("UTC").await else {
        return;
    };
    let mut node = node().await;
    browser.sign_in(&node, &node.token()).await;
    browser.open(&format!("{}/executions", node.url())).await;
    browser
        .until(
            "document.querySelector('.empty') !== null || document.querySelector('tbody') !== null",
        )
        .await;
    browser.until(LIVE).await;
    node.send(Method::POST, "/robots/custom.slow/run", json!({}))
        .await;
    browser
        .until("document.querySelector('tbody')?.textContent.includes('custom.slow')")
        .await;
    browser
        .until("document.querySelector('progress')?.value === 40")
        .await;
    assert!(browser.text("tbody").await.contains("copying"));

    // A node that is gone is told of with the time of what is shown; when it is back, so is the page.
    node.kill();
    browser.until("document.querySelector('[data-banner]').textContent.startsWith('Connection lost, showing data of')").await;
    assert!(
        browser.text("tbody").await.contains("custom.slow"),
        "what was known stays"
    );
    node.start().await;
    browser
        .until("document.querySelector('[data-banner]').hidden")
        .await;
    browser.until(LIVE).await;
    browser
        .until("document.querySelector('tbody')?.textContent.includes('custom.slow')")
        .await;

    browser.click("tbody .do button").await;
    browser
        .until("document.querySelector('.told')?.textContent.endsWith('was asked to stop.')")
        .await;
    node.until("/executions?robot=custom.slow", PATIENCE, |page| {
        page["items"].as_array().unwrap().is_empty()
    })
    .await;
    without_a_stream_the_page_asks(&browser, &node).await;
}

/// A proxy that lets no event stream through does not make a page stand still.
async fn without_a_stream_the_page_asks(browser: &Browser, node: &Node) {
    browser.devtools("Network.enable", json!({})).await;
    browser
        .devtools(
            "Network.setBlockedURLs",
            json!({"urls": [format!("{}/live", node.url())]}),
        )
        .await;
    browser.open(&format!("{}/executions", node.url())).await;
    browser
        .until("document.querySelector('.empty') !== null")
        .await;
    node.send(Method::POST, "/robots/custom.slow/run", json!({}))
        .await;
    browser
        .until("document.querySelector('tbody')?.textContent.includes('custom.slow')")
        .await;
    let state = "document.querySelector('[data-live-state]').dataset.state";
    assert_eq!(browser.value(state).await, "poll");
}

/// Why ticks did not run, who changed what, and what ran; as pages and as files.
#[tokio::test]
async fn reports_say_why_and_who() {
    let node = node().await;
    let change = json!({"enabled": false, "schedule": {"every": "PT1S"}});
    node.send(Method::PATCH, "/robots/custom.quick", change)
        .await;
    let broken = json!({"robot": "custom.broken", "max_attempts": 1});
    node.send(Method::POST, "/tasks", broken).await;
    for path in [
        "/ticks?robot=custom.quick&decision=skipped:disabled",
        "/processes?robot=custom.broken&outcome=failed",
    ] {
        node.until(path, PATIENCE, |page| page["items"][0].is_object())
            .await;
    }
    let visitor = Visitor::signed_in(&node, &node.token()).await;
    for (report, filters, said, column) in [
        (
            "ticks",
            "robot=custom.quick&decision=skipped%3Adisabled&last=1h",
            "The robot was switched off.",
            "planned_at",
        ),
        (
            "audit",
            "object=robot%3Acustom.quick&from=1970-01-01T00:00",
            "<b>enabled</b> <del>true</del> <ins>false</ins>",
            "prev_hash",
        ),
        (
            "processes",
            "robot=custom.broken&outcome=failed",
            "exit status 3",
            "error_class",
        ),
    ] {
        let page = visitor.get(&format!("/{report}?{filters}")).await;
        let page = page.text().await.unwrap();
        assert!(page.contains(said), "{report}: {page}");
        let file = visitor.get(&format!("/{report}.csv?{filters}")).await;
        let file = file.text().await.unwrap();
        let (head, rows) = file.split_once("\r\n").unwrap();
        assert!(
            head.contains(column) && !rows.is_empty(),
            "{report}: {file}"
        );
        let before = visitor.get(&format!("/{report}?to=1970-01-02T00:00")).await;
        let before = before.text().await.unwrap();
        assert!(before.contains("class=\"empty\""), "{report}: {before}");
    }
}

/// What nobody may be able to do to a page.
const EVIL: &str =
    "<script>document.title='owned'</script>\u{1b}[31m\u{202e}\"><img src=x onerror=alert(1)>";

#[tokio::test]
async fn tasks_are_filtered_paged_and_harmless_to_look_at() {
    let Some(browser) = Browser::start("UTC").await else {
        return;
    };
    let node = node().await;
    register_tasks(&node).await;
    browser.sign_in(&node, &node.token()).await;
    all_parts_are_reached(&browser, &node).await;
    what_failed_is_found_and_tried_again(&browser, &node).await;
    rows_that_are_read_stay_in_their_places(&browser, &node).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    all_rows_are_in_the_file(&node).await;
}

/// 120 tasks that wait, the last of them evil, and one that has failed.
async fn register_tasks(node: &Node) {
    let off = json!({"enabled": false});
    node.send(Method::PATCH, "/robots/custom.quick", off).await;
    let task = |payload| json!({"robot": "custom.quick", "payload": payload});
    let mut tasks: Vec<_> = (0..119).map(|n| task(json!({"n": n}))).collect();
    tasks.push(task(json!({"evil": EVIL})));
    node.send(Method::POST, "/tasks/batch", json!({"tasks": tasks}))
        .await;
    let broken = json!({"robot": "custom.broken", "max_attempts": 1});
    node.send(Method::POST, "/tasks", broken).await;
    let failed = "/tasks?robot=custom.broken&status=failed";
    node.until(failed, PATIENCE, |page| {
        !page["items"].as_array().unwrap().is_empty()
    })
    .await;
}

async fn all_parts_are_reached(browser: &Browser, node: &Node) {
    let rows = |count| format!("document.querySelectorAll('tbody tr').length === {count}");
    browser
        .open(&format!("{}/tasks?robot=custom.quick", node.url()))
        .await;
    browser.until(&rows(50)).await;
    let payload = browser.text("tbody tr code").await;
    assert!(payload.contains("<script>document.title='owned'"));
    assert_eq!(browser.value("document.title").await, "Tasks · robotd");
    let made = "document.querySelectorAll('tbody script, tbody img').length";
    assert_eq!(browser.value(made).await, 0);
    browser.click("a[rel=next]").await;
    browser.until("location.search.includes('cursor')").await;
    browser.until(&rows(50)).await;
    browser.click("a[rel=next]").await;
    browser.until(&rows(20)).await;
    browser
        .until("document.querySelector('a[rel=next]') === null")
        .await;
}

/// Filters apply as they are chosen.
async fn what_failed_is_found_and_tried_again(browser: &Browser, node: &Node) {
    browser.open(&format!("{}/tasks", node.url())).await;
    browser.choose("[name=status]", "failed").await;
    browser.until("location.search === '?status=failed'").await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 1")
        .await;
    let error = browser.text("tbody .error").await;
    assert!(error.contains('3'), "{error}");
    browser.click("tbody .do button").await;
    browser
        .until("document.querySelector('.told')?.textContent.endsWith('is queued again.')")
        .await;
}

/// New ones wait to be asked for.
async fn rows_that_are_read_stay_in_their_places(browser: &Browser, node: &Node) {
    let first = "document.querySelector('tbody tr').dataset.key";
    browser
        .open(&format!("{}/tasks?robot=custom.quick", node.url()))
        .await;
    browser.until(LIVE).await;
    let before = browser.value(first).await;
    browser.value("window.scrollTo(0, 400)").await;
    node.send(Method::POST, "/tasks", json!({"robot": "custom.quick"}))
        .await;
    browser
        .until("document.querySelector('[data-held]')?.textContent === '1 new, show them'")
        .await;
    assert_eq!(browser.value(first).await, before);
    browser.click("[data-held]").await;
    browser
        .until("document.querySelector('[data-held]') === null")
        .await;
    assert_ne!(browser.value(first).await, before);
    rows_that_come_move_none_at_once(browser, node).await;
}

/// Where nobody reads they come by themselves, and the others glide to their places.
async fn rows_that_come_move_none_at_once(browser: &Browser, node: &Node) {
    let first = "document.querySelector('tbody tr').dataset.key";
    browser
        .open(&format!("{}/tasks?robot=custom.quick", node.url()))
        .await;
    browser.point_nowhere().await;
    browser.until(LIVE).await;
    let before = browser.value(first).await;
    node.send(Method::POST, "/tasks", json!({"robot": "custom.quick"}))
        .await;
    browser.until(&format!("{first} !== {before}")).await;
    browser.until("document.getAnimations().length === 0").await;
    assert_eq!(browser.shift().await, 0.0);
}

/// Not only those of a page.
async fn all_rows_are_in_the_file(node: &Node) {
    let visitor = Visitor::signed_in(node, &node.token()).await;
    let file = visitor.get("/tasks.csv?robot=custom.quick").await;
    let name = file.headers()["content-disposition"].clone();
    assert_eq!(name, "attachment; filename=\"tasks.csv\"");
    let file = file.text().await.unwrap();
    assert!(file.starts_with("id,robot,trigger,status,"));
    assert_eq!(file.matches("custom.quick").count(), 122);
}
