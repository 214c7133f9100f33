//! Whether a secret signs in, and why not.

use robotd::connect::target::{Failure, Login, Target as _};
use robotd::domain::failure::{Effect, FailureClass};

use super::{key_login, login, target};
use crate::support::counterpart::wait_for;
use crate::support::sshd::Sshd;

const PASSWORD: &str = "Right-Horse-7";

/// The ways in which a password is asked for; the last server offers both, and has nothing behind the first.
const WAYS: [&str; 3] = [
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "UsePAM no",
];

async fn refusal(sshd: &Sshd, login: &Login) -> Failure {
    let failure = target(sshd).probe(login).await.unwrap_err();
    assert_eq!(failure.effect, Effect::None);
    assert!(!failure.to_string().contains(PASSWORD));
    failure
}

#[tokio::test]
async fn a_password_is_right_or_wrong_in_every_way() {
    for way in WAYS {
        let Some(sshd) = Sshd::start_with(way) else {
            return;
        };
        for (name, password) in [("ana", PASSWORD), ("bob", "ünï 'q\"$x\\`:;")] {
            sshd.add_account(name, password);
            target(&sshd).probe(&login(name, password)).await.unwrap();
            let failure = refusal(&sshd, &login(name, "wrong-horse")).await;
            assert_eq!(failure.class, FailureClass::AuthFailed, "{way}: {failure}");
        }
        let failure = refusal(&sshd, &login("nobody-here", PASSWORD)).await;
        assert_eq!(failure.class, FailureClass::AuthFailed, "{way}: {failure}");
        // One try each: three in a row would have locked the account.
        let log = sshd.log();
        let tries = ["Failed password", "Failed keyboard-interactive/pam"];
        let tries: usize = tries.iter().map(|way| log.matches(way).count()).sum();
        assert!(tries <= 3, "{way}: {log}");
    }
}

#[tokio::test]
async fn a_key_signs_in_and_another_does_not() {
    let Some(sshd) = Sshd::start() else { return };
    for (name, kind, passphrase) in [
        ("ana", &["-t", "ed25519"][..], ""),
        ("bob", &["-t", "rsa", "-b", "2048"], ""),
        ("eve", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"], ""),
        ("joe", &["-t", "ecdsa"], "open sesame"),
    ] {
        sshd.add_account(name, PASSWORD);
        let key = sshd.add_key(name, kind, passphrase);
        let passphrase = (!passphrase.is_empty()).then_some(passphrase);
        let right = key_login(name, &key, passphrase);
        target(&sshd).probe(&right).await.unwrap();
        let failure = refusal(&sshd, &key_login("root", &key, passphrase)).await;
        assert_eq!(failure.class, FailureClass::AuthFailed, "{failure}");
    }
    let key = sshd.add_key("root", &["-t", "ed25519"], "open sesame");
    let connections = || sshd.log().matches("Connection from").count();
    let spoken_to = connections();
    for (key, passphrase, class) in [
        ("no key", None, FailureClass::Invalid),
        (&key, None, FailureClass::Passphrase),
        (&key, Some("closed"), FailureClass::Passphrase),
    ] {
        let failure = refusal(&sshd, &key_login("root", key, passphrase)).await;
        assert_eq!(failure.class, class, "{failure}");
    }
    assert_eq!(connections(), spoken_to, "nobody was asked");
}

#[tokio::test]
async fn a_server_that_takes_no_passwords_is_not_given_one() {
    let keys_only = "PasswordAuthentication no\nKbdInteractiveAuthentication no";
    let Some(sshd) = Sshd::start_with(keys_only) else {
        return;
    };
    sshd.add_account("ana", PASSWORD);
    let failure = refusal(&sshd, &login("ana", PASSWORD)).await;
    assert_eq!(failure.class, FailureClass::Unsupported);
    assert!(failure.reason.ends_with("only publickey"), "{failure}");
    // This one says that it asks, and asks nothing: the password was not refused.
    let asks_nothing = "UsePAM no\nPasswordAuthentication no";
    let Some(sshd) = Sshd::start_with(asks_nothing) else {
        return;
    };
    sshd.add_account("ana", PASSWORD);
    let failure = refusal(&sshd, &login("ana", PASSWORD)).await;
    assert_eq!(failure.class, FailureClass::PermissionDenied, "{failure}");
}

#[tokio::test]
async fn a_second_factor_is_told_from_a_wrong_secret() {
    let Some(sshd) = Sshd::start_with("AuthenticationMethods publickey,password") else {
        return;
    };
    sshd.add_account("ana", PASSWORD);
    let key = sshd.add_key("ana", &["-t", "ed25519"], "");
    let failure = refusal(&sshd, &key_login("ana", &key, None)).await;
    assert_eq!(failure.class, FailureClass::Unsupported, "{failure}");
}

#[tokio::test]
async fn a_locked_account_is_known_even_by_the_right_secret() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", PASSWORD);
    for _ in 0..3 {
        let failure = refusal(&sshd, &login("ana", "wrong-horse")).await;
        assert_eq!(failure.class, FailureClass::AuthFailed, "{failure}");
    }
    let failure = refusal(&sshd, &login("ana", PASSWORD)).await;
    assert_eq!(failure.class, FailureClass::AccountLocked, "{failure}");
    let failures = sshd.must(&["faillock", "--user", "ana"], "");
    assert_eq!(failures.matches(" V\n").count(), 3, "{failures}");
    sshd.must(&["faillock", "--user", "ana", "--reset"], "");
    target(&sshd).probe(&login("ana", PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn what_a_machine_tells_everybody_says_nothing_about_this_account() {
    for way in WAYS {
        let Some(sshd) = Sshd::start_with(&format!("{way}\nBanner /etc/greeting")) else {
            return;
        };
        let greeting = "Accounts are locked after three tries, or disabled.\n";
        sshd.must(&["tee", "/etc/greeting"], greeting);
        sshd.add_account("ana", PASSWORD);
        target(&sshd).probe(&login("ana", PASSWORD)).await.unwrap();
        let failure = refusal(&sshd, &login("ana", "wrong-horse")).await;
        assert_eq!(failure.class, FailureClass::AuthFailed, "{way}: {failure}");
    }
}

#[tokio::test]
async fn a_right_password_at_its_end_is_told_from_a_wrong_one() {
    for way in WAYS {
        let Some(sshd) = Sshd::start_with(way) else {
            return;
        };
        sshd.add_account("ana", PASSWORD);
        sshd.must(&["chage", "-d", "0", "ana"], "");
        let before = sshd.shadow("ana");
        let failure = refusal(&sshd, &login("ana", PASSWORD)).await;
        assert_eq!(
            failure.class,
            FailureClass::PasswordExpired,
            "{way}: {failure}"
        );
        let failure = refusal(&sshd, &login("ana", "wrong-horse")).await;
        assert_eq!(failure.class, FailureClass::AuthFailed, "{way}: {failure}");
        assert_eq!(sshd.shadow("ana"), before);
    }
}

#[tokio::test]
async fn an_account_past_its_time_is_not_let_in() {
    for way in WAYS {
        let Some(sshd) = Sshd::start_with(way) else {
            return;
        };
        sshd.add_account("ana", PASSWORD);
        sshd.must(&["usermod", "-e", "1", "ana"], "");
        let failure = refusal(&sshd, &login("ana", PASSWORD)).await;
        assert!(
            matches!(
                failure.class,
                FailureClass::AccountDisabled | FailureClass::AuthFailed
            ),
            "{way}: {failure}"
        );
    }
}

#[tokio::test]
async fn what_no_target_can_take_is_refused_before_anybody_is_asked() {
    let Some(sshd) = Sshd::start() else { return };
    let connections = || sshd.log().matches("Connection from").count();
    // The one that looked whether it listens.
    wait_for("the first connection", || (connections() > 0).then_some(()));
    let before = connections();
    for bad in [
        login("", PASSWORD),
        login("a\nb", PASSWORD),
        login("ana", ""),
        login("ana", "two\nlines"),
        login("ana", &"x".repeat(200)),
    ] {
        let failure = refusal(&sshd, &bad).await;
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
    }
    assert_eq!(connections(), before);
}
