//! Renewed, published, proven; and rolled back where it cannot be.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use robotd::domain::inventory::Noun;
use robotd::robot::inventory::By;
use robotd::store::certificate_decision::Cause;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::site::Site;
use super::{current, events, get, no_key_leaked, patch, run, text};
use crate::robots::operations::inventory;
use crate::robots::rig::{Rig, count};
use crate::support::authority::Authority;
use crate::support::counterpart::PATIENCE;
use crate::support::database::{Database, on_both};
use crate::support::nginx::Nginx;

on_both!(
    a_certificate_near_its_end_is_renewed_and_served,
    what_is_not_served_is_rolled_back,
);

async fn a_certificate_near_its_end_is_renewed_and_served(database: &Database) {
    let rig = Rig::new(database, None).await;
    let Some(site) = Site::new(&rig, json!({"key_mode": "0640"})).await else {
        return;
    };
    let outcome = run(&rig).await;
    assert_eq!(
        (
            count(&outcome, "certificates_renewed"),
            count(&outcome, "certificates_published")
        ),
        (1, 1),
        "{outcome:?} {:?}",
        rig.log.lock().unwrap()
    );
    let new = current(&rig, site.automation).await;
    let serial = text(&new.state["serial"]).to_owned();
    assert_ne!(serial, site.old);
    assert_eq!(site.nginx.serial(), serial);
    let pem = text(&new.body["certificate"]);
    assert!(site.certificates.verify(pem, &site.root, rig.now()));
    assert_eq!(new.state["names"], json!(["www.example.org", "127.0.0.1"]));
    let files = site.directory.join(site.link());
    let mode = |name: &str| {
        let metadata = std::fs::metadata(files.join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("key.pem"), mode("certificate.pem")), (0o640, 0o644));
    assert!(site.is_one_pair());
    // The certificate that was in force is kept on the machine for the way back, and nobody is told of its end.
    assert!(site.directory.join("by-hand/key.pem").exists());
    let old = get(&rig, Noun::Certificate, site.first).await;
    assert_eq!(old.state["replaced_by"], json!(new.id));
    for kind in ["certificate.renewed", "certificate.published"] {
        assert_eq!(events(&rig, kind).await, 1, "{kind}");
    }
    let again = run(&rig).await;
    assert_eq!(
        again.verdict,
        robotd::robot::outcome::Verdict::Nothing,
        "{again:?}"
    );
    assert_eq!(site.nginx.serial(), serial);
    a_rotation_keeps_the_keys(&rig, &site).await;
    let issuer = text(
        &get(&rig, Noun::CertificateAutomation, site.automation)
            .await
            .body["issuer"],
    )
    .parse()
    .unwrap();
    let authority = inventory(&rig).issuer_key(issuer).await.unwrap().unwrap();
    let served = std::fs::read_to_string(site.directory.join("current/key.pem")).unwrap();
    assert!(!site.sshd.log().contains("PRIVATE KEY"));
    no_key_leaked(&rig, &[authority.expose_secret().to_owned(), served]).await;
}

/// A new data key, a wish, and the authority signs again; the certificate keeps its private key where that is asked for.
async fn a_rotation_keeps_the_keys(rig: &Rig<'_>, site: &Site) {
    let before = std::fs::read_to_string(site.directory.join("current/key.pem")).unwrap();
    let rotation = rig
        .tools
        .safe
        .rotate(rig.clock.as_ref(), |_| {})
        .await
        .unwrap();
    assert!(rotation.damaged_keys.is_empty());
    assert_eq!(
        rig.rows("private_keys", &format!("key_id <> {}", rotation.key))
            .await,
        0
    );
    let by = By {
        actor: "ana",
        now: rig.now(),
    };
    let noun = Noun::CertificateAutomation;
    patch(rig, noun, site.automation, json!({"reuse_key": true})).await;
    let inventory = inventory(rig);
    inventory
        .renewal_request(site.automation, Cause::Asked, by)
        .await
        .unwrap();
    let outcome = run(rig).await;
    assert_eq!(
        (
            count(&outcome, "certificates_renewed"),
            count(&outcome, "certificates_published")
        ),
        (1, 1)
    );
    let now = current(rig, site.automation).await;
    assert_eq!(site.nginx.serial(), text(&now.state["serial"]));
    let after = std::fs::read_to_string(site.directory.join("current/key.pem")).unwrap();
    assert_eq!(before, after);
    assert_eq!(rig.rows("certificates", "replaced_by IS NOT NULL").await, 2);
}

async fn what_is_not_served_is_rolled_back(database: &Database) {
    let rig = Rig::new(database, None).await;
    let Some(site) = Site::new(&rig, json!({})).await else {
        return;
    };
    // Its configuration cannot be read any more.
    site.nginx.spoil();
    let outcome = run(&rig).await;
    assert_eq!(count(&outcome, "publications_failed"), 1, "{outcome:?}");
    back_to_the_old(&rig, &site, "test the configuration", 1).await;
    // It is left alone for a while, and tried again after that.
    assert_eq!(count(&run(&rig).await, "publications_failed"), 0);
    site.nginx.mend();
    // The service does not hear that it is to read its files: it is not served, whatever the command says.
    let noun = Noun::CertificateBinding;
    let deaf = json!({"reload": ["/bin/true"]});
    patch(&rig, noun, site.binding, deaf).await;
    rig.pass(20 * 60);
    assert_eq!(count(&run(&rig).await, "publications_failed"), 1);
    back_to_the_old(&rig, &site, "it shows the one with SHA-256", 2).await;
    let reload = json!({"reload": site.nginx.command(&["-s", "reload"])});
    patch(&rig, noun, site.binding, reload).await;
    rig.pass(60 * 60);
    let outcome = run(&rig).await;
    assert_eq!(
        count(&outcome, "certificates_published"),
        1,
        "{:?}",
        rig.log.lock().unwrap()
    );
    let new = current(&rig, site.automation).await;
    assert_eq!(site.nginx.serial(), text(&new.state["serial"]));
    let binding = get(&rig, noun, site.binding).await;
    assert_eq!(
        (text(&binding.state["state"]), &binding.state["failures"]),
        ("published", &json!(0))
    );
}

/// The old certificate is served, by the old files; the failure is told.
async fn back_to_the_old(rig: &Rig<'_>, site: &Site, why: &str, failures: i64) {
    assert_eq!(
        (site.nginx.serial(), site.link()),
        (site.old.clone(), "by-hand".to_owned())
    );
    assert!(site.is_one_pair());
    let binding = get(rig, Noun::CertificateBinding, site.binding).await;
    assert_eq!(text(&binding.state["state"]), "rolled_back", "{binding:?}");
    assert!(text(&binding.state["error"]).contains(why), "{binding:?}");
    assert_eq!(binding.state["failures"], json!(failures));
    assert_eq!(events(rig, "certificate.publish_failed").await, failures);
    let told = format!("key = 'certificate_binding:{}' AND level > 0", site.binding);
    assert_eq!(rig.rows("alert_states", &told).await, 1);
    let old = get(rig, Noun::Certificate, site.first).await;
    assert_eq!(old.state["replaced_by"], Value::Null);
}

/// The service has read the new files when it turns out that what is looked at is another one: it reads the old files again.
#[tokio::test]
async fn a_service_that_has_read_the_new_files_reads_the_old_ones_again() {
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let folder = tempfile::tempdir().unwrap();
    let (Some(site), Some(authority)) = (
        Site::new(&rig, json!({})).await,
        Authority::make(folder.path()),
    ) else {
        return;
    };
    let Some(other) = Nginx::before(&authority, "return 204;") else {
        return;
    };
    let noun = Noun::CertificateBinding;
    patch(&rig, noun, site.binding, json!({"port": other.port})).await;
    let outcome = run(&rig).await;
    assert_eq!(count(&outcome, "publications_failed"), 1, "{outcome:?}");
    let binding = get(&rig, noun, site.binding).await;
    assert_eq!(text(&binding.state["state"]), "rolled_back", "{binding:?}");
    assert_eq!(site.link(), "by-hand");
    // It was told to, and does so in its own time.
    let deadline = Instant::now() + PATIENCE;
    while site.nginx.serial() != site.old {
        assert!(Instant::now() < deadline, "it shows the new one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
