//! Five hundred robots of the operator's own.

use serde_json::json;

use super::rig::{LIVE, Visitor};
use crate::support::browser::Browser;
use crate::support::node::Node;

const ROBOTS: usize = 500;
/// What goes over the line for a page of all of them.
const PAGE_BYTES_MAX: u64 = 100_000;

#[tokio::test]
async fn five_hundred_robots_stay_readable() {
    let Some(browser) = Browser::start("UTC").await else {
        return;
    };
    let robots = (0..ROBOTS).map(|number| {
        format!("[[robot]]\nname = \"custom.copies_{number:03}\"\ncommand = [\"/bin/true\"]\n")
    });
    let mut node = Node::new(&robots.collect::<String>());
    node.start().await;
    pages_show_them(&node).await;
    browser.sign_in(&node, &node.token()).await;
    for (width, height) in [(1280, 860), (360, 740)] {
        browser.size(width, height).await;
        for page in ["/", "/robots"] {
            it_fits(&browser, &node, page).await;
            browser
                .keep_picture(&format!("{page}-{ROBOTS}-robots-{width}"))
                .await;
        }
    }
    browser.size(1280, 860).await;
    one_is_found_among_them(&browser, &node).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// The first page has those that fit, and says how many it has not.
async fn pages_show_them(node: &Node) {
    let visitor = Visitor::signed_in(node, &node.token()).await;
    for (page, shown) in [
        ("/", "and further 4"),
        ("/robots", "custom.copies_499"),
        ("/robots/custom.copies_499", "custom.copies_499"),
    ] {
        let html = visitor.get(page).await.text().await.unwrap();
        assert!(html.contains(shown), "{page}");
    }
}

/// Nothing is wider than the window, and not much goes over the line.
async fn it_fits(browser: &Browser, node: &Node, page: &str) {
    browser
        .devtools("Network.clearBrowserCache", json!({}))
        .await;
    browser.open(&format!("{}{page}", node.url())).await;
    browser.until(LIVE).await;
    let wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.value(wide).await, 0, "{page}");
    let bytes = browser.transferred().await;
    println!("{page} of {ROBOTS} robots has {bytes} bytes");
    assert!(bytes < PAGE_BYTES_MAX, "{page}: {bytes}");
}

async fn one_is_found_among_them(browser: &Browser, node: &Node) {
    browser.open(&format!("{}/robots", node.url())).await;
    let rows = |count| format!("document.querySelectorAll('tr[data-key]').length === {count}");
    let all = node.all("/robots").await.len();
    browser.until(&rows(all)).await;
    // Where robots of a category begin is one step away.
    browser.click(".jumps li:last-child a").await;
    browser
        .until("document.querySelector('#category-custom').getBoundingClientRect().top < 200")
        .await;

    browser.fill("input[name=q]", "copies 417").await;
    browser.until(&rows(1)).await;
    browser.choose("[name=status]", "disabled").await;
    browser
        .until("document.querySelector('.empty') !== null")
        .await;
    browser.open(&format!("{}/robots", node.url())).await;
    browser.choose("[name=category]", "mail").await;
    browser.until(&rows(1)).await;
}
