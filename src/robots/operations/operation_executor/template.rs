//! The steps of a template as a command.
//!
//! The first line is the command, in words as a shell would take them apart, though none does: quotes hold blanks together.
//! What follows is its standard input. `{account}` stands for the account's name in both, `{password}` for the secret in force
//! in the standard input only, `{{` and `}}` for braces.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::connect::target::{
    Command, CommandTemplate, Parameter, ParameterKind, TemplateError, Value,
};

const ACCOUNT: &str = "account";
const PASSWORD: &str = "password";

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

/// The command that `steps` describe, for an account and its secret.
pub(super) fn command(
    steps: &str,
    account: &str,
    password: &SecretString,
) -> Result<Command, StepsError> {
    let (line, stdin) = steps.split_once('\n').unwrap_or((steps, ""));
    let words = shlex::split(line.trim_end_matches('\r')).ok_or(StepsError::Quotes)?;
    let parameter = |name: &str, kind| Parameter {
        name: name.to_owned(),
        kind,
    };
    let parameters = [
        parameter(ACCOUNT, ParameterKind::Account),
        parameter(PASSWORD, ParameterKind::Secret),
    ];
    let values = BTreeMap::from([
        (ACCOUNT.to_owned(), Value::Text(account.to_owned())),
        (PASSWORD.to_owned(), Value::Secret(password.clone())),
    ]);
    let template = CommandTemplate::parse(&words, stdin, &parameters)?;
    Ok(template.fill(&values)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(steps: &str) -> Result<Vec<String>, StepsError> {
        let command = command(steps, "ana", &SecretString::from("s3cret"))?;
        Ok(command.words().to_vec())
    }

    #[test]
    fn the_first_line_is_the_command_and_no_shell_reads_it() {
        let found = words("/bin/echo \"a  b\" 'c;d' {account}\n{password}\n").unwrap();
        assert_eq!(found, ["/bin/echo", "a  b", "c;d", "ana"]);
        assert_eq!(words("/bin/echo \"a"), Err(StepsError::Quotes));
        for steps in ["", "\nls", "{account}", "echo {password}", "echo {other}"] {
            let refused = words(steps).unwrap_err();
            assert!(matches!(refused, StepsError::Template(_)), "{steps}");
        }
    }
}
