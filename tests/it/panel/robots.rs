//! The page of all robots.

use super::rig::{LIVE, node};
use crate::support::browser::Browser;
use crate::support::node::Node;

#[tokio::test]
async fn robots_are_found_run_and_paused_without_leaving_the_page() {
    let Some(browser) = Browser::start("Asia/Tokyo").await else {
        return;
    };
    let node = node().await;
    browser.sign_in(&node, &node.token()).await;
    browser.open(&format!("{}/robots", node.url())).await;
    browser
        .until("document.querySelectorAll('tr[data-key]').length >= 14")
        .await;
    browser.until(LIVE).await;

    times_are_the_viewers(&browser).await;
    times_are_typed_as_they_are_read(&browser, &node).await;
    a_run_is_ordered_and_seen(&browser).await;
    robots_are_paused_and_resumed(&browser, &node).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// UTC is one hover away.
async fn times_are_the_viewers(browser: &Browser) {
    let shown = browser
        .value("document.querySelector('[data-live-state] time').textContent")
        .await;
    let utc = browser
        .value("document.querySelector('[data-live-state] time').title")
        .await;
    let hour = |text: &str| text[..2].parse::<u32>().unwrap();
    let (shown, utc) = (shown.as_str().unwrap(), utc.as_str().unwrap());
    assert!(utc.ends_with(" UTC"), "{utc}");
    assert_eq!(hour(shown), (hour(&utc[11..]) + 9) % 24, "{shown} {utc}");
}

/// In the viewer's zone; addresses have UTC.
async fn times_are_typed_as_they_are_read(browser: &Browser, node: &Node) {
    browser.open(&format!("{}/processes", node.url())).await;
    let field = "document.querySelector('[name=from]')";
    browser
        .value(&format!(
            "{field}.value = '1970-01-02T09:30', {field}.dispatchEvent(new Event('input', {{bubbles: true}}))"
        ))
        .await;
    browser
        .until("location.search === '?from=1970-01-02T00%3A30%3A00Z'")
        .await;
    let address = browser.value("location.href").await;
    browser.open(address.as_str().unwrap()).await;
    browser
        .until(&format!("{field}.value === '1970-01-02T09:30'"))
        .await;
    browser.open(&format!("{}/robots", node.url())).await;
    browser.until(LIVE).await;
}

async fn a_run_is_ordered_and_seen(browser: &Browser) {
    // What is typed is searched for, and the address says it.
    browser.fill("input[name=q]", "quick").await;
    browser
        .until("document.querySelectorAll('tr[data-key]').length === 1")
        .await;
    browser.until("location.search === '?q=quick'").await;

    // An order does not leave the page, and its end is seen without being asked for.
    browser.click("tr[data-key='custom.quick'] button").await;
    browser
        .until("document.querySelector('.told')?.textContent.startsWith('It runs as task')")
        .await;
    browser.until("document.querySelector('tr[data-key=\"custom.quick\"] .word.good')?.textContent === 'Succeeded'").await;
    assert_eq!(browser.value("location.search").await, "?q=quick");
    browser.until("document.querySelector('.spark svg').getAttribute('aria-label').startsWith('1 went well')").await;
}

/// All but one; a caution stands above.
async fn robots_are_paused_and_resumed(browser: &Browser, node: &Node) {
    browser.open(&format!("{}/robots", node.url())).await;
    browser.click(".head .actions a").await;
    browser
        .until("document.querySelector('.caution') !== null")
        .await;
    browser.click("input[value='custom.quick']").await;
    browser.click("button.main").await;
    browser
        .until("document.querySelector('.told')?.textContent.startsWith('Robots switched off: ')")
        .await;
    let robots = node.all("/robots").await;
    let on: Vec<_> = robots
        .iter()
        .filter(|robot| robot["enabled"] == true)
        .map(|robot| &robot["name"])
        .collect();
    assert_eq!(on, ["custom.quick"]);
    browser.click(".head .actions a:nth-child(2)").await;
    browser.click("form.change button.main").await;
    browser
        .until("document.querySelector('.told')?.textContent.startsWith('Robots switched on: ')")
        .await;
    assert!(
        node.all("/robots")
            .await
            .iter()
            .all(|robot| robot["enabled"] == true)
    );
}
