//! The first page.

use reqwest::Method;
use serde_json::json;

use super::rig::{LIVE, node};
use crate::support::browser::Browser;
use crate::support::node::Node;

#[tokio::test]
async fn what_needs_attention_stands_first() {
    let Some(browser) = Browser::start("UTC").await else {
        return;
    };
    let mut node = node().await;
    let off = json!({"enabled": false});
    node.send(Method::PATCH, "/robots/custom.quick", off).await;
    browser.sign_in(&node, &node.token()).await;
    browser.until("location.pathname === '/'").await;
    browser.until(LIVE).await;
    let needs = browser.text(".needs").await;
    assert!(!needs.contains("Broken"), "{needs}");
    assert!(needs.contains("switched off: Quick"), "{needs}");
    assert!(needs.contains("tell nobody by mail"), "{needs}");

    what_fails_is_seen_at_once(&browser, &node).await;
    who_works_and_what_waits_is_seen(&browser, &node).await;

    // The node goes and comes back: what was known stays, with its time.
    node.kill();
    browser
        .until("document.querySelector('[data-banner]').textContent.startsWith('Connection lost, showing data of')")
        .await;
    assert!(browser.text(".needs").await.contains("Broken"));
    node.start().await;
    browser
        .until("document.querySelector('[data-banner]').hidden")
        .await;
    browser.click(".needs li a").await;
    browser
        .until("location.pathname.startsWith('/processes/')")
        .await;
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|text| text.contains("ERR_")),
        "only what the line lost: {complaints:?}"
    );
}

/// First of all, without being asked for.
async fn what_fails_is_seen_at_once(browser: &Browser, node: &Node) {
    let broken = json!({"robot": "custom.broken", "max_attempts": 1});
    node.send(Method::POST, "/tasks", broken).await;
    let first = "document.querySelector('.needs li')";
    browser
        .until(&format!("{first}?.textContent.includes('Broken')"))
        .await;
    browser
        .until("document.querySelector('[aria-labelledby=failures] svg') !== null")
        .await;
    let chart =
        "document.querySelector('[aria-labelledby=failures] svg').getAttribute('aria-label')";
    assert_eq!(browser.value(chart).await, "0 went well, 1 went wrong");
    let axis = browser.text("[aria-labelledby=latency] .axis").await;
    assert!(axis.contains("ms"), "{axis}");
}

async fn who_works_and_what_waits_is_seen(browser: &Browser, node: &Node) {
    let waiting = json!({"tasks": [{"robot": "custom.quick"}, {"robot": "custom.quick"}]});
    node.send(Method::POST, "/tasks/batch", waiting).await;
    browser
        .until("document.querySelector('[aria-labelledby=queues] td.number')?.textContent === '2'")
        .await;
    let chart =
        "document.querySelector('[aria-labelledby=waiting] svg')?.getAttribute('aria-label')";
    browser
        .until(&format!("{chart} === '2 at once at most'"))
        .await;
    node.send(Method::POST, "/robots/custom.slow/run", json!({}))
        .await;
    browser
        .until("document.querySelector('.tree tr[data-key=\"custom.slow\"]').textContent.includes('1 / ')")
        .await;
    let nodes = browser.text("[aria-labelledby=nodes]").await;
    assert!(nodes.contains("Alive"), "{nodes}");
}
