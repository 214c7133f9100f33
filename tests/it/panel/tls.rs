//! A node behind a real nginx that speaks TLS, set up as `docs/OPERATIONS.md` says.

use reqwest::Certificate;
use reqwest::header::SET_COOKIE;
use serde_json::json;
use tempfile::TempDir;

use super::rig::{LIVE, node};
use crate::support::authority::Authority;
use crate::support::browser::Browser;
use crate::support::nginx::Nginx;
use crate::support::node::Node;

const MANUAL: &str = include_str!("../../../docs/OPERATIONS.md");

#[tokio::test]
async fn a_proxy_with_tls_in_front_makes_sessions_secure() {
    let folder = TempDir::new().unwrap();
    let (Some(authority), Some(browser)) =
        (Authority::make(folder.path()), Browser::start("UTC").await)
    else {
        return;
    };
    let node = node().await;
    let Some(nginx) = Nginx::before(&authority, &as_documented(&node)) else {
        return;
    };
    let url = format!("https://localhost:{}", nginx.port);
    programs_are_served(&authority, &node, &url).await;

    browser.sign_in_at(&url, &node.token()).await;
    let cookies = browser.devtools("Network.getCookies", json!({})).await;
    let cookies = cookies["cookies"].as_array().unwrap();
    let session = cookies
        .iter()
        .find(|cookie| cookie["name"] == "robotd_session")
        .unwrap();
    assert_eq!(
        [
            &session["secure"],
            &session["httpOnly"],
            &session["sameSite"]
        ],
        [&json!(true), &json!(true), &json!("Lax")]
    );

    // A form is taken as the panel's own, and what it does arrives by the stream, which is not held up on its way.
    browser.open(&format!("{url}/robots?q=quick")).await;
    browser.until(LIVE).await;
    browser.click("tr[data-key='custom.quick'] button").await;
    browser
        .until("document.querySelector('.told')?.textContent.startsWith('It runs as task')")
        .await;
    browser
        .until("document.querySelector('tr[data-key=\"custom.quick\"] .word.good')?.textContent === 'Succeeded'")
        .await;
    browser.until(LIVE).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// The block of the manual, for this node.
fn as_documented(node: &Node) -> String {
    let (_, block) = MANUAL.split_once("```nginx\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert!(block.contains("http://127.0.0.1:7070"), "{block}");
    block.replace("http://127.0.0.1:7070", &node.url())
}

/// What came through the proxy is not taken for this machine's own, and the stream's first event is not held up.
async fn programs_are_served(authority: &Authority, node: &Node, url: &str) {
    let ca = std::fs::read(&authority.ca).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(&ca).unwrap()])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let metrics = client.get(format!("{url}/metrics")).send().await.unwrap();
    assert_eq!(metrics.status(), 401);
    for (origin, status) in [(url, 303), ("https://evil.example", 403)] {
        let answer = client
            .post(format!("{url}/sign-in"))
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={}", node.token()));
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        let set = answer.headers().get(SET_COOKIE);
        let secure = set.is_some_and(|set| set.to_str().unwrap().contains("; Secure"));
        assert_eq!(secure, status == 303, "{set:?}");
    }
}
