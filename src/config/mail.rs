//! `[mail]`: the account that mails go out by.

use std::path::Path;
use std::time::Duration;

use super::file::{Mail, MailTls};
use super::problem::Findings;
use super::value;
use crate::connect::smtp::{SmtpAccount, SmtpTls};
use crate::vault::secret_file;

/// One mail within this, connecting included: servers that check for spam while we wait take half
/// a minute.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// A run of the mail robot must not hang on one server for longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// The account; `None` with the mistakes noted.
pub(super) fn account(mail: Mail, base: &Path, findings: &mut Findings) -> Option<SmtpAccount> {
    let before = findings.count();
    let tls = match mail.tls.unwrap_or(MailTls::StartTls) {
        MailTls::None => SmtpTls::None,
        MailTls::StartTls => SmtpTls::StartTls,
        MailTls::Implicit => SmtpTls::Implicit,
    };
    if mail.host.trim().is_empty() || mail.host.contains(char::is_whitespace) {
        findings.wrong("mail.host", "it must be a name or an address");
    }
    if !mail.from.contains('@') {
        findings.wrong("mail.from", "it must be an address or `Name <address>`");
    }
    if mail.reply_to.as_ref().is_some_and(|to| !to.contains('@')) {
        findings.wrong("mail.reply_to", "it must be an address or `Name <address>`");
    }
    if mail.username.is_some() != mail.password_file.is_some() {
        findings.wrong(
            "mail",
            "`username` and `password_file` go together; a password itself never stands in this file",
        );
    }
    let password = mail.password_file.map(|file| {
        let path = base.join(file);
        let read = secret_file::read_foreign(&path).map_err(|error| format!("failed to {error}"));
        let (password, warning) = findings.value("mail.password_file", read)?;
        findings.warnings.extend(warning);
        Some(password)
    });
    let ca_file = mail.ca_file.map(|file| base.join(file));
    if let Some(file) = ca_file.as_ref().filter(|file| !file.is_file()) {
        findings.wrong("mail.ca_file", format!("`{}` is no file", file.display()));
    }
    let timeout = value::duration(
        findings,
        "mail.timeout",
        mail.timeout.as_deref(),
        TIMEOUT_DEFAULT,
        Duration::from_secs(1)..=TIMEOUT_MAX,
    );
    (findings.count() == before).then(|| SmtpAccount {
        host: mail.host,
        port: mail.port.unwrap_or(match tls {
            SmtpTls::None => 25,
            SmtpTls::StartTls => 587,
            SmtpTls::Implicit => 465,
        }),
        tls,
        username: mail.username,
        password: password.flatten(),
        from: mail.from,
        reply_to: mail.reply_to,
        ca_file,
        timeout,
    })
}
