//! Accounts of Windows machines, by the remote procedures that administrators use (SAMR).
//!
//! The work is done by Samba's programs `smbclient`, `rpcclient` and `net`, which must be on this
//! machine. Their secrets come from a file that only we can read and from their standard input,
//! never from an argument; what they answer is read by its status (MS-ERREF), not its words.
//!
//! NTLM does not let a machine prove who it is before it is answered: whoever stands in the way
//! gets an answer to try passwords against. Messages are signed, so that nobody can pretend that
//! a wrong password was taken, nor change what is asked.

mod script;
mod status;

use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

use self::script::split_domain;
use self::status::{Moment, class_of_status, is_certain, status_in};
use super::command::{CommandEnd, CommandSpec, GuardProgram};
use super::target::{
    AdmissionOrder, Attempt, Command, Failure, Limits, Login, PasswordChange, Probed, ProgramEnd,
    Ran, Target, check_host, check_login, dial, run_program,
};
use crate::domain::failure::FailureClass;

const SIGN_IN: &str = "sign in at";
const CHANGE: &str = "change a password at";
const ADMIT: &str = "open or close an account at";

/// In memory, where there is such a folder: what is left there after a crash is gone with the power.
const MEMORY_FOLDER: &str = "/dev/shm";

/// A Windows machine, or a domain's controller.
#[derive(Debug, Clone)]
pub struct WindowsTarget {
    host: String,
    port: u16,
    guard: GuardProgram,
    limits: Limits,
    shown: String,
}

impl WindowsTarget {
    /// Names the machine, its port (445), and the program that watches over Samba's; connects to
    /// nothing yet.
    ///
    /// An account is `NAME` or `DOMAIN\NAME`.
    #[must_use]
    pub fn new(host: &str, port: u16, guard: GuardProgram, limits: Limits) -> Self {
        Self {
            host: host.to_owned(),
            port,
            guard,
            limits,
            shown: format!("{host}:{port}"),
        }
    }

    async fn probed(&self, attempt: &Attempt<'_>, login: &Login) -> Result<(), Failure> {
        let share = format!("//{}/IPC$", self.host);
        let words = ["smbclient", &share, "-c", "exit"];
        let ended = self
            .talk(
                attempt,
                login,
                words,
                &SecretString::default(),
                Moment::SignIn,
            )
            .await?;
        if ended.end == CommandEnd::Exited(0) {
            return Ok(());
        }
        Err(failed(attempt, SIGN_IN, Moment::SignIn, &ended))
    }

    async fn changed(&self, attempt: &Attempt<'_>, change: &PasswordChange) -> Result<(), Failure> {
        let (_, name) = split_domain(&change.account);
        let old = change.login.credential.password();
        let line = match old {
            Some(old) if change.is_own() => script::change(name, old, &change.secret),
            _ => script::set(name, &change.secret),
        };
        let words = ["rpcclient", &self.host];
        let talk = self.talk(attempt, &change.login, words, &line, Moment::Change);
        let ended = talk.await?;
        let said = ended.stdout.so_far() + &ended.stderr.so_far();
        // It exits with 0 whatever comes of a line that it reads, and is silent when all is well.
        if ended.end == CommandEnd::Exited(0) && said.trim().is_empty() {
            return Ok(());
        }
        let moment = match said.contains("Cannot connect") {
            true => Moment::SignIn,
            false => Moment::Change,
        };
        Err(failed(attempt, CHANGE, moment, &ended))
    }

    async fn admitted(&self, attempt: &Attempt<'_>, order: &AdmissionOrder) -> Result<(), Failure> {
        let (_, name) = split_domain(&order.account);
        let (line, done) = script::admit(name, order.admission);
        let words = ["net", "rpc", "shell", "-S", &self.host];
        let talk = self.talk(attempt, &order.login, words, &line, Moment::Change);
        let ended = talk.await?;
        let said = ended.stdout.so_far() + &ended.stderr.so_far();
        // It too exits with 0 whatever comes of a line.
        if ended.end == CommandEnd::Exited(0) && said.contains(done) {
            return Ok(());
        }
        let moment = match said.contains("Could not connect") {
            true => Moment::SignIn,
            false => Moment::Change,
        };
        Err(failed(attempt, ADMIT, moment, &ended))
    }

    /// Runs one of Samba's programs as the one who signs in.
    async fn talk<const N: usize>(
        &self,
        attempt: &Attempt<'_>,
        login: &Login,
        words: [&str; N],
        stdin: &SecretString,
        moment: Moment,
    ) -> Result<ProgramEnd, Failure> {
        check_login(attempt, login)?;
        check_host(attempt, &self.host)?;
        let Some(password) = login.credential.password() else {
            let reason = "an account signs in by its password, not by a key";
            return Err(attempt.fail(FailureClass::Unsupported, SIGN_IN, reason));
        };
        let address = self.reach(attempt).await?.to_string();
        let secret = auth_file(attempt, &login.account, password)?;
        let [program, rest @ ..] = &words[..] else {
            return Err(attempt.fail(FailureClass::Invalid, "use", "no program is named"));
        };
        let port = self.port.to_string();
        let path = secret.path().display().to_string();
        // The settings of this machine's own Samba say nothing about the other one.
        let options = [
            "--configfile=/dev/null",
            "--use-kerberos=off",
            "--client-protection=sign",
            "-p",
            &port,
            "-I",
            &address,
            "-A",
            &path,
        ];
        let all = options.iter().chain(rest).map(|word| (*word).to_owned());
        let spec = CommandSpec {
            program: (*program).to_owned(),
            args: all.collect(),
            current_dir: None,
            env: vec![("LC_ALL".to_owned(), "C".to_owned())],
        };
        if moment == Moment::Change {
            attempt.effect_begins();
        }
        run_program(attempt, &self.guard, &spec, stdin).await
    }

    /// The address that answers. Samba's programs would look in more places for a name than we
    /// do, and tell less about what they did not find.
    async fn reach(&self, attempt: &Attempt<'_>) -> Result<IpAddr, Failure> {
        let dialling = dial(attempt, &self.host, self.port);
        let stream = attempt
            .within(self.limits.connect, "reach", dialling)
            .await?;
        let peer = stream.peer_addr();
        peer.map(|address| address.ip())
            .map_err(|error| attempt.fail(FailureClass::Refused, "reach", error.to_string()))
    }
}

/// Refuses a password that no sign-in of ours could say: `-A` trims what it reads.
fn check_blanks(attempt: &Attempt<'_>, password: &SecretString) -> Result<(), Failure> {
    let text = password.expose_secret();
    if text.trim() == text {
        return Ok(());
    }
    let reason = "the password begins or ends with a blank, which Samba's programs cannot say";
    Err(attempt.fail(FailureClass::Unsupported, SIGN_IN, reason))
}

/// What `-A` reads.
fn auth_file(
    attempt: &Attempt<'_>,
    account: &str,
    password: &SecretString,
) -> Result<NamedTempFile, Failure> {
    check_blanks(attempt, password)?;
    let text = password.expose_secret();
    let (domain, name) = split_domain(account);
    let write = || -> std::io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".robotd-");
        let folder = Path::new(MEMORY_FOLDER);
        // Made with mode 0600.
        let mut file = match folder.is_dir() {
            true => builder.tempfile_in(folder)?,
            false => builder.tempfile()?,
        };
        if let Some(domain) = domain {
            writeln!(file, "domain = {domain}")?;
        }
        writeln!(file, "username = {name}")?;
        writeln!(file, "password = {text}")?;
        Ok(file)
    };
    write().map_err(|error| {
        let reason = format!("no file for Samba's programs: {error}");
        attempt.fail(FailureClass::Unavailable, "prepare work on", reason)
    })
}

/// The failure behind what a program of Samba's said.
fn failed(
    attempt: &Attempt<'_>,
    step: &'static str,
    moment: Moment,
    ended: &ProgramEnd,
) -> Failure {
    let said = ended.stdout.so_far() + &ended.stderr.so_far();
    let Some(status) = status_in(&said) else {
        let class = match said.contains("command not found") {
            true => {
                attempt.effect_refused();
                FailureClass::Unsupported
            }
            false => FailureClass::Protocol,
        };
        return attempt.fail(class, step, said);
    };
    let class = class_of_status(status, moment);
    if moment == Moment::SignIn || is_certain(class) {
        attempt.effect_refused();
    }
    attempt.fail(class, step, status.to_owned())
}

#[async_trait]
impl Target for WindowsTarget {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let work = Box::pin(self.probed(&attempt, login));
        attempt.within(self.limits.whole, SIGN_IN, work).await?;
        Ok(Probed { host_key: None })
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        let attempt = Attempt::of_change(&self.shown, change);
        change.check(&attempt)?;
        check_blanks(&attempt, &change.secret)?;
        let work = Box::pin(self.changed(&attempt, change));
        attempt.within(self.limits.whole, CHANGE, work).await
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        let attempt = Attempt::new(&self.shown, &order.login);
        order.check(&attempt)?;
        let work = Box::pin(self.admitted(&attempt, order));
        attempt.within(self.limits.whole, ADMIT, work).await
    }

    async fn run(&self, login: &Login, _: &Command) -> Result<Ran, Failure> {
        let attempt = Attempt::new(&self.shown, login);
        let reason = "commands are not run this way";
        Err(attempt.fail(FailureClass::Unsupported, "run a command at", reason))
    }
}
