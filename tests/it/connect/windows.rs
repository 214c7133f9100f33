//! Windows accounts, against Samba's server.

use std::time::Duration;

use robotd::connect::command::GuardProgram;
use robotd::connect::target::{Failure, Limits, Login, Target as _};
use robotd::connect::windows::WindowsTarget;
use robotd::domain::failure::{Effect, FailureClass};

use super::account::{change, login};
use crate::support::counterpart::free_port;
use crate::support::smbd::Smbd;

const OLD: &str = "Right-Horse-7";
const NEW: &str = "Left-Camel-8.x";
const ODD: &str = "é: q\"$x\\`;!#{}|<&>* 'x\\";

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    whole: Duration::from_secs(60),
};

fn guard() -> GuardProgram {
    GuardProgram::at(env!("CARGO_BIN_EXE_robotd"))
}

fn at(host: &str, port: u16) -> WindowsTarget {
    WindowsTarget::new(host, port, guard(), LIMITS)
}

fn target(smbd: &Smbd) -> WindowsTarget {
    at("127.0.0.1", smbd.port)
}

async fn refusal(target: &WindowsTarget, login: &Login) -> Failure {
    let failure = target.probe(login).await.unwrap_err();
    assert_eq!(failure.effect, Effect::None);
    assert!(!failure.to_string().contains(OLD));
    failure
}

#[tokio::test]
async fn passwords_change_by_their_owner_and_by_the_administrator() {
    let Some(smbd) = Smbd::start(OLD) else { return };
    let target = target(&smbd);
    let mut old = OLD;
    for (own, set) in [(NEW, ODD), ("Third-Secret-3", "Fourth Secret 4")] {
        let order = change(login("games", old), "games", own);
        target.change_password(&order).await.unwrap();
        assert!(smbd.lets_in("games", own) && !smbd.lets_in("games", old));
        smbd.administrate("pdbedit", &["-z", "-u", "games"], "");
        target.probe(&login("games", own)).await.unwrap();

        let order = change(login("root", OLD), "games", set);
        target.change_password(&order).await.unwrap();
        target.probe(&login("TEST\\games", set)).await.unwrap();
        assert!(smbd.lets_in("games", set));
        old = set;
    }
}

#[tokio::test]
async fn a_refused_sign_in_has_its_class() {
    let Some(smbd) = Smbd::start(OLD) else { return };
    let target = target(&smbd);
    for (account, password, class) in [
        ("games", "wrong-horse", FailureClass::AuthFailed),
        ("nobody-here", OLD, FailureClass::AuthFailed),
        ("games", " blank", FailureClass::Unsupported),
    ] {
        let failure = refusal(&target, &login(account, password)).await;
        assert_eq!(failure.class, class, "{account}: {failure}");
    }
    for _ in 0..3 {
        refusal(&target, &login("news", "wrong-horse")).await;
    }
    let failure = refusal(&target, &login("news", OLD)).await;
    assert_eq!(failure.class, FailureClass::AccountLocked, "{failure}");
    smbd.administrate(
        "net",
        &["sam", "set", "pwdmustchangenow", "games", "yes"],
        "",
    );
    let failure = refusal(&target, &login("games", OLD)).await;
    assert_eq!(failure.class, FailureClass::PasswordExpired, "{failure}");
    smbd.administrate("smbpasswd", &["-d", "games"], "");
    let failure = refusal(&target, &login("games", OLD)).await;
    assert_eq!(failure.class, FailureClass::AccountDisabled, "{failure}");
}

#[tokio::test]
async fn a_guest_is_nobody() {
    // Such a server lets everybody in whom it does not know.
    let Some(smbd) = Smbd::start_with(OLD, "map to guest = bad user") else {
        return;
    };
    assert!(smbd.lets_in("nobody-here", OLD));
    let failure = refusal(&target(&smbd), &login("nobody-here", OLD)).await;
    assert!(!failure.class.is_temporary(), "{failure}");
    target(&smbd).probe(&login("games", OLD)).await.unwrap();
}

#[tokio::test]
async fn a_refused_change_leaves_the_old_password() {
    let Some(smbd) = Smbd::start(OLD) else { return };
    for (by, account, new, class) in [
        (
            login("games", OLD),
            "games",
            "short",
            FailureClass::PasswordPolicy,
        ),
        (
            login("games", "wrong-horse"),
            "games",
            NEW,
            FailureClass::AuthFailed,
        ),
        (
            login("news", OLD),
            "games",
            NEW,
            FailureClass::PermissionDenied,
        ),
        (
            login("root", OLD),
            "nobody-here",
            NEW,
            FailureClass::NoSuchAccount,
        ),
        (
            login("root", OLD),
            "games",
            "blank ",
            FailureClass::Unsupported,
        ),
    ] {
        let order = change(by, account, new);
        let failure = target(&smbd).change_password(&order).await.unwrap_err();
        assert_eq!(failure.class, class, "{account} {new}: {failure}");
        assert_eq!(failure.effect, Effect::None, "{account} {new}: {failure}");
    }
    assert!(smbd.lets_in("games", OLD));
}

#[tokio::test]
async fn a_machine_that_is_not_there_is_told_apart() {
    for (host, port, class) in [
        ("127.0.0.1", free_port(), FailureClass::Refused),
        ("no-such-machine.invalid", 445, FailureClass::Dns),
        ("-L", 445, FailureClass::Invalid),
        ("a/b", 445, FailureClass::Invalid),
    ] {
        let failure = refusal(&at(host, port), &login("games", OLD)).await;
        assert_eq!(failure.class, class, "{host}: {failure}");
        let order = change(login("games", OLD), "games", NEW);
        let failure = at(host, port).change_password(&order).await.unwrap_err();
        assert_eq!(
            (failure.class, failure.effect),
            (class, Effect::None),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_machine_that_falls_silent_costs_no_more_than_its_time() {
    // The kernel accepts, and nobody ever says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits {
        whole: Duration::from_millis(700),
        ..LIMITS
    };
    let port = listener.local_addr().unwrap().port();
    let target = WindowsTarget::new("127.0.0.1", port, guard(), limits);
    let failure = refusal(&target, &login("games", OLD)).await;
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    let order = change(login("games", OLD), "games", NEW);
    let failure = target.change_password(&order).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    assert!(failure.is_unverified());
}
