//! The steps of a template as a command.
//!
//! The first line is the command, in words as a shell would take them apart, though none does: quotes hold blanks together.
//! What follows is its standard input. `{account}` stands for the account's name in both, `{{` and `}}` for braces; in the standard
//! input only, `{password}` for the secret by which somebody signed in, and where a new one is to be set `{new_password}` for it.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::command::{Command, CommandTemplate, Parameter, ParameterKind, TemplateError, Value};
use super::inventory::TemplateKind;

const ACCOUNT: &str = "account";
const PASSWORD: &str = "password";
const NEW_PASSWORD: &str = "new_password";

/// Why the steps are no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepsError {
    /// Quotes that do not end.
    #[error("a quote in the first line does not end: close it, or write `\\` before it")]
    Quotes,
    /// No command.
    #[error("the first line names no program, e.g. `/usr/bin/id {{account}}`")]
    Empty,
    /// A new secret that nobody reads.
    #[error("the standard input, which begins with the second line, must hold `{{new_password}}`")]
    SetsNothing,
    /// Places or words that cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// What stands in the places of steps.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// Whose account.
    pub account: &'a str,
    /// The secret of who signed in; none where that is no password.
    pub password: Option<&'a SecretString>,
    /// The secret to be set, where one is.
    pub new_password: Option<&'a SecretString>,
}

/// Whether `steps` are a command for this kind of work, whatever the account: what is wrong is said when a template is kept,
/// and not when it is run.
///
/// # Errors
/// [`StepsError`], which names the word, line or parameter.
pub fn check(kind: TemplateKind, steps: &str) -> Result<(), StepsError> {
    let sets = matches!(
        kind,
        TemplateKind::ChangePassword | TemplateKind::ReconcilePassword
    );
    let template = match sets {
        true => parse(steps, &[PASSWORD, NEW_PASSWORD])?,
        false => parse(steps, &[PASSWORD])?,
    };
    if sets && !template.reads(NEW_PASSWORD) {
        return Err(StepsError::SetsNothing);
    }
    Ok(())
}

/// The command that `steps` describe.
///
/// # Errors
/// [`StepsError`], also for an account's name that cannot stand in a command.
pub fn command(steps: &str, places: Places<'_>) -> Result<Command, StepsError> {
    let mut values = BTreeMap::from([(ACCOUNT.to_owned(), Value::Text(places.account.to_owned()))]);
    let mut secrets = Vec::new();
    for (name, secret) in [
        (PASSWORD, places.password),
        (NEW_PASSWORD, places.new_password),
    ] {
        if let Some(secret) = secret {
            secrets.push(name);
            values.insert(name.to_owned(), Value::Secret(secret.clone()));
        }
    }
    Ok(parse(steps, &secrets)?.fill(&values)?)
}

/// Takes steps apart; `secrets` may stand in their standard input.
fn parse(steps: &str, secrets: &[&str]) -> Result<CommandTemplate, StepsError> {
    let (line, stdin) = steps.split_once('\n').unwrap_or((steps, ""));
    let words = shlex::split(line.trim_end_matches('\r')).ok_or(StepsError::Quotes)?;
    if words.is_empty() {
        return Err(StepsError::Empty);
    }
    let mut parameters = Vec::from([parameter(ACCOUNT, ParameterKind::Account)]);
    parameters.extend(
        secrets
            .iter()
            .map(|name| parameter(name, ParameterKind::Secret)),
    );
    Ok(CommandTemplate::parse(&words, stdin, &parameters)?)
}

fn parameter(name: &str, kind: ParameterKind) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(steps: &str) -> Result<Vec<String>, StepsError> {
        let places = Places {
            account: "ana",
            password: Some(&SecretString::from("s3cret")),
            new_password: None,
        };
        let command = command(steps, places)?;
        Ok(command.words().to_vec())
    }

    #[test]
    fn the_first_line_is_the_command_and_no_shell_reads_it() {
        let found = words("/bin/echo \"a  b\" 'c;d' {account}\n{password}\n").unwrap();
        assert_eq!(found, ["/bin/echo", "a  b", "c;d", "ana"]);
        assert_eq!(words("/bin/echo \"a"), Err(StepsError::Quotes));
        assert_eq!(words(""), Err(StepsError::Empty));
        assert_eq!(words("# none\nls"), Err(StepsError::Empty));
        for steps in [
            "{account}",
            "echo {password}",
            "echo {other}",
            "cat\n{new_password}",
        ] {
            let refused = words(steps).unwrap_err();
            assert!(matches!(refused, StepsError::Template(_)), "{steps}");
        }
    }
    #[test]
    fn what_is_wrong_is_said_before_it_is_run() {
        let said = |kind, steps| check(kind, steps).map_err(|error| error.to_string());
        for kind in [
            TemplateKind::ChangePassword,
            TemplateKind::VerifyPassword,
            TemplateKind::ReconcilePassword,
            TemplateKind::RunCommand,
        ] {
            for (steps, reason) in [
                ("echo \"unterminated", "a quote in the first line"),
                ("\nid", "the first line names no program"),
                ("{account}", "word 1 of the command: name the program"),
                (
                    "id {user}",
                    "parameter `user`: it is not declared; there is `{account}`",
                ),
                ("id {account", "word 2 of the command: a brace"),
                ("id {password}", "parameter `password`: a secret may"),
                ("sh -c 'id {account}'", "word 3 of the command: data cannot"),
                ("cat\na\n}", "line 2 of the standard input: a brace"),
            ] {
                let error = said(kind, steps).unwrap_err();
                assert!(error.starts_with(reason), "{kind:?} {steps}: {error}");
            }
        }
        let sets = "chpasswd\n{account}:{new_password}\n";
        let sets_nothing = "the standard input, which begins";
        for kind in [
            TemplateKind::ChangePassword,
            TemplateKind::ReconcilePassword,
        ] {
            assert_eq!(check(kind, sets), Ok(()));
            let error = said(kind, "chpasswd {account}\n{password}").unwrap_err();
            assert!(error.starts_with(sets_nothing), "{error}");
        }
        for kind in [TemplateKind::RunCommand, TemplateKind::VerifyPassword] {
            assert_eq!(check(kind, "sudo -S id {account}\n{password}\n"), Ok(()));
            let error = said(kind, sets).unwrap_err();
            assert!(error.starts_with("parameter `new_password`"), "{error}");
        }
    }
}
