//! A folder on a machine that holds versions of a pair of files, and a link that says which is in force.
//!
//! ```text
//! DIRECTORY/current -> 17        what services read: DIRECTORY/current/certificate.pem and key.pem
//! DIRECTORY/16/…                 the version before, for the way back
//! DIRECTORY/17/…
//! ```
//!
//! Certificate and key change together because `rename(2)` of a link is one step: whoever reads sees the old pair or the new
//! one, also when everything dies in between. What is run is a script of this file; what it is run for are its arguments,
//! and the private key comes over the standard input, so that no process list shows it. The machine needs GNU coreutils.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::target::{Attempt, Command, Failure, Login, Ran, Target};
use crate::domain::command::{CommandTemplate, Parameter, ParameterKind, TemplateError, Value};
use crate::domain::failure::FailureClass;

/// Prints where the link leads; fails where something else has its name.
const LOOK: &str = r#"cd -- "$1" 2>/dev/null || exit 0; readlink -- current || [ ! -e current ]"#;

/// Complete under its name, or not there. The key is never in an argument: `printf` is the shell's own.
const STAGE: &str = r#"set -eu; mkdir -p -- "$1"; cd -- "$1"; [ ! -d "$2" ] || exit 0; umask 077; rm -rf -- "$2.new"; mkdir -- "$2.new"; IFS= read -r key; printf '%s' "$key" | base64 -d >"$2.new/key.pem"; base64 -d >"$2.new/certificate.pem"; chmod -- "$3" "$2.new/key.pem"; chmod 0644 "$2.new/certificate.pem"; chmod 0755 "$2.new"; [ -z "$4" ] || chown -R -- "$4" "$2.new"; sync -- "$2.new/key.pem" "$2.new/certificate.pem"; mv -T -- "$2.new" "$2""#;

/// Leads the link from the second argument to the third, where it still leads to the second.
const SWITCH: &str = r#"set -eu; cd -- "$1"; [ "$(readlink -- current || true)" = "$2" ] || exit 3; if [ -n "$3" ]; then rm -f -- .current.new; ln -s -- "$3" .current.new; mv -T -f -- .current.new current; else rm -f -- current; fi; sync -- ."#;

/// Removes versions but these two; a version's name is a number.
const TIDY: &str = r#"set -eu; cd -- "$1"; rm -rf -- [0-9]*.new; for v in [0-9]*; do case "$v" in "$2"|"$3"|*[!0-9]*) ;; *) rm -rf -- "$v" ;; esac; done"#;

/// The exit status by which [`SWITCH`] says that the link leads elsewhere.
const ELSEWHERE: i32 = 3;

/// The folder, and how it is reached.
pub struct VersionFolder<'a> {
    target: &'a dyn Target,
    login: &'a Login,
    directory: &'a str,
}

/// A version about to be laid down.
#[derive(Debug)]
pub struct Version<'a> {
    /// Its name: digits.
    pub name: &'a str,
    /// The certificate and its chain, PEM.
    pub certificate: &'a str,
    /// Its private key, PEM.
    pub key: &'a SecretString,
    /// Whom the files shall belong to; the account where absent.
    pub owner: Option<&'a str>,
    /// Who may read the key, as `chmod` takes it.
    pub key_mode: &'a str,
}

/// What became of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// It leads where it should.
    Done,
    /// Somebody had led it elsewhere; it was left alone.
    Elsewhere,
}

impl<'a> VersionFolder<'a> {
    /// Names the folder; nothing is asked yet.
    #[must_use]
    pub const fn new(target: &'a dyn Target, login: &'a Login, directory: &'a str) -> Self {
        Self {
            target,
            login,
            directory,
        }
    }

    /// Where the link leads; none where there is no link, or no folder.
    ///
    /// # Errors
    /// [`Failure`] without effect; also for a link that leads out of the folder, and for something else of its name.
    pub async fn look(&self) -> Result<Option<String>, Failure> {
        let ran = self.script(LOOK, &[]).await.map_err(unchanged)?;
        let ran = self.succeeded("look into", ran).map_err(unchanged)?;
        let name = ran.stdout.trim_end_matches('\n');
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match name {
            "" => Ok(None),
            name if name.chars().all(plain) && !name.starts_with('.') => Ok(Some(name.to_owned())),
            _ => Err(unchanged(self.failed(
                FailureClass::Invalid,
                "look into",
                "its link `current` leads out of it; let it lead to a folder beside it",
            ))),
        }
    }

    /// Lays a version down beside the others; one that is there already stays.
    ///
    /// # Errors
    /// [`Failure`]; what is in force is the same as before in any case.
    pub async fn stage(&self, version: &Version<'_>) -> Result<(), Failure> {
        let encoded = |text: &str| Zeroizing::new(BASE64_STANDARD.encode(text));
        let key = encoded(version.key.expose_secret());
        let values = [
            ("key", Value::Secret(SecretString::from(key.as_str()))),
            (
                "certificate",
                Value::Text(encoded(version.certificate).to_string()),
            ),
        ];
        let arguments = [
            version.name,
            version.key_mode,
            version.owner.unwrap_or_default(),
        ];
        let stdin = "{key}\n{certificate}\n";
        let ran = self
            .run_script(STAGE, &arguments, stdin, values.into())
            .await;
        self.succeeded("lay files into", ran.map_err(unchanged)?)
            .map_err(unchanged)
            .map(drop)
    }

    /// Leads the link from one version to another, in one step; none is no link.
    ///
    /// # Errors
    /// [`Failure`]; its effect says whether the link may lead to the other one.
    pub async fn switch(&self, from: Option<&str>, to: Option<&str>) -> Result<Switched, Failure> {
        let arguments = [from.unwrap_or_default(), to.unwrap_or_default()];
        let ran = self.script(SWITCH, &arguments).await?;
        if ran.status == Some(ELSEWHERE) {
            return Ok(Switched::Elsewhere);
        }
        self.succeeded("lead the link in", ran)
            .map(|_| Switched::Done)
    }

    /// Removes the versions that are neither in force nor the one before.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn tidy(&self, current: &str, before: Option<&str>) -> Result<(), Failure> {
        let arguments = [current, before.unwrap_or_default()];
        let ran = self.script(TIDY, &arguments).await?;
        self.succeeded("clear", ran).map(drop)
    }

    /// Runs a command of the operator's; that it fails is its answer.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn command(&self, words: &[String]) -> Result<Ran, Failure> {
        let literal: Vec<String> = words
            .iter()
            .map(|word| word.replace('{', "{{").replace('}', "}}"))
            .collect();
        let command = CommandTemplate::parse(&literal, "", &[])
            .and_then(|template| template.fill(&BTreeMap::new()));
        self.run(command).await
    }

    async fn script(&self, script: &str, arguments: &[&str]) -> Result<Ran, Failure> {
        self.run_script(script, arguments, "", BTreeMap::new())
            .await
    }

    async fn run_script(
        &self,
        script: &str,
        arguments: &[&str],
        stdin: &str,
        input: BTreeMap<&str, Value>,
    ) -> Result<Ran, Failure> {
        let mut words = ["/bin/sh", "-c", script, "robotd"]
            .map(str::to_owned)
            .to_vec();
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        let directory = std::iter::once(&self.directory);
        for (index, argument) in directory.chain(arguments).enumerate() {
            let name = format!("argument{index}");
            words.push(format!("{{{name}}}"));
            values.insert(name, Value::Text((*argument).to_owned()));
        }
        values.extend(
            input
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let parameters: Vec<Parameter> = values.iter().map(parameter).collect();
        let command = CommandTemplate::parse(&words, stdin, &parameters)
            .and_then(|template| template.fill(&values));
        self.run(command).await
    }

    async fn run(&self, command: Result<Command, TemplateError>) -> Result<Ran, Failure> {
        match command {
            Ok(command) => self.target.run(self.login, &command).await,
            Err(error) => Err(unchanged(self.failed(
                FailureClass::Invalid,
                "work in",
                &error.to_string(),
            ))),
        }
    }

    fn succeeded(&self, step: &'static str, ran: Ran) -> Result<Ran, Failure> {
        if ran.status == Some(0) {
            return Ok(ran);
        }
        Err(self.failed(FailureClass::PermissionDenied, step, &said(&ran)))
    }

    /// A failure after which the link may lead elsewhere.
    fn failed(&self, class: FailureClass, step: &'static str, reason: &str) -> Failure {
        let attempt = Attempt::new(self.directory, self.login);
        attempt.effect_begins();
        attempt.fail(class, step, reason.to_owned())
    }
}

/// What is in force is the same, whatever failed.
fn unchanged(failure: Failure) -> Failure {
    Failure {
        effect: crate::domain::failure::Effect::None,
        ..failure
    }
}

fn parameter((name, value): (&String, &Value)) -> Parameter {
    let kind = match value {
        Value::Secret(_) => ParameterKind::Secret,
        Value::Integer(_) => ParameterKind::Integer,
        Value::Text(_) => ParameterKind::Text,
    };
    Parameter {
        name: name.clone(),
        kind,
    }
}

/// How a command ended, for people.
#[must_use]
pub fn said(ran: &Ran) -> String {
    let end = match ran.status {
        Some(status) => format!("exit status {status}"),
        None => "ended by a signal".to_owned(),
    };
    let words = ran.stderr.trim();
    let words = if words.is_empty() {
        ran.stdout.trim()
    } else {
        words
    };
    if words.is_empty() {
        end
    } else {
        format!("{end}: {words}")
    }
}
