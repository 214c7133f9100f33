//! New passwords for the own account and for others.

use std::time::Duration;

use robotd::connect::ssh::{HostKeyPolicy, SshTarget};
use robotd::connect::target::{Limits, PasswordChange, Target as _};
use robotd::domain::failure::{Effect, FailureClass};
use robotd::domain::operation::Admission;

use super::{LIMITS, admission, change, key_login, login, target};
use crate::support::counterpart::wait_for;
use crate::support::sshd::Sshd;

const OLD: &str = "Right-Horse-7";
const NEW: &str = "Left-Camel-8.x";

/// All that trips shells, terminals and `chpasswd`, but control characters.
const ODD: &str = "é: 'q\"$HOME\\`id`;!#{}|<&>* x";

const WAYS: [&str; 2] = [
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
];

fn own(account: &str, old: &str, new: &str) -> PasswordChange {
    change(login(account, old), account, new)
}

#[tokio::test]
async fn an_account_changes_its_own_password() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", OLD);
    for (old, new) in [(OLD, NEW), (NEW, ODD), (ODD, OLD)] {
        target(&sshd)
            .change_password(&own("ana", old, new))
            .await
            .unwrap();
        assert!(sshd.lets_in("ana", new) && !sshd.lets_in("ana", old));
        sshd.must(&["faillock", "--user", "ana", "--reset"], "");
    }
    assert!(
        ![OLD, NEW, ODD]
            .iter()
            .any(|secret| sshd.log().contains(secret))
    );
}

#[tokio::test]
async fn a_password_at_its_end_is_changed_at_the_door() {
    for way in WAYS {
        let Some(sshd) = Sshd::start_with(way) else {
            return;
        };
        sshd.add_account("ana", OLD);
        sshd.must(&["chage", "-d", "0", "ana"], "");
        let changed = target(&sshd).change_password(&own("ana", OLD, NEW)).await;
        changed.unwrap_or_else(|failure| panic!("{way}: {failure:?}\n{}", sshd.log()));
        assert!(sshd.lets_in("ana", NEW), "{way}");
        target(&sshd).probe(&login("ana", NEW)).await.unwrap();
    }
}

#[tokio::test]
async fn a_password_that_the_machine_does_not_want_leaves_the_old_one() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", OLD);
    let before = sshd.shadow("ana");
    for poor in ["abc", OLD] {
        let failure = target(&sshd)
            .change_password(&own("ana", OLD, poor))
            .await
            .expect_err(poor);
        assert_eq!(
            failure.class,
            FailureClass::PasswordPolicy,
            "{poor}: {failure}"
        );
        assert_eq!(failure.effect, Effect::None, "{poor}");
    }
    // At the door too.
    sshd.must(&["chage", "-d", "0", "ana"], "");
    let failure = target(&sshd)
        .change_password(&own("ana", OLD, "abc"))
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::PasswordPolicy, "{failure}");
    assert_eq!(failure.effect, Effect::None);
    let hash = |line: &str| line.split(':').nth(1).unwrap().to_owned();
    assert_eq!(hash(&sshd.shadow("ana")), hash(&before));
}

#[tokio::test]
async fn the_own_password_needs_the_own_password() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", OLD);
    let failure = target(&sshd)
        .change_password(&own("ana", "wrong-horse", NEW))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.effect),
        (FailureClass::AuthFailed, Effect::None)
    );
    let key = sshd.add_key("ana", &["-t", "ed25519"], "");
    let by_key = change(key_login("ana", &key, None), "ana", NEW);
    let failure = target(&sshd).change_password(&by_key).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.effect),
        (FailureClass::Unsupported, Effect::None)
    );
    assert!(sshd.lets_in("ana", OLD));
}

#[tokio::test]
async fn an_administrator_sets_the_password_of_another_account() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", OLD);
    sshd.add_account("asker", OLD);
    let both = "/usr/sbin/chpasswd, /usr/sbin/usermod";
    sshd.allow_sudo("asker", &format!("ALL=(root) {both}"));
    sshd.add_account("free", OLD);
    sshd.allow_sudo("free", &format!("ALL=(root) NOPASSWD: {both}"));
    let root = sshd.add_key("root", &["-t", "ed25519"], "");
    let free = sshd.add_key("free", &["-t", "ed25519"], "");
    let administrators = [
        (login("asker", OLD), NEW),
        (login("free", OLD), ODD),
        (key_login("free", &free, None), NEW),
        (key_login("root", &root, None), ODD),
    ];
    for (administrator, new) in administrators {
        let name = administrator.account.clone();
        let changed = target(&sshd)
            .change_password(&change(administrator.clone(), "ana", new))
            .await;
        changed.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        assert!(sshd.lets_in("ana", new), "{name}");
        let stands = || sshd.shadow("ana");
        let open = stands();
        for how in [Admission::Closed, Admission::Open] {
            let order = admission(administrator.clone(), "ana", how);
            let done = target(&sshd).admit(&order).await;
            done.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
            let closed = stands().starts_with("ana:!$") && stands().ends_with(":1:");
            assert_eq!(closed, how == Admission::Closed, "{name}: {}", stands());
        }
        assert_eq!(stands(), open, "{name}");
    }
    // The administrator's own password is as it was.
    assert!(sshd.lets_in("asker", OLD) && sshd.lets_in("free", OLD));
    assert!(
        ![OLD, NEW, ODD]
            .iter()
            .any(|secret| sshd.log().contains(secret))
    );
}

#[tokio::test]
async fn who_may_not_administrate_changes_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", OLD);
    sshd.add_account("bob", OLD);
    sshd.add_account("asker", OLD);
    sshd.allow_sudo("asker", "ALL=(root) /usr/sbin/chpasswd");
    let key = sshd.add_key("asker", &["-t", "ed25519"], "");
    let before = sshd.shadow("ana");
    for (administrator, account, class) in [
        (login("bob", OLD), "ana", FailureClass::PermissionDenied),
        (
            key_login("asker", &key, None),
            "ana",
            FailureClass::PermissionDenied,
        ),
        (
            login("asker", OLD),
            "nobody-here",
            FailureClass::NoSuchAccount,
        ),
        (login("asker", OLD), "ana:x", FailureClass::Invalid),
    ] {
        let change = change(administrator, account, NEW);
        let failure = target(&sshd).change_password(&change).await.unwrap_err();
        assert_eq!(failure.class, class, "{account}: {failure}");
        assert_eq!(failure.effect, Effect::None, "{account}: {failure}");
        assert!(!failure.to_string().contains(NEW));
    }
    for (administrator, account, class) in [
        (login("bob", OLD), "ana", FailureClass::PermissionDenied),
        (login("asker", OLD), "ana", FailureClass::PermissionDenied),
        (login("asker", OLD), "ana:x", FailureClass::Invalid),
    ] {
        let order = admission(administrator, account, Admission::Closed);
        let failure = target(&sshd).admit(&order).await.unwrap_err();
        assert_eq!(failure.class, class, "{account}: {failure}");
        assert_eq!(failure.effect, Effect::None, "{account}: {failure}");
    }
    assert_eq!(sshd.shadow("ana"), before);
}

#[tokio::test]
async fn an_order_without_an_end_is_unverified_and_no_process_shows_the_secret() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", OLD);
    sshd.add_account("free", OLD);
    sshd.allow_sudo("free", "ALL=(root) NOPASSWD: /usr/sbin/chpasswd");
    let mark = sshd.open_file("read");
    // Takes the entry as the machine's own does, and then hangs.
    let script = format!(
        "#!/bin/sh\nread -r entry || exit 0\nps -ewwo args= >{0}.part\nps eww >>{0}.part\nmv {0}.part {0}\nexec tail -f /dev/null\n",
        mark.display()
    );
    sshd.replace_program("/usr/sbin/chpasswd", &script);
    let limits = Limits {
        whole: Duration::from_secs(6),
        ..LIMITS
    };
    let pinned = HostKeyPolicy::Pinned(vec![sshd.host_key("ed25519")]);
    let target = SshTarget::new("127.0.0.1", sshd.port, pinned, limits);
    let order = change(login("free", OLD), "ana", NEW);
    let failure = target.change_password(&order).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    assert!(failure.is_unverified(), "{failure}");
    let shown = wait_for("the list of processes", || {
        std::fs::read_to_string(&mark).ok()
    });
    assert!(shown.contains("chpasswd") && !shown.contains(NEW) && !shown.contains(OLD));
}
