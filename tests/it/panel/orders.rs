//! The pages of operations, imports and approvals.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use super::rig::{LIVE, Visitor, asked, token, token_of};
use crate::support::browser::Browser;
use crate::support::counterpart::PATIENCE;
use crate::support::node::Node;

/// Two rows that are acceptable, of which one has an account where nobody listens, and one that is not.
const FILE: &str = "hostname,address,protocol,port,host_key,username,secret,automatic_change\n\
                    shop-1,127.0.0.1,ssh,1,trust_on_first_use,deploy,S3cret-import,false\n\
                    shop-2,192.0.2.20,,,,,,\n\
                    ,192.0.2.21,,,,,,\n";
/// What is in it and nowhere on a page.
const SECRET: &str = "S3cret-import";

const STATE: &str = "document.querySelector('dl.figures .word').textContent";

/// A file is sent, its rows are seen as they get their answers, and all of them are fetched.
pub async fn a_file_is_sent_and_its_rows_are_seen(browser: &Browser, node: &Node) {
    let file = node.path("shops.csv");
    fs::write(&file, FILE).unwrap();
    browser.open(&format!("{}/imports", node.url())).await;
    browser.attach("[name=file]", &file).await;
    browser.click("form[method=post] button.main").await;
    browser
        .until("document.querySelector('.told')?.textContent.endsWith('waits for its robot.')")
        .await;
    let rows = |count| format!("document.querySelectorAll('#list tbody tr').length === {count}");
    browser.until(&rows(3)).await;
    browser.until(&format!("{STATE} === 'Finished'")).await;
    browser.choose("[name=answer]", "refused").await;
    browser.until(&rows(1)).await;
    let refused = browser.text("#list tbody").await;
    assert!(refused.contains("hostname"), "{refused}");
    let page = browser.value("document.documentElement.outerHTML").await;
    assert!(!page.as_str().unwrap().contains(SECRET));

    let admin = Visitor::signed_in(node, &node.token()).await;
    let import = browser.value("location.pathname").await;
    let import = import.as_str().unwrap();
    let answers = admin.get(&format!("{import}.csv?answer=created")).await;
    let answers = answers.text().await.unwrap();
    assert!(
        answers.starts_with("line,answer,") && answers.lines().count() == 3,
        "{answers}"
    );
    for workbook in [
        "/imports/template.xlsx".to_owned(),
        format!("{import}/result.xlsx"),
    ] {
        let file = admin.get(&workbook).await;
        assert_eq!(file.status(), 200, "{workbook}");
        assert!(file.bytes().await.unwrap().starts_with(b"PK"), "{workbook}");
    }
    browser.open(&format!("{}/imports", node.url())).await;
    let row = browser.text("#list tbody tr").await;
    let row: Vec<&str> = row.split_whitespace().collect();
    let row = row.join(" ");
    for part in ["shops.csv", "3 / 3", "Refused 1"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    who_may_not_send_is_refused(&admin, node, import).await;
}

/// Neither whose role does not suffice, nor whose form is not of this session.
async fn who_may_not_send_is_refused(admin: &Visitor, node: &Node, import: &str) {
    let operator = Visitor::signed_in(node, &token(node, "operator")).await;
    let page = operator.get("/imports").await.text().await.unwrap();
    assert!(page.contains(import) && !page.contains("name=\"file\""));
    let [theirs, own] = [operator.form_token().await, admin.form_token().await];
    for (visitor, proof, status) in [
        (&operator, theirs.as_str(), 403),
        (admin, theirs.as_str(), 403),
        (admin, "", 403),
        (admin, own.as_str(), 303),
    ] {
        let answer = visitor.send_file("/imports", proof, FILE.as_bytes()).await;
        assert_eq!(answer.status(), status);
    }
    assert_eq!(node.all("/imports").await.len(), 2, "one of four was taken");
    for (path, status) in [
        (format!("{import}/cancel"), 409),
        ("/imports/999/cancel".to_owned(), 404),
    ] {
        let answer = admin.post(&path, &[("form_token", &own)]).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    for nowhere in ["/imports/07", "/imports/999", "/imports/999.csv"] {
        assert_eq!(admin.get(nowhere).await.status(), 404, "{nowhere}");
    }
}

/// One that waits is cancelled in its row; what an attempt came to is on the page of another.
pub async fn operations_are_seen_and_cancelled(browser: &Browser, node: &Node) {
    let credentials = node.all("/credentials").await;
    let deploy = |credential: &&Value| credential["username"] == "deploy";
    let credential = &credentials.iter().find(deploy).unwrap()["id"];
    let later = json!({"kind": "change_password", "credential": credential, "run_at": "2099-01-01T00:00:00Z"});
    let later = node.send(Method::POST, "/operations", later).await;
    let later = later["id"].as_str().unwrap();
    browser
        .open(&format!("{}/operations/{later}", node.url()))
        .await;
    let waits = "document.querySelector('#waits dd')?.textContent.startsWith('its time until')";
    browser.until(waits).await;
    browser.open(&format!("{}/operations", node.url())).await;
    browser.until(LIVE).await;
    browser.point_nowhere().await;
    let test = json!({"kind": "test", "credential": credential});
    let test = node.send(Method::POST, "/operations", test).await;
    let test = test["id"].as_str().unwrap();
    let row = |id: &str| format!("#list tr[data-key='{id}']");
    browser
        .until(&format!("document.querySelector(\"{}\")", row(test)))
        .await;
    let shown = browser.text(&row(later)).await;
    assert!(
        shown.contains("New password") && shown.contains("deploy"),
        "{shown}"
    );

    browser.click(&format!("{} .do button", row(later))).await;
    browser
        .until(&format!(
            "document.querySelector('.told')?.textContent === 'Operation {later} is cancelled.'"
        ))
        .await;
    let cancelled = node.get(&format!("/operations/{later}")).await;
    assert_eq!(cancelled["state"], "cancelled");

    browser.click(&format!("{} th a", row(test))).await;
    browser
        .until("document.querySelector('#operation td.error')?.textContent.includes('refused')")
        .await;
    let steps = browser.text("#steps-1 + .scrolls").await;
    assert!(steps.contains("sign in as `deploy`"), "{steps}");
    let filtered = format!(
        "{}/operations?state=cancelled&kind=change_password",
        node.url()
    );
    browser.open(&filtered).await;
    let keys = "[...document.querySelectorAll('#list tbody tr')].map(row => row.dataset.key)";
    assert_eq!(browser.value(keys).await, json!([later]));
}

/// What waits is seen on the first page; one is approved in its row, one is denied on its page, with a reason.
pub async fn tasks_are_decided_on(browser: &Browser, node: &Node) {
    let operator = token_of(node, "asker", "operator");
    let devices = node.all("/devices").await;
    let devices: Vec<_> = devices.iter().map(|device| &device["id"]).collect();
    let guarded = json!({"name": "guarded", "kind": "test", "username": "deploy", "devices": devices,
        "approval_role": "admin"});
    let guarded = node.send(Method::POST, "/task-definitions", guarded).await;
    browser.open(&format!("{}/", node.url())).await;
    browser.until(LIVE).await;
    let [one, other] = [
        asked(node, &operator, &guarded["id"]).await,
        asked(node, &operator, &guarded["id"]).await,
    ];
    browser
        .until(
            "document.querySelector('.needs')?.textContent.includes('decides on them: guarded, guarded')",
        )
        .await;
    let asker = Visitor::signed_in(node, &operator).await;
    let [list, page] = ["/approvals".to_owned(), format!("/tasks/{one}")];
    let why = "whose role is at least <strong>admin</strong> and who is not asker.";
    for (page, why) in [(&list, "asker"), (&page, why)] {
        let page = asker.get(page).await.text().await.unwrap();
        assert!(page.contains("guarded") && !page.contains("/approve"));
        assert!(page.contains(why), "{page}");
    }
    let proof = asker.form_token().await;
    let forced = asker
        .post(
            &format!("/approvals/{one}/approve"),
            &[("form_token", &proof)],
        )
        .await;
    assert_eq!(forced.status(), 403);

    browser.open(&format!("{}{list}", node.url())).await;
    one_is_approved_in_its_row(browser, &one).await;
    let file = asker.get("/approvals.csv?state=approved").await;
    assert_eq!(file.text().await.unwrap().lines().count(), 2);

    browser.open(&format!("{}/tasks/{other}", node.url())).await;
    browser.fill("#decision-reason", "not at night").await;
    browser
        .click(&format!("[formaction='/approvals/{other}/deny']"))
        .await;
    browser
        .until("document.querySelector('#task')?.textContent.includes('not at night')")
        .await;
    let page = asker.get(&format!("/tasks/{other}")).await.text().await;
    let page = page.unwrap();
    assert!(page.contains("not at night") && !page.contains("/retry"));
    let ended = node
        .until(&format!("/tasks/{other}"), PATIENCE, |task| {
            task["finished_at"].is_string()
        })
        .await;
    assert_eq!(ended["status"], "cancelled");
}

/// What is decided on is read by its names there, and why it was decided so is told.
async fn one_is_approved_in_its_row(browser: &Browser, one: &str) {
    let row = format!("tr[data-key='{one}']");
    let read = browser.text(&row).await;
    for part in [
        "Test of the secret",
        "Account name deploy",
        "and further 2",
        "asker",
        "until ",
    ] {
        assert!(read.contains(part), "{part}: {read}");
    }
    let names = ["db-1", "web-1", "mail-1", "shop-1", "shop-2"];
    let named = names.iter().filter(|name| read.contains(**name)).count();
    assert!(named == 3 && !read.contains('{'), "{read}");
    let reason = format!("{row} [name=reason]");
    browser.fill(&reason, "change 4711").await;
    browser
        .click(&format!("[formaction='/approvals/{one}/approve']"))
        .await;
    browser
        .until("document.querySelector('.told')?.textContent.endsWith('is approved, and begins.')")
        .await;
    for told in ["Approved", "change 4711"] {
        browser
            .until(&format!(
                "document.querySelector(\"{row}\").textContent.includes('{told}')"
            ))
            .await;
    }
}
