//! The page of all robots.

use std::path::Path;

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
    browser
        .until("document.querySelectorAll('tr[data-key]').length >= 14")
        .await;
    browser.until(LIVE).await;

    times_are_the_viewers(&browser).await;
    a_run_is_ordered_and_seen(&browser).await;
    robots_are_paused_and_resumed(&browser, &node).await;
    nothing_sticks_out(&browser, &node).await;
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

/// Light and dark, wide and narrow. The pictures are for people to look at.
async fn nothing_sticks_out(browser: &Browser, node: &Node) {
    for (width, height) in [(1280, 900), (360, 740)] {
        browser.size(width, height).await;
        browser.click("[data-theme-switch]").await;
        for page in [
            "robots",
            "robots/custom.slow",
            "robots/custom.slow/change",
            "tasks",
            "executions",
        ] {
            browser.open(&format!("{}/{page}", node.url())).await;
            let name = format!("panel-{}-{width}.png", page.replace('/', "-"));
            browser
                .picture(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
                .await;
            let (wide, view) = (
                browser.value("document.documentElement.scrollWidth").await,
                browser.value("document.documentElement.clientWidth").await,
            );
            assert_eq!(wide, view, "{page} is wider than {width}");
        }
    }
}
