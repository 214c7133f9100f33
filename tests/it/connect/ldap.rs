//! Entries of a real directory, over TLS in both ways.

use std::time::Duration;

use robotd::connect::ldap::{DirectoryKind, LdapTarget, LdapTls};
use robotd::connect::target::{Failure, Limits, Login, Target as _};
use robotd::connect::tls::Trust;
use robotd::domain::failure::{Effect, FailureClass};
use robotd::domain::operation::Admission;
use tempfile::TempDir;

use super::account::{admission, change, login};
use crate::support::authority::Authority;
use crate::support::counterpart::free_port;
use crate::support::slapd::{ADMIN, Slapd, dn};

const OLD: &str = "Right-Horse-7";
const NEW: &str = "Left-Camel-8.x";
const ODD: &str = "é: 'q\"$x\\`;!#{}|<&>* x";

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    whole: Duration::from_secs(60),
};

fn at(port: u16, tls: LdapTls) -> LdapTarget {
    LdapTarget::new(
        "127.0.0.1",
        port,
        DirectoryKind::PasswordModify,
        tls,
        LIMITS,
    )
}

/// Every way to talk to it; the first is the usual one.
fn targets(slapd: &Slapd) -> [LdapTarget; 3] {
    let ca = Trust::File(slapd.authority.ca.clone());
    [
        at(slapd.tls_port, LdapTls::Implicit(ca.clone())),
        at(slapd.port, LdapTls::StartTls(ca)),
        at(slapd.port, LdapTls::None),
    ]
}

async fn refusal(target: &LdapTarget, login: &Login) -> Failure {
    let failure = target.probe(login).await.unwrap_err();
    assert_eq!(failure.effect, Effect::None);
    assert!(!failure.to_string().contains(OLD));
    failure
}

#[tokio::test]
async fn passwords_change_by_their_owner_and_by_the_administrator() {
    let Some(slapd) = Slapd::start(&["ana"], OLD) else {
        return;
    };
    let ana = dn("ana");
    let secrets = [
        NEW,
        ODD,
        "third-secret-3",
        "fourth-secret-4",
        "fifth-secret-5",
        "sixth-secret-6",
    ];
    let mut old = OLD;
    for (target, pair) in targets(&slapd).iter().zip(secrets.chunks(2)) {
        let order = change(login(&ana, old), &ana, pair[0]);
        target.change_password(&order).await.unwrap();
        assert!(slapd.lets_in(&ana, pair[0]) && !slapd.lets_in(&ana, old));
        target.probe(&login(&ana, pair[0])).await.unwrap();

        let order = change(login(ADMIN, OLD), &ana, pair[1]);
        target.change_password(&order).await.unwrap();
        // Set by another, it must be changed first (`pwdMustChange`): only its owner can do more.
        let failure = refusal(target, &login(&ana, pair[1])).await;
        assert_eq!(failure.class, FailureClass::PasswordExpired, "{failure}");
        assert!(slapd.lets_in(&ana, pair[1]) && !slapd.lets_in(&ana, pair[0]));
        old = pair[1];
    }
    assert!(!slapd.log().contains(ODD) && !slapd.log().contains(NEW));
}

#[tokio::test]
async fn a_password_that_the_policy_does_not_want_leaves_the_old_one() {
    let Some(slapd) = Slapd::start(&["ana"], OLD) else {
        return;
    };
    let ana = dn("ana");
    let [target, ..] = targets(&slapd);
    for poor in ["short", OLD] {
        let order = change(login(&ana, OLD), &ana, poor);
        let failure = target.change_password(&order).await.unwrap_err();
        assert_eq!(
            failure.class,
            FailureClass::PasswordPolicy,
            "{poor}: {failure}"
        );
        assert_eq!(failure.effect, Effect::None);
    }
    assert!(slapd.lets_in(&ana, OLD));
}

#[tokio::test]
async fn a_lock_is_told_from_a_wrong_password() {
    let Some(slapd) = Slapd::start(&["ana"], OLD) else {
        return;
    };
    let ana = dn("ana");
    let [target, ..] = targets(&slapd);
    for _ in 0..3 {
        let failure = refusal(&target, &login(&ana, "wrong-horse")).await;
        assert_eq!(failure.class, FailureClass::AuthFailed, "{failure}");
    }
    let failure = refusal(&target, &login(&ana, OLD)).await;
    assert_eq!(failure.class, FailureClass::AccountLocked, "{failure}");
    for stranger in [dn("nobody-here"), "no name at all".to_owned()] {
        let failure = refusal(&target, &login(&stranger, OLD)).await;
        assert!(
            matches!(
                failure.class,
                FailureClass::AuthFailed | FailureClass::Invalid
            ),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn who_may_not_change_it_changes_nothing() {
    let Some(slapd) = Slapd::start(&["ana", "bob"], OLD) else {
        return;
    };
    let [target, ..] = targets(&slapd);
    for (by, account, class) in [
        (dn("bob"), dn("ana"), FailureClass::PermissionDenied),
        (
            ADMIN.to_owned(),
            dn("nobody-here"),
            FailureClass::NoSuchAccount,
        ),
    ] {
        let order = change(login(&by, OLD), &account, NEW);
        let failure = target.change_password(&order).await.unwrap_err();
        assert_eq!(failure.class, class, "{account}: {failure}");
        assert_eq!(failure.effect, Effect::None);
    }
    assert!(slapd.lets_in(&dn("ana"), OLD));
}

#[tokio::test]
async fn no_secret_goes_to_a_directory_that_is_not_verified() {
    let Some(slapd) = Slapd::start(&["ana"], OLD) else {
        return;
    };
    let ana = login(&dn("ana"), OLD);
    let other = TempDir::new().unwrap();
    let Some(stranger) = Authority::make(other.path()) else {
        return;
    };
    for (target, class) in [
        (
            at(
                slapd.tls_port,
                LdapTls::Implicit(Trust::File(stranger.ca.clone())),
            ),
            FailureClass::Tls,
        ),
        (
            at(
                slapd.port,
                LdapTls::StartTls(Trust::File(stranger.ca.clone())),
            ),
            FailureClass::Tls,
        ),
        (
            at(
                slapd.tls_port,
                LdapTls::Implicit(Trust::File("/no/such/file".into())),
            ),
            FailureClass::Invalid,
        ),
        (at(free_port(), LdapTls::None), FailureClass::Refused),
    ] {
        let failure = refusal(&target, &ana).await;
        assert_eq!(failure.class, class, "{failure}");
    }
    let kind = DirectoryKind::PasswordModify;
    for (host, class) in [
        ("192.0.2.1", FailureClass::Invalid),
        ("a/b", FailureClass::Invalid),
        ("", FailureClass::Invalid),
    ] {
        let target = LdapTarget::new(host, 389, kind, LdapTls::None, LIMITS);
        assert_eq!(refusal(&target, &ana).await.class, class, "{host}");
    }
    assert!(!slapd.log().contains("BIND"), "{}", slapd.log());
}

#[tokio::test]
async fn a_directory_that_falls_silent_costs_no_more_than_its_time() {
    let Some(slapd) = Slapd::start(&["ana"], OLD) else {
        return;
    };
    let short = Limits {
        connect: Duration::from_millis(300),
        ..LIMITS
    };
    let ca = Trust::File(slapd.authority.ca.clone());
    let kind = DirectoryKind::PasswordModify;
    let target = LdapTarget::new(
        "127.0.0.1",
        slapd.tls_port,
        kind,
        LdapTls::Implicit(ca),
        short,
    );
    slapd.pause();
    let failure = refusal(&target, &login(&dn("ana"), OLD)).await;
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    slapd.kill();
}

/// What Active Directory gets, on the wire: an administrator replaces the value, an owner takes the
/// old one away and adds the new one. What that directory then makes of it, this one does not know.
#[tokio::test]
async fn the_value_for_active_directory_arrives() {
    let Some(slapd) = Slapd::start_as_windows(&["ana"], OLD) else {
        return;
    };
    let ana = dn("ana");
    let ca = Trust::File(slapd.authority.ca.clone());
    let kind = DirectoryKind::AsItSays;
    let target = LdapTarget::new(
        "127.0.0.1",
        slapd.tls_port,
        kind,
        LdapTls::Implicit(ca),
        LIMITS,
    );
    let order = change(login(ADMIN, OLD), &ana, OLD);
    target.change_password(&order).await.unwrap();
    // `"Right-Horse-7"` as UTF-16, by iconv and base64.
    let value = "unicodePwd:: IgBSAGkAZwBoAHQALQBIAG8AcgBzAGUALQA3ACIA";
    let read = slapd.read(OLD, &ana, "unicodePwd");
    assert!(read.contains(value), "{read}");

    let order = change(login(&ana, OLD), &ana, NEW);
    target.change_password(&order).await.unwrap();
    let value = "unicodePwd:: IgBMAGUAZgB0AC0AQwBhAG0AZQBsAC0AOAAuAHgAIgA=";
    let read = slapd.read(OLD, &ana, "unicodePwd");
    assert!(read.contains(value), "{read}");

    // The old value is not there any more, so nothing is added either.
    let failure = target.change_password(&order).await.unwrap_err();
    assert_eq!(failure.effect, Effect::None, "{failure}");
    assert_eq!(slapd.read(OLD, &ana, "unicodePwd"), read);

    // A normal account (512), and closed (2).
    for (how, value) in [
        (Admission::Closed, "userAccountControl: 514"),
        (Admission::Closed, "userAccountControl: 514"),
        (Admission::Open, "userAccountControl: 512"),
    ] {
        let order = admission(login(ADMIN, OLD), &ana, how);
        target.admit(&order).await.unwrap();
        let read = slapd.read(OLD, &ana, "userAccountControl");
        assert!(read.contains(value), "{read}");
    }
    for (account, class) in [
        (dn("nobody"), FailureClass::NoSuchAccount),
        (ADMIN.to_owned(), FailureClass::NoSuchAccount),
    ] {
        let order = admission(login(ADMIN, OLD), &account, Admission::Closed);
        let failure = target.admit(&order).await.unwrap_err();
        assert_eq!((failure.class, failure.effect), (class, Effect::None));
    }
}

/// A directory hangs up at our goodbye, often before we have heard that it was said: nobody was cut off by that.
#[tokio::test]
async fn a_goodbye_is_no_lost_connection() {
    let Some(slapd) = Slapd::start(&["ana"], OLD) else {
        return;
    };
    let [target, ..] = targets(&slapd);
    let visit = || async {
        for _ in 0..50 {
            target.probe(&login(&dn("ana"), OLD)).await.unwrap();
        }
    };
    futures_util::future::join_all([(); 8].map(|()| visit())).await;
}
