//! What is true of every page: everybody can use it, in light and dark, on a wide screen and a narrow one, and it is there
//! at once.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use super::rig::{LIVE, node};
use crate::support::browser::Browser;
use crate::support::counterpart::{PATIENCE, skipped};
use crate::support::node::Node;

/// What goes over the line for a page, nothing kept from before.
const PAGE_BYTES_MAX: u64 = 100_000;
/// When the first view can be used, in milliseconds; the quickest of a few, for others work on this machine too.
const INTERACTIVE_MAX: u64 = 1_000;
/// Views of which it is the quickest.
const VIEWS: usize = 3;

/// Where axe-core lies, which `tests/axe` fetches, and where pictures for the documentation go, if they are wanted.
#[expect(
    clippy::disallowed_methods,
    reason = "only the environment tells what tests/run has prepared"
)]
fn prepared(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

#[tokio::test]
async fn every_page_is_for_everybody() {
    let Some(axe) = prepared("ROBOTD_TEST_AXE") else {
        return skipped("there is no axe-core: bash tests/axe");
    };
    let Some(browser) = Browser::start("Europe/Berlin").await else {
        return;
    };
    let node = node().await;
    let pages = pages(&node).await;
    let source = std::fs::read_to_string(axe).unwrap();
    browser
        .devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": source}),
        )
        .await;
    browser.open(&format!("{}/sign-in", node.url())).await;
    assert_eq!(findings(&browser).await, Vec::<Value>::new(), "/sign-in");
    browser.sign_in(&node, &node.token()).await;
    the_first_view_is_quick(&browser, &node).await;
    let mut wrong = Vec::new();
    for (theme, width, height) in [("light", 1280, 860), ("dark", 360, 740)] {
        browser.size(width, height).await;
        paint(&browser, theme).await;
        for page in &pages {
            browser
                .devtools("Network.clearBrowserCache", json!({}))
                .await;
            browser.open(&format!("{}{page}", node.url())).await;
            browser.until("document.readyState === 'complete'").await;
            browser
                .keep_picture(&format!("{page}-{theme}-{width}"))
                .await;
            let found = what_is_wrong(&browser).await;
            wrong.extend(found.map(|found| format!("{page} in {theme} at {width}: {found}")));
        }
    }
    pictures(&browser, &node, &pages).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All pages, with something to see on each.
async fn pages(node: &Node) -> Vec<String> {
    let evil =
        json!({"robot": "custom.broken", "max_attempts": 1, "payload": {"<b>": "\u{1b}[31m"}});
    let task = node.send(Method::POST, "/tasks", evil).await;
    let task = format!("/tasks/{}", task["id"].as_str().unwrap());
    let failed = node
        .until(&task, PATIENCE, |task| task["status"] == "failed")
        .await;
    let off = json!({"enabled": false});
    node.send(Method::PATCH, "/robots/custom.quick", off).await;
    let waiting = json!({"robot": "custom.quick", "payload": {"site": "north", "rows": 40}});
    node.send(Method::POST, "/tasks", waiting).await;
    for robot in ["custom.slow", "custom.chatty"] {
        let path = format!("/robots/{robot}/run");
        node.send(Method::POST, &path, json!({})).await;
    }
    let running = "/executions?robot=custom.chatty";
    let running = node
        .until(running, PATIENCE, |page| page["items"][0]["id"].is_string())
        .await;
    let mut pages: Vec<_> = [
        "/",
        "/robots",
        "/robots/custom.slow",
        "/robots/custom.slow/change",
        "/robots/switch?to=off",
        "/executions",
        "/tasks",
        "/processes",
        "/ticks",
        "/audit",
        "/inventory/devices",
        "/inventory/credentials",
        "/nowhere",
    ]
    .map(str::to_owned)
    .into();
    pages.push(task);
    pages.extend(
        [&running["items"][0]["id"], &failed["process"]]
            .map(|id| format!("/processes/{}", id.as_str().unwrap())),
    );
    pages
}

async fn paint(browser: &Browser, theme: &str) {
    let cookie = format!("document.cookie = 'robotd_theme={theme}; path=/'");
    browser.value(&cookie).await;
}

/// What is wrong with the page that is open: somebody cannot use it, it is wider than the window, it moves, or it is large.
async fn what_is_wrong(browser: &Browser) -> impl Iterator<Item = String> + use<> {
    let wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let wide = browser.value(wide).await;
    let moved = browser.shift().await;
    let of_size = (wide != 0).then(|| format!("{wide} pixels too wide"));
    let of_shift = (moved > 0.0).then(|| format!("moved by {moved} after it was shown"));
    let bytes = browser.transferred().await;
    let of_bytes = (bytes >= PAGE_BYTES_MAX).then(|| format!("{bytes} bytes"));
    let found = findings(browser).await.into_iter();
    found
        .map(|finding| finding.to_string())
        .chain(of_size)
        .chain(of_shift)
        .chain(of_bytes)
}

/// What axe-core finds that keeps people from using a page.
async fn findings(browser: &Browser) -> Vec<Value> {
    let found = browser
        .answer("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.filter(one => ['serious', 'critical'].includes(one.impact)).map(one => ({id: one.id, nodes: one.nodes.slice(0, 3).map(node => node.html + ' ' + node.failureSummary)})))")
        .await;
    found.as_array().unwrap().clone()
}

async fn the_first_view_is_quick(browser: &Browser, node: &Node) {
    let mut quickest = u64::MAX;
    for _ in 0..VIEWS {
        browser
            .devtools("Network.clearBrowserCache", json!({}))
            .await;
        browser.open(&format!("{}/", node.url())).await;
        browser.until(LIVE).await;
        let interactive = browser
            .value("Math.round(performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd)")
            .await;
        quickest = quickest.min(interactive.as_u64().unwrap());
    }
    let bytes = browser.transferred().await;
    println!("the first view has {bytes} bytes and can be used after {quickest} ms");
    assert!(bytes > 5_000, "all is counted: {bytes}");
    assert!(quickest < INTERACTIVE_MAX, "{quickest} ms");
}

/// The pictures of the documentation, see `tests/screenshots`.
async fn pictures(browser: &Browser, node: &Node, pages: &[String]) {
    let Some(folder) = prepared("ROBOTD_TEST_SCREENSHOTS") else {
        return;
    };
    let process = &pages[pages.len() - 2];
    browser.size(1120, 760).await;
    for theme in ["light", "dark"] {
        paint(browser, theme).await;
        for (name, page) in [
            ("overview", "/"),
            ("robots", "/robots"),
            ("process", process.as_str()),
            ("ticks", "/ticks"),
        ] {
            browser.open(&format!("{}{page}", node.url())).await;
            browser.until(LIVE).await;
            browser
                .picture(&folder.join(format!("{name}-{theme}.png")))
                .await;
        }
    }
}
