//! A machine that refuses the recorded password: publications do not lock its account, beside operations or alone. And its key is one of RSA.

use robotd::domain::inventory::Noun;
use robotd::domain::operation::{OperationKind, OperationState};
use robotd::robot::inventory::{By, NewItem};
use serde_json::json;

use super::site::Site;
use super::{current, get, patch, run, text};
use crate::robots::operations::{EXECUTOR, inventory, make, ordered};
use crate::robots::rig::Rig;
use crate::support::database::Database;
use crate::support::web_machine::ACCOUNT;

/// What somebody set behind robotd's back.
const OTHER: &str = "Somebody-else-5";

#[tokio::test]
async fn publications_share_with_operations_what_an_account_may_refuse() {
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let Some(site) = Site::new(&rig, json!({})).await else {
        return;
    };
    let rsa = json!({"key_algorithm": "rsa_2048"});
    patch(&rig, Noun::CertificateAutomation, site.automation, rsa).await;
    site.sshd.set_password(ACCOUNT, OTHER);
    let first = get(&rig, Noun::CertificateBinding, site.binding).await;
    for name in ["second", "third"] {
        let mut body = first.body.clone();
        body.insert("name".to_owned(), json!(name));
        body.insert("directory".to_owned(), json!(site.sshd.open_file(name)));
        make(&rig, Noun::CertificateBinding, body.into(), None).await;
    }
    run(&rig).await;
    let account = serde_json::from_value(first.body["credential"].clone()).unwrap();
    let test = ordered(&rig, OperationKind::Test, account).await;
    rig.run(EXECUTOR, json!({})).await.unwrap();
    let waits = rig.tools.store.operation_get(test).await.unwrap();
    assert_eq!(waits.state, OperationState::Retrying, "{:?}", rig.log);
    assert!(
        site.sshd.lets_in(ACCOUNT, OTHER),
        "it is not locked: {:?}",
        rig.log
    );
    let used = database
        .number("SELECT (SELECT SUM(count) FROM sign_in_tries)")
        .await;
    assert_eq!(used, 2, "they were asked");

    // Later, with the right one, all of them are served what is in force.
    rig.pass(3 * 60 * 60);
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let right = NewItem {
        secret: Some(OTHER.into()),
        ..NewItem::default()
    };
    let inventory = inventory(&rig);
    let changed = inventory.change(Noun::Credential, account, None, &right, by);
    changed.await.unwrap();
    run(&rig).await;
    let now = get(&rig, Noun::CertificateBinding, site.binding).await;
    assert_eq!(text(&now.state["state"]), "published", "{:?}", rig.log);
    let new = current(&rig, site.automation).await;
    assert_eq!(site.nginx.serial(), text(&new.state["serial"]));
    let key = std::fs::metadata(site.directory.join("current/key.pem")).unwrap();
    assert!(key.len() > 1_600, "one of RSA is long: {key:?}");
}

#[tokio::test]
async fn a_publication_waits_while_nobody_knows_which_secret_holds() {
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let Some(site) = Site::new(&rig, json!({})).await else {
        return;
    };
    let binding = get(&rig, Noun::CertificateBinding, site.binding).await;
    let account = serde_json::from_value(binding.body["credential"].clone()).unwrap();
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let inventory = inventory(&rig);
    let kept = inventory.candidate_set(account, &OTHER.into(), by).await;
    run(&rig).await;
    let waits = get(&rig, Noun::CertificateBinding, site.binding).await;
    let why = text(&waits.state["error"]);
    assert!(why.contains("not verified"), "{why}: {:?}", rig.log);
    assert_eq!(rig.rows("sign_in_tries", "TRUE").await, 0);

    inventory
        .candidate_drop(account, kept.unwrap())
        .await
        .unwrap();
    rig.pass(3 * 60 * 60);
    run(&rig).await;
    let now = get(&rig, Noun::CertificateBinding, site.binding).await;
    assert_eq!(text(&now.state["state"]), "published", "{:?}", rig.log);
}
