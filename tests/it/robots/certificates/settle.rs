//! Cut off at each step of a publication: the next run brings the machine to one complete pair, the new or the old one.

use std::time::{Duration, Instant};

use robotd::domain::inventory::Noun;
use serde_json::json;

use super::site::Site;
use super::{current, get, patch, run, text};
use crate::robots::rig::{Rig, count};
use crate::support::counterpart::PATIENCE;
use crate::support::database::{Database, on_both};
use crate::support::web_machine::hanging;

on_both!(a_publication_that_dies_is_settled_by_the_next_run);

/// A run that dies when the machine has written `reached`.
async fn dies(rig: &Rig<'_>, site: &Site) {
    let reached = site.sshd.open_file("test.reached");
    let deadline = Instant::now() + PATIENCE;
    let look = async {
        while !reached.exists() {
            assert!(Instant::now() < deadline, "the step was never reached");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        outcome = run(rig) => panic!("the run did not stop: {outcome:?} {:?}", rig.log.lock().unwrap()),
        () = look => {}
    }
    std::fs::remove_file(reached).unwrap();
}

/// What a run settled, published and renewed.
async fn came_to(rig: &Rig<'_>) -> [i64; 3] {
    let outcome = run(rig).await;
    [
        "publications_settled",
        "certificates_published",
        "certificates_renewed",
    ]
    .map(|what| count(&outcome, what))
}

async fn a_publication_that_dies_is_settled_by_the_next_run(database: &Database) {
    let rig = Rig::new(database, None).await;
    let Some(site) = Site::new(&rig, json!({})).await else {
        return;
    };
    let test = hanging(&site.sshd, "test", &site.nginx.command(&["-t", "-q"]));
    let binding = Noun::CertificateBinding;
    patch(&rig, binding, site.binding, json!({"test": test})).await;
    what_cannot_be_proven_goes_back(&rig, &site).await;
    what_can_be_proven_stays(&rig, &site).await;
    what_was_only_written_down_is_published(&rig, &site).await;
    let nothing = came_to(&rig).await;
    assert_eq!(nothing, [0, 0, 0]);
}

/// It dies when the link leads to the new pair and the service has not read it; the next run cannot prove the new pair.
async fn what_cannot_be_proven_goes_back(rig: &Rig<'_>, site: &Site) {
    let hang = site.sshd.open_file("test.hang");
    std::fs::write(&hang, "").unwrap();
    dies(rig, site).await;
    assert_eq!(rig.rows("certificate_publications", "state = 0").await, 1);
    assert_eq!(site.nginx.serial(), site.old);
    assert!(site.is_one_pair());
    std::fs::remove_file(&hang).unwrap();
    site.nginx.spoil();
    assert_eq!(came_to(rig).await, [1, 0, 0]);
    let (serial, link) = (site.nginx.serial(), site.link());
    assert_eq!((serial, link), (site.old.clone(), "by-hand".to_owned()));
    let binding = get(rig, Noun::CertificateBinding, site.binding).await;
    assert_eq!(text(&binding.state["state"]), "rolled_back");
    site.nginx.mend();
}

/// It dies at the same step, and the next run proves the new pair: no second certificate is ordered.
async fn what_can_be_proven_stays(rig: &Rig<'_>, site: &Site) {
    let hang = site.sshd.open_file("test.hang");
    std::fs::write(&hang, "").unwrap();
    rig.pass(60 * 60);
    dies(rig, site).await;
    std::fs::remove_file(&hang).unwrap();
    assert_eq!(came_to(rig).await, [1, 1, 0]);
    let new = current(rig, site.automation).await;
    assert_eq!(site.nginx.serial(), text(&new.state["serial"]));
    assert!(site.is_one_pair());
}

/// It died before the link was led: nothing was tried, and it is published at once.
async fn what_was_only_written_down_is_published(rig: &Rig<'_>, site: &Site) {
    let begun = "UPDATE certificate_publications SET state = 0, finished_at = NULL, previous = 'by-hand' \
                 WHERE state = 1";
    rig.database.sql(begun).await;
    let unpublished = "UPDATE certificate_bindings SET published_issue = NULL";
    rig.database.sql(unpublished).await;
    let link = site.directory.join("current");
    let led = ["ln", "-sfn", "by-hand", link.to_str().unwrap()];
    site.sshd.must(&led, "");
    let reload = site.nginx.command(&["-s", "reload"]);
    let reload: Vec<&str> = reload.iter().skip(2).map(String::as_str).collect();
    site.sshd.must(&reload, "");
    assert_eq!(came_to(rig).await, [1, 1, 0]);
    let new = current(rig, site.automation).await;
    assert_eq!(site.nginx.serial(), text(&new.state["serial"]));
    let open = "finished_at IS NULL";
    assert_eq!(rig.rows("certificate_publications", open).await, 0);
}
