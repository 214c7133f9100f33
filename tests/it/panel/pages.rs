//! What is true of every page: everybody can use it, in light and dark, on a wide screen and a narrow one, and it is there
//! at once.

use chrono::TimeDelta;
use reqwest::Method;
use robotd::clock::{Clock as _, SystemClock};
use robotd::domain::id::NodeId;
use robotd::store::{Store, StoreConfig};
use serde_json::{Value, json};

use super::rig::{LIVE, asked, node_with, token};
use crate::support::browser::{Browser, prepared};
use crate::support::counterpart::{PATIENCE, skipped};
use crate::support::form::{form, media};
use crate::support::node::Node;

/// Where pictures for the documentation go, if they are wanted.
const PICTURES: &str = "ROBOTD_TEST_SCREENSHOTS";
/// Runs of the hours before such pictures.
const RUNS: [u32; 23] = [
    20, 18, 12, 10, 10, 14, 40, 90, 160, 220, 260, 240, 200, 210, 250, 230, 180, 120, 80, 60, 45,
    35, 30,
];

/// What goes over the line for a page, nothing kept from before.
const PAGE_BYTES_MAX: u64 = 100_000;

/// Which rules of axe-core: its own choice, and those that depend on colours and on the width.
const ALL: &str = "";
const OF_LOOKS: &str =
    "runOnly: {type: 'rule', values: ['color-contrast', 'scrollable-region-focusable']}";
/// A robot of the longest name that there may be.
const LONG: &str = r#"
[[robot]]
name = "custom.a_robot_of_the_longest_name_that_one_may_have_0123456789a"
command = ["/bin/true"]
"#;
/// What a number that gets longer while it is shown may move. A tenth is called good (Web Vitals, cumulative layout shift).
const SHIFT_MAX: f64 = 0.01;
/// A device of a long one, and the file that has it.
const HOSTNAME: &str = "a-device-whose-name-has-as-many-letters-as-may-be-1.example.org";
const FILE: &str = "a_spreadsheet_with_a_name_that_goes_on_and_on_without_a_single_blank_in_it.csv";

#[tokio::test]
async fn every_page_is_for_everybody() {
    let Some(axe) = prepared("ROBOTD_TEST_AXE") else {
        return skipped("there is no axe-core: bash tests/axe");
    };
    let Some(browser) = Browser::start("Europe/Berlin").await else {
        return;
    };
    let mut node = node_with(LONG).await;
    if prepared(PICTURES).is_some() {
        a_day_lies_behind(&mut node).await;
    }
    let pages = pages(&node).await;
    let source = std::fs::read_to_string(axe).unwrap();
    browser
        .devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": source}),
        )
        .await;
    browser.open(&format!("{}/sign-in", node.url())).await;
    assert_eq!(
        findings(&browser, ALL).await,
        Vec::<Value>::new(),
        "/sign-in"
    );
    browser.sign_in(&node, &node.token()).await;
    the_first_view_is_small(&browser, &node).await;
    let mut wrong = Vec::new();
    for (theme, width, height, rules) in [("light", 1280, 860, ALL), ("dark", 360, 740, OF_LOOKS)] {
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
            let found = what_is_wrong(&browser, rules).await;
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
    let long = LONG.split('"').nth(1).unwrap();
    for robot in ["custom.quick", long] {
        let path = format!("/robots/{robot}");
        node.send(Method::PATCH, &path, json!({"enabled": false}))
            .await;
        let waiting = json!({"robot": robot, "payload": {"site": "north", "rows": 40}});
        node.send(Method::POST, "/tasks", waiting).await;
    }
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
        "/approvals",
        "/processes",
        "/ticks",
        "/audit",
        "/inventory/devices",
        "/inventory/credentials",
        "/operations",
        "/imports",
        "/nowhere",
    ]
    .map(str::to_owned)
    .into();
    pages.push(format!("/robots/{long}"));
    pages.extend(things(node).await);
    pages.push(task);
    pages.extend(
        [&running["items"][0]["id"], &failed["process"]]
            .map(|id| format!("/processes/{}", id.as_str().unwrap())),
    );
    pages
}

/// The pages of an import, of what it made, and of what is to be done to that, or waits for somebody's decision.
async fn things(node: &Node) -> [String; 6] {
    let file = format!(
        "hostname,address,username,secret,automatic_change\n{HOSTNAME},192.0.2.7,deploy,S3cret,false\n,,,,\n{HOSTNAME},,deploy,,perhaps\n"
    );
    let sent = node
        .request(Method::POST, "/imports")
        .header("content-type", media())
        .body(form(&[("file", Some(FILE), file.as_bytes())]));
    assert_eq!(sent.send().await.unwrap().status(), 202);
    let done = |page: &Value| !page["items"][0]["finished_at"].is_null();
    let import = node.until("/imports", PATIENCE, done).await;
    let first = async |list: &str| {
        let list = node.get(list).await;
        list["items"][0]["id"].as_str().unwrap().to_owned()
    };
    let (device, credential) = (first("/devices").await, first("/credentials").await);
    let later = json!({"kind": "test", "credential": credential, "run_at": "2099-01-01T00:00:00Z"});
    let operation = node.send(Method::POST, "/operations", later).await;
    let of = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let guarded = json!({"name": "n".repeat(255), "kind": "test", "username": "deploy", "approval_role": "admin",
        "schedule": {"cron": "0 12 * * *"}, "window": {"start": "22:00", "end": "06:00"}});
    let guarded = node.send(Method::POST, "/task-definitions", guarded).await;
    let waits = asked(node, &token(node, "operator"), &guarded["id"]).await;
    let one = |page: &Value| page["items"][0].is_object();
    node.until("/task-approvals", PATIENCE, one).await;
    [
        format!("/tasks/{waits}"),
        format!("/inventory/task-definitions/{}", of(&guarded)),
        format!("/imports/{}", of(&import["items"][0])),
        format!("/inventory/devices/{device}"),
        format!("/inventory/credentials/{credential}"),
        format!("/operations/{}", of(&operation)),
    ]
}

async fn paint(browser: &Browser, theme: &str) {
    let cookie = format!("document.cookie = 'robotd_theme={theme}; path=/'");
    browser.value(&cookie).await;
}

/// What is wrong with the page that is open: somebody cannot use it, it is wider than the window, it moves, or it is large.
async fn what_is_wrong(browser: &Browser, rules: &str) -> impl Iterator<Item = String> + use<> {
    let wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let wide = browser.value(wide).await;
    let moved = browser.shift().await;
    let of_size = (wide != 0).then(|| format!("{wide} pixels too wide"));
    let of_shift = (moved > SHIFT_MAX).then(|| format!("moved by {moved} after it was shown"));
    let bytes = browser.transferred().await;
    let of_bytes = (bytes >= PAGE_BYTES_MAX).then(|| format!("{bytes} bytes"));
    let found = findings(browser, rules).await.into_iter();
    found
        .map(|finding| finding.to_string())
        .chain(of_size)
        .chain(of_shift)
        .chain(of_bytes)
}

/// What axe-core finds that keeps people from using a page, by these rules.
async fn findings(browser: &Browser, rules: &str) -> Vec<Value> {
    let found = browser
        .answer(&format!("axe.run(document, {{resultTypes: ['violations'], preload: false, {rules}}}).then(found => found.violations.filter(one => ['serious', 'critical'].includes(one.impact)).map(one => ({{id: one.id, nodes: one.nodes.slice(0, 3).map(node => node.html + ' ' + node.failureSummary)}})))"))
        .await;
    found.as_array().unwrap().clone()
}

/// And can be used at once; how soon is a figure, which others on this machine change.
async fn the_first_view_is_small(browser: &Browser, node: &Node) {
    browser
        .devtools("Network.clearBrowserCache", json!({}))
        .await;
    browser.open(&format!("{}/", node.url())).await;
    browser.until(LIVE).await;
    let interactive = browser
        .value("Math.round(performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd)")
        .await;
    let bytes = browser.transferred().await;
    println!("the first view has {bytes} bytes and can be used after {interactive} ms");
    assert!((5_000..PAGE_BYTES_MAX).contains(&bytes), "{bytes} bytes");
}

/// Runs of the last day, for the charts.
async fn a_day_lies_behind(node: &mut Node) {
    node.stop().await;
    let path = node.data_dir().join("robotd.db");
    let store = Store::open(StoreConfig::Sqlite { path }).await.unwrap();
    // The oldest first: ids rise with time.
    for (hour, count) in (1..=23).rev().zip(RUNS) {
        let from = SystemClock.now() - TimeDelta::hours(hour);
        let step = 3_600_000_000 / i64::from(count);
        let filled = store.bench_fill_finished(NodeId(1), count, from, step);
        filled.await.unwrap();
    }
    drop(store);
    node.start().await;
}

/// The pictures of the documentation, see `tests/screenshots`.
async fn pictures(browser: &Browser, node: &Node, pages: &[String]) {
    let Some(folder) = prepared(PICTURES) else {
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
