//! An administrator sets the password of another account: `chpasswd`, as root or under `sudo`.

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::dialogue::is_policy;
use super::exec::{Ended, Exec, exec};
use super::session::Session;
use crate::connect::target::{Attempt, Failure, PasswordChange, shell_word};
use crate::domain::failure::FailureClass;

const STEP: &str = "change a password at";

/// By its path, because that is what rules of `sudo` name.
const CHPASSWD: &str = "/usr/sbin/chpasswd";

/// What `sudo` asks with: words of ours, so that they can be counted in every language.
pub(super) const ASKED: &str = "robotd-sudo-asks";

/// `chpasswd` reads lines of `name:password`.
pub(super) fn check_account(attempt: &Attempt<'_>, account: &str) -> Result<(), Failure> {
    if account.contains(':') || account.starts_with('-') {
        let reason = "an account's name holds no `:` and begins with no `-`";
        return Err(attempt.fail(FailureClass::Invalid, "use", reason));
    }
    Ok(())
}

/// Sets the password. It only ever passes through the standard input.
pub(super) async fn change(
    session: &Session,
    attempt: &Attempt<'_>,
    change: &PasswordChange,
) -> Result<(), Failure> {
    let entry = entry_of(change);
    let (line, input) = match privilege(session, attempt, change).await? {
        Privilege::Root => (format!("env LC_ALL=C {CHPASSWD}"), entry),
        Privilege::SudoFreely => (sudo("-n"), entry),
        Privilege::SudoBy(password) => (sudo("-S"), after(password, entry.expose_secret())),
    };
    let ended = exec(session, attempt, Exec::act(&line, &input)).await?;
    if ended.succeeded() {
        Ok(())
    } else {
        Err(refused(session, attempt, &change.account, &ended).await)
    }
}

/// How the account that signed in may run `chpasswd`.
enum Privilege<'a> {
    Root,
    /// `sudo` asks for nothing.
    SudoFreely,
    /// `sudo` asks for this password, and takes it.
    SudoBy(&'a SecretString),
}

/// Finds out without changing anything: a `chpasswd` that reads nothing changes nothing. What
/// is found out decides how many lines the one that counts must read, for a `sudo` that does not
/// ask would hand the password for it on as an entry.
async fn privilege<'a>(
    session: &Session,
    attempt: &Attempt<'_>,
    change: &'a PasswordChange,
) -> Result<Privilege<'a>, Failure> {
    let try_out = async |line: &str, stdin| exec(session, attempt, Exec::look(line, stdin)).await;
    if is_root(session, attempt).await? {
        return Ok(Privilege::Root);
    }
    if try_out(&sudo("-n"), None).await?.succeeded() {
        return Ok(Privilege::SudoFreely);
    }
    let Some(password) = change.login.credential.password() else {
        let reason = "`sudo` asks for a password, and the account signed in by a key";
        return Err(attempt.fail(FailureClass::PermissionDenied, STEP, reason));
    };
    let input = after(password, "");
    let tried = try_out(&sudo("-S"), Some(&input)).await?;
    if tried.succeeded() {
        return Ok(Privilege::SudoBy(password));
    }
    let (class, reason) = refused_by_sudo(&tried, CHPASSWD);
    Err(attempt.fail(class, STEP, reason))
}

/// Whether the account that signed in is root; one whose password is at its end is refused.
pub(super) async fn is_root(session: &Session, attempt: &Attempt<'_>) -> Result<bool, Failure> {
    let id = exec(session, attempt, Exec::look("id -u", None)).await?;
    if id.is_expiry_notice() {
        let reason = "the password of the administrator must be changed first";
        return Err(attempt.fail(FailureClass::PasswordExpired, STEP, reason));
    }
    Ok(id.stdout.so_far().trim() == "0")
}

/// Why `sudo` did not run a program. Asked twice, it did not take the password; asked once or not at all, it refuses the
/// account.
pub(super) fn refused_by_sudo(tried: &Ended, program: &str) -> (FailureClass, String) {
    let said = tried.said();
    if said.matches(ASKED).count() > 1 {
        let reason = "`sudo` does not take the password that signed in".to_owned();
        return (FailureClass::AuthFailed, reason);
    }
    let said = said.replace(ASKED, "");
    let reason = format!("`sudo` does not let the account run {program}: {said}");
    (FailureClass::PermissionDenied, reason)
}

/// `-k` makes `sudo` forget that it was asked before, so that it asks each time or never.
fn sudo(how: &str) -> String {
    format!("env LC_ALL=C sudo -k {how} -p {ASKED} -- {CHPASSWD}")
}

fn entry_of(change: &PasswordChange) -> SecretString {
    let secret = change.secret.expose_secret();
    let mut entry = Zeroizing::new(String::with_capacity(
        change.account.len() + secret.len() + 2,
    ));
    entry.push_str(&change.account);
    entry.push(':');
    entry.push_str(secret);
    entry.push('\n');
    SecretString::from(entry.as_str())
}

/// The password for `sudo`, and what the program reads.
pub(super) fn after(password: &SecretString, entry: &str) -> SecretString {
    let password = password.expose_secret();
    let mut input = Zeroizing::new(String::with_capacity(password.len() + entry.len() + 1));
    input.push_str(password);
    input.push('\n');
    input.push_str(entry);
    SecretString::from(input.as_str())
}

/// Why `chpasswd` did not take the entry. It says in English that nothing was changed; where it
/// does not, that is left open.
async fn refused(
    session: &Session,
    attempt: &Attempt<'_>,
    account: &str,
    ended: &Ended,
) -> Failure {
    let said = ended.said().replace(ASKED, "");
    let words = said.to_lowercase();
    let says = |some: &[&str]| some.iter().any(|word| words.contains(word));
    if says(&[
        "not changed",
        "changes ignored",
        "does not exist",
        "cannot lock",
    ]) {
        attempt.effect_refused();
    }
    // PAM has one text for an account that is not there and for much else.
    let line = format!("id -u -- {}", shell_word(account));
    let is_there = match exec(session, attempt, Exec::look(&line, None)).await {
        Ok(look) => look.succeeded(),
        Err(_) => true,
    };
    let class = if !is_there {
        FailureClass::NoSuchAccount
    } else if is_policy(&words) {
        FailureClass::PasswordPolicy
    } else if says(&[
        "permission denied",
        "not permitted",
        "cannot lock",
        "cannot open",
    ]) {
        FailureClass::PermissionDenied
    } else {
        FailureClass::Protocol
    };
    attempt.fail(class, STEP, said)
}
