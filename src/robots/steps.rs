//! The steps of a template as a command.
//!
//! The first line is the command, in words as a shell would take them apart, though none does: quotes hold blanks together.
//! What follows is its standard input. `{account}` stands for the account's name in both, `{{` and `}}` for braces; in the standard
//! input only, `{password}` for the secret by which somebody signed in, and where a new one is to be set `{new_password}` for it.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::connect::target::{
    Command, CommandTemplate, Parameter, ParameterKind, TemplateError, Value,
};

const ACCOUNT: &str = "account";
const PASSWORD: &str = "password";
const NEW_PASSWORD: &str = "new_password";

/// Why the steps are no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StepsError {
    /// Quotes that do not end.
    #[error("a quote in the first line does not end")]
    Quotes,
    /// Places or words that cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// What stands in the places of steps.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    /// Whose account.
    pub(super) account: &'a str,
    /// The secret of who signed in; none where that is no password.
    pub(super) password: Option<&'a SecretString>,
    /// The secret to be set, where one is.
    pub(super) new_password: Option<&'a SecretString>,
}

/// The command that `steps` describe.
pub(super) fn command(steps: &str, places: Places<'_>) -> Result<Command, StepsError> {
    let (line, stdin) = steps.split_once('\n').unwrap_or((steps, ""));
    let words = shlex::split(line.trim_end_matches('\r')).ok_or(StepsError::Quotes)?;
    let account = Value::Text(places.account.to_owned());
    let secrets = [
        (PASSWORD, places.password),
        (NEW_PASSWORD, places.new_password),
    ];
    let mut parameters = Vec::from([parameter(ACCOUNT, ParameterKind::Account)]);
    let mut values = BTreeMap::from([(ACCOUNT.to_owned(), account)]);
    for (name, secret) in secrets {
        if let Some(secret) = secret {
            parameters.push(parameter(name, ParameterKind::Secret));
            values.insert(name.to_owned(), Value::Secret(secret.clone()));
        }
    }
    let template = CommandTemplate::parse(&words, stdin, &parameters)?;
    Ok(template.fill(&values)?)
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
        for steps in [
            "",
            "\nls",
            "{account}",
            "echo {password}",
            "echo {other}",
            "cat\n{new_password}",
        ] {
            let refused = words(steps).unwrap_err();
            assert!(matches!(refused, StepsError::Template(_)), "{steps}");
        }
    }
}
