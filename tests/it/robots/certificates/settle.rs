//! Cut off at each step of a publication: the next run brings the machine to one complete pair, the new or the old one.

use std::time::{Duration, Instant};

use robotd::domain::inventory::Noun;
use serde_json::json;

use super::site::Site;
use super::{current, get, run, text};
use crate::robots::rig::{Rig, count};
use crate::support::counterpart::PATIENCE;
use crate::support::database::{Database, on_both};

on_both!(a_publication_that_dies_is_settled_by_the_next_run);

/// A run that dies when the machine has written `reached`.
async fn dies(rig: &Rig<'_>, site: &Site) {
    let reached = site.sshd.open_file("reached");
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

/// A script in place of a command: it says that it was reached, hangs while it is told to, and then does what it stands for.
fn hanging(site_of: &Site, command: &[String]) -> Vec<String> {
    let path = site_of.sshd.open_file("hang.sh");
    let flag = site_of.sshd.open_file("hang");
    let reached = site_of.sshd.open_file("reached");
    let script = format!(
        "if [ -e {flag} ]; then : >{reached}; while [ -e {flag} ]; do sleep 0.1; done; exit 1; fi; exec \"$@\"\n",
        flag = flag.display(),
        reached = reached.display(),
    );
    std::fs::write(&path, script).unwrap();
    let mut words = ["/bin/bash", path.to_str().unwrap()]
        .map(str::to_owned)
        .to_vec();
    words.extend(command.iter().cloned());
    words
}

async fn patch(rig: &Rig<'_>, site: &Site, body: serde_json::Value) {
    let patch = robotd::robot::inventory::NewItem {
        fields: body.as_object().unwrap().clone(),
        secret: None,
    };
    let by = robotd::robot::inventory::By {
        actor: "ana",
        now: rig.now(),
    };
    let noun = Noun::CertificateBinding;
    crate::robots::operations::inventory(rig)
        .change(noun, site.binding, None, &patch, by)
        .await
        .unwrap();
}

async fn a_publication_that_dies_is_settled_by_the_next_run(database: &Database) {
    let rig = Rig::new(database, None).await;
    let Some(site) = Site::new(&rig, json!({})).await else {
        return;
    };
    let hang = site.sshd.open_file("hang");
    let test = hanging(&site, &site.nginx.command(&["-t", "-q"]));
    patch(&rig, &site, json!({"test": test})).await;
    // It dies when the link leads to the new pair and the service has not read it, and the new pair cannot be proven.
    std::fs::write(&hang, "").unwrap();
    dies(&rig, &site).await;
    assert_eq!(rig.rows("certificate_publications", "state = 0").await, 1);
    assert_eq!(site.nginx.serial(), site.old);
    let new = current(&rig, site.automation).await;
    let serial = text(&new.state["serial"]);
    assert!(site.is_one_pair());
    std::fs::remove_file(&hang).unwrap();
    site.nginx.spoil();
    let outcome = run(&rig).await;
    assert_eq!(count(&outcome, "publications_settled"), 1, "{outcome:?}");
    assert_eq!(
        (site.nginx.serial(), site.link()),
        (site.old.clone(), "by-hand".to_owned())
    );
    let binding = get(&rig, Noun::CertificateBinding, site.binding).await;
    assert_eq!(text(&binding.state["state"]), "rolled_back");
    // It dies there again, and this time the next run proves the new pair: no second certificate was ordered.
    site.nginx.mend();
    std::fs::write(&hang, "").unwrap();
    rig.pass(60 * 60);
    dies(&rig, &site).await;
    std::fs::remove_file(&hang).unwrap();
    let outcome = run(&rig).await;
    let counted = [
        "publications_settled",
        "certificates_published",
        "certificates_renewed",
    ];
    assert_eq!(
        counted.map(|what| count(&outcome, what)),
        [1, 1, 0],
        "{outcome:?}"
    );
    assert_eq!(site.nginx.serial(), serial);
    assert!(site.is_one_pair());
    // Written down and the link not led yet: nothing was tried, and it is published at once.
    let begun = "UPDATE certificate_publications SET state = 0, finished_at = NULL, previous = 'by-hand' \
                 WHERE state = 1";
    database.sql(begun).await;
    database
        .sql("UPDATE certificate_bindings SET published_issue = NULL")
        .await;
    let link = site.directory.join("current");
    site.sshd
        .must(&["ln", "-sfn", "by-hand", link.to_str().unwrap()], "");
    let reload = site.nginx.command(&["-s", "reload"]);
    let reload: Vec<&str> = reload.iter().skip(2).map(String::as_str).collect();
    site.sshd.must(&reload, "");
    let outcome = run(&rig).await;
    assert_eq!(
        counted.map(|what| count(&outcome, what)),
        [1, 1, 0],
        "{outcome:?}"
    );
    assert_eq!(site.nginx.serial(), serial);
    assert_eq!(
        rig.rows("certificate_publications", "finished_at IS NULL")
            .await,
        0
    );
    let nothing = run(&rig).await;
    assert_eq!(counted.map(|what| count(&nothing, what)), [0, 0, 0]);
}
