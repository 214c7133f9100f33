//! What is ordered of certificates on their pages, by whoever may.

use reqwest::Method;
use serde_json::{Value, json};

use super::rig::{Visitor, leads_to, node, token};
use crate::support::counterpart::PATIENCE;
use crate::support::node::Node;

#[tokio::test]
async fn a_certificate_is_agreed_to_and_revoked_by_who_may() {
    let node = node().await;
    let admin = Visitor::signed_in(&node, &node.token()).await;
    let operator = Visitor::signed_in(&node, &token(&node, "operator")).await;
    let viewer = Visitor::signed_in(&node, &token(&node, "viewer")).await;
    let automation = waits(&node).await;
    let page = format!("/inventory{automation}");
    let offers = async |visitor: &Visitor, path: &str| {
        let text = visitor.get(path).await.text().await.unwrap();
        ["/approve\"", "/renew\"", "/revoke\""].map(|button| text.contains(button))
    };
    assert_eq!(offers(&viewer, &page).await, [false, false, false]);
    assert_eq!(offers(&operator, &page).await, [false, true, false]);
    assert_eq!(offers(&admin, &page).await, [true, true, false]);

    let approve = format!("{page}/approve");
    assert_eq!(order(&operator, &approve, &[]).await, (403, String::new()));
    assert_eq!(order(&viewer, &approve, &[]).await, (403, String::new()));
    assert_eq!(order(&admin, &approve, &[]).await, (303, page.clone()));
    let issued = |automation: &Value| automation["current"].is_string();
    let issued = node.until(&automation, PATIENCE, issued).await;
    assert_eq!(offers(&admin, &page).await, [false, true, false]);
    let renew = format!("{page}/renew");
    assert_eq!(order(&operator, &renew, &[]).await, (303, page.clone()));
    let asked = node.get(&automation).await;
    assert_eq!(asked["renewal_requested_by"], "operator");

    let certificate = issued["current"].as_str().unwrap();
    let certificate = format!("/certificates/{certificate}");
    is_revoked(&node, &certificate, (&admin, &operator)).await;
    let page = format!("/inventory{certificate}");
    assert_eq!(offers(&admin, &page).await, [false, false, false]);
}

/// An automation of an authority of ours, whose first certificate waits for an administrator.
async fn waits(node: &Node) -> String {
    let issuer = json!({"name": "Ours", "kind": "internal"});
    let issuer = node
        .send(Method::POST, "/certificate-issuers", issuer)
        .await;
    let issuer = issuer["id"].as_str().unwrap();
    let key = format!("/certificate-issuers/{issuer}/key");
    node.send(Method::POST, &key, json!({})).await;
    let automation = json!({"name": "www", "issuer": issuer, "names": ["www.example.org"], "approval_role": "admin"});
    let automation = node
        .send(Method::POST, "/certificate-automations", automation)
        .await;
    let path = automation["id"].as_str().unwrap();
    let path = format!("/certificate-automations/{path}");
    let waits = |automation: &Value| automation["renewal_requested_by"].is_string();
    node.until(&path, PATIENCE, waits).await;
    path
}

/// Posts a form of the visitor's own session; answers the status, and where it leads.
async fn order(visitor: &Visitor, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let proof = visitor.form_token().await;
    let mut fields = fields.to_vec();
    fields.push(("form_token", proof.as_str()));
    let answer = visitor.post(path, &fields).await;
    let status = answer.status().as_u16();
    let place = if status == 303 { leads_to(&answer) } else { "" };
    (status, place.to_owned())
}

/// After a caution, for a reason that there is.
async fn is_revoked(node: &Node, certificate: &str, (admin, operator): (&Visitor, &Visitor)) {
    let page = format!("/inventory{certificate}");
    let revoke = format!("{page}/revoke");
    for (visitor, offered) in [(admin, true), (operator, false)] {
        let shown = visitor.get(&page).await.text().await.unwrap();
        assert_eq!(shown.contains(&format!("href=\"{revoke}\"")), offered);
    }
    assert_eq!(operator.get(&revoke).await.status(), 403);
    let caution = admin.get(&revoke).await.text().await.unwrap();
    assert!(caution.contains("This cannot be taken back") && caution.contains("key_compromise"));
    let superseded = [("reason", "superseded")];
    let forced = order(operator, &revoke, &superseded).await;
    assert_eq!(forced, (403, String::new()));
    let odd = order(admin, &revoke, &[("reason", "bored")]).await;
    assert_eq!(odd, (422, String::new()));
    let before = node.get(certificate).await;
    assert_eq!(before["revocation_asked_at"], Value::Null);
    assert_eq!(order(admin, &revoke, &superseded).await, (303, page));
    let after = node.get(certificate).await;
    assert_eq!(after["revocation_reason"], "superseded");
    let again = order(admin, &revoke, &superseded).await;
    assert_eq!(again, (409, String::new()));
}
