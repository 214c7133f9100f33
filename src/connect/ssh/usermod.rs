//! An administrator opens or closes another account: `usermod`, as root or under `sudo`.

use secrecy::SecretString;

use super::chpasswd::{ASKED, after, check_account, is_root, refused_by_sudo};
use super::exec::{Ended, Exec, exec};
use super::session::Session;
use crate::connect::target::{AdmissionOrder, Attempt, Failure, shell_word};
use crate::domain::failure::FailureClass;
use crate::domain::operation::Admission;

pub(super) const STEP: &str = "open or close an account at";

/// By its path, because that is what rules of `sudo` name.
const USERMOD: &str = "/usr/sbin/usermod";

/// Opens or closes it, for passwords and keys alike: the password is locked, and the account past its time, which an sshd
/// heeds that has no PAM, too.
pub(super) async fn admit(
    session: &Session,
    attempt: &Attempt<'_>,
    order: &AdmissionOrder,
) -> Result<(), Failure> {
    check_account(attempt, &order.account)?;
    let options = match order.admission {
        Admission::Open => "-U -e ''",
        Admission::Closed => "-L -e 1",
    };
    let work = format!("{USERMOD} {options} -- {}", shell_word(&order.account));
    // It reads nothing: a password that `sudo` does not ask for goes unread.
    let password = order.login.credential.password();
    let (line, input) = match (is_root(session, attempt).await?, password) {
        (true, _) => (format!("env LC_ALL=C {work}"), SecretString::default()),
        (false, Some(password)) => (sudo("-S", &work), after(password, "")),
        (false, None) => (sudo("-n", &work), SecretString::default()),
    };
    let ended = exec(session, attempt, Exec::act(&line, &input)).await?;
    if ended.succeeded() {
        return Ok(());
    }
    Err(refused(attempt, &ended))
}

fn sudo(how: &str, work: &str) -> String {
    format!("env LC_ALL=C sudo -k {how} -p {ASKED} -- {work}")
}

/// Why it was not done. `sudo` and `usermod` say in English that nothing was changed; where they do not, that is left open.
fn refused(attempt: &Attempt<'_>, ended: &Ended) -> Failure {
    let said = ended.said().replace(ASKED, "");
    let says = |some: &[&str]| some.iter().any(|word| said.contains(word));
    let (class, reason) = if says(&["sudo:", "sudoers", "may not run", "is not allowed"]) {
        refused_by_sudo(ended, USERMOD)
    } else if says(&["does not exist"]) {
        (FailureClass::NoSuchAccount, said)
    } else if says(&[
        "ermission denied",
        "annot lock",
        "annot open",
        "not permitted",
    ]) {
        (FailureClass::PermissionDenied, said)
    } else {
        return attempt.fail(FailureClass::Protocol, STEP, said);
    };
    attempt.effect_refused();
    attempt.fail(class, STEP, reason)
}
