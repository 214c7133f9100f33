//! Commands with parameters.
//!
//! A template is a list of words, not a line for a shell: `["/usr/sbin/usermod", "-L",
//! "{account}"]`. A parameter fills a place inside one word and can never become a second
//! word, an option or a part of a shell's script. Secrets fill places in the standard input
//! only, because a machine shows every command line to all of its users.

use std::borrow::Cow;
use std::collections::BTreeMap;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

/// Most words of a command.
const WORDS_MAX: usize = 64;

/// Most bytes of a command's words together, and of its standard input.
const TEXT_BYTES_MAX: usize = 32 * 1024;

/// Programs whose word after `-c` is a script: a place in it would make data a program.
const SHELLS: [&str; 9] = [
    "sh", "bash", "dash", "ksh", "zsh", "fish", "csh", "tcsh", "busybox",
];

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text without control characters.
    Text,
    /// A whole number.
    Integer,
    /// The name of an account: letters, digits and `. _ - @ $ \`, not beginning with `-`.
    Account,
    /// A text that only the standard input may hold.
    Secret,
}

/// A parameter that a template declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What stands between the braces: lower-case letters, digits and `_`.
    pub name: String,
    /// What it may be.
    pub kind: ParameterKind,
}

/// The value of a parameter.
#[derive(Debug, Clone)]
pub enum Value {
    /// Of a [`ParameterKind::Text`] or [`ParameterKind::Account`].
    Text(String),
    /// Of a [`ParameterKind::Integer`].
    Integer(i64),
    /// Of a [`ParameterKind::Secret`].
    Secret(SecretString),
}

/// Why a template or a value cannot be used. No text holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template is wrong.
    #[error("word {word} of the command: {reason}")]
    Word {
        /// Which one, from 1.
        word: usize,
        /// What is wrong and what to do.
        reason: &'static str,
    },
    /// The standard input is wrong.
    #[error("line {line} of the standard input: {reason}")]
    Input {
        /// Which one, from 1.
        line: usize,
        /// What is wrong and what to do.
        reason: &'static str,
    },
    /// There is more than a command may have.
    #[error(
        "too long: at most {} words, and 32 KiB of them and of the standard input",
        WORDS_MAX
    )]
    TooLong,
    /// A place names no parameter, or a parameter has no value, or it has the wrong one.
    #[error("parameter `{name}`: {reason}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong and what to do.
        reason: Cow<'static, str>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Place(String),
}

/// A command with places for parameters, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTemplate {
    words: Vec<Vec<Part>>,
    stdin: Vec<Part>,
    parameters: BTreeMap<String, ParameterKind>,
}

/// A template whose places are filled.
#[derive(Debug, Clone)]
pub struct Command {
    words: Vec<String>,
    stdin: SecretString,
    secrets: Vec<SecretString>,
}

impl Command {
    /// The program and its arguments, one word each.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// What the command reads.
    pub(crate) fn stdin(&self) -> &SecretString {
        &self.stdin
    }

    /// The secrets in it, to be masked in what the command prints.
    pub(crate) fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }
}

impl CommandTemplate {
    /// Reads a template. `{name}` is a place, `{{` and `}}` are braces.
    ///
    /// # Errors
    /// [`TemplateError`] for no program, a place in the program's name or in a shell's script,
    /// an undeclared place, a secret outside the standard input, a stray brace, too much text.
    pub fn parse(
        words: &[String],
        stdin: &str,
        parameters: &[Parameter],
    ) -> Result<Self, TemplateError> {
        let parameters = declared(parameters)?;
        let bytes = words.iter().map(String::len).sum::<usize>();
        if words.len() > WORDS_MAX || bytes.max(stdin.len()) > TEXT_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        let mut read = Vec::with_capacity(words.len());
        for (at, word) in words.iter().enumerate() {
            let parts = parts_of(word).map_err(|reason| word_error(at + 1, reason))?;
            if word.chars().any(char::is_control) {
                return Err(word_error(at + 1, "a control character cannot stand here"));
            }
            read.push(parts);
        }
        let template = Self {
            words: read,
            stdin: parts_of(stdin).map_err(|reason| input_error(stdin, reason))?,
            parameters,
        };
        template.check_places()?;
        Ok(template)
    }

    fn check_places(&self) -> Result<(), TemplateError> {
        let program = match self.words.first().map(Vec::as_slice) {
            Some([Part::Literal(program)]) if !program.starts_with('-') => program,
            _ => return Err(word_error(1, "name the program itself, without a place")),
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        let mut script = false;
        for (at, parts) in self.words.iter().enumerate() {
            for place in places(parts) {
                if script {
                    let reason = "data cannot stand in a script: write \"$1\" there, and the place in a word after the script and a name";
                    return Err(word_error(at + 1, reason));
                }
                if self.kind_of(place)? == ParameterKind::Secret {
                    return Err(parameter_error(
                        place,
                        "a secret may stand in the standard input only",
                    ));
                }
            }
            let option = matches!(parts.as_slice(), [Part::Literal(text)]
                if text.starts_with('-') && !text.starts_with("--") && text.ends_with('c'));
            script = option && (SHELLS.contains(&name) || self.runs_a_shell(at));
        }
        places(&self.stdin).try_for_each(|place| self.kind_of(place).map(drop))
    }

    /// Whether a word before the one at `at` names a shell, as in `sudo -u ana sh -c …`.
    fn runs_a_shell(&self, at: usize) -> bool {
        self.words.iter().take(at).any(|parts| {
            matches!(parts.as_slice(), [Part::Literal(text)]
                if SHELLS.contains(&text.rsplit('/').next().unwrap_or(text)))
        })
    }

    fn kind_of(&self, place: &str) -> Result<ParameterKind, TemplateError> {
        let kind = self.parameters.get(place).copied();
        kind.ok_or_else(|| {
            let known: Vec<_> = self
                .parameters
                .keys()
                .map(|name| format!("`{{{name}}}`"))
                .collect();
            let reason = match known.as_slice() {
                [] => "it is not declared; `{{` and `}}` stand for braces".to_owned(),
                known => format!("it is not declared; there is {} here", known.join(", ")),
            };
            parameter_error(&place.escape_debug().to_string(), reason)
        })
    }

    /// Whether the standard input has a place for the parameter `name`.
    #[must_use]
    pub fn reads(&self, name: &str) -> bool {
        places(&self.stdin).any(|place| place == name)
    }

    /// Fills the places.
    ///
    /// # Errors
    /// [`TemplateError::Parameter`] for a value that is missing, of another kind, not declared,
    /// that holds a control character, or that would make its word an option.
    pub fn fill(&self, values: &BTreeMap<String, Value>) -> Result<Command, TemplateError> {
        for (name, kind) in &self.parameters {
            let value = values.get(name);
            let value = value.ok_or_else(|| parameter_error(name, "it has no value"))?;
            check_value(name, *kind, value)?;
        }
        if let Some(odd) = values
            .keys()
            .find(|name| !self.parameters.contains_key(*name))
        {
            return Err(parameter_error(odd, "the template does not declare it"));
        }
        let mut words = Vec::with_capacity(self.words.len());
        for parts in &self.words {
            let word = filled(parts, values);
            if let Some(Part::Place(name)) = parts.first()
                && word.starts_with('-')
                && self.kind_of(name)? != ParameterKind::Integer
            {
                return Err(parameter_error(
                    name,
                    "it begins with `-` and would be read as an option",
                ));
            }
            words.push(word.to_string());
        }
        let secrets = values.values().filter_map(|value| match value {
            Value::Secret(secret) => Some(secret.clone()),
            Value::Text(_) | Value::Integer(_) => None,
        });
        Ok(Command {
            words,
            stdin: SecretString::from(filled(&self.stdin, values).as_str()),
            secrets: secrets.collect(),
        })
    }
}

fn declared(parameters: &[Parameter]) -> Result<BTreeMap<String, ParameterKind>, TemplateError> {
    let mut kinds = BTreeMap::new();
    for Parameter { name, kind } in parameters {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            let reason = "a name has lower-case letters, digits and `_` only";
            return Err(parameter_error(&name.escape_debug().to_string(), reason));
        }
        if kinds.insert(name.clone(), *kind).is_some() {
            return Err(parameter_error(name, "it is declared twice"));
        }
    }
    Ok(kinds)
}

fn check_value(name: &str, kind: ParameterKind, value: &Value) -> Result<(), TemplateError> {
    let text = match (kind, value) {
        (ParameterKind::Integer, Value::Integer(_)) => return Ok(()),
        (ParameterKind::Text | ParameterKind::Account, Value::Text(text)) => text,
        (ParameterKind::Secret, Value::Secret(secret)) => secret.expose_secret(),
        _ => return Err(parameter_error(name, "its value is of another kind")),
    };
    if text.chars().any(char::is_control) {
        return Err(parameter_error(name, "it holds a control character"));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(parameter_error(name, "it is longer than 32 KiB"));
    }
    let in_account = |c: char| c.is_alphanumeric() || "._-@$\\".contains(c);
    let odd = text.is_empty() || text.starts_with('-') || !text.chars().all(in_account);
    if kind == ParameterKind::Account && odd {
        return Err(parameter_error(
            name,
            r"an account's name has letters, digits and `. _ - @ $ \`, and begins with no `-`",
        ));
    }
    Ok(())
}

/// Room is made first: a text that grows would leave copies of a secret in memory.
fn filled(parts: &[Part], values: &BTreeMap<String, Value>) -> Zeroizing<String> {
    let text_of = |part: &Part| -> String {
        match part {
            Part::Literal(text) => text.clone(),
            Part::Place(name) => match values.get(name) {
                Some(Value::Text(text)) => text.clone(),
                Some(Value::Secret(secret)) => secret.expose_secret().to_owned(),
                Some(Value::Integer(number)) => number.to_string(),
                None => String::new(),
            },
        }
    };
    let pieces: Vec<Zeroizing<String>> = parts
        .iter()
        .map(|part| Zeroizing::new(text_of(part)))
        .collect();
    let room = pieces.iter().map(|piece| piece.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for piece in &pieces {
        text.push_str(piece);
    }
    text
}

fn places(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Place(name) => Some(name.as_str()),
        Part::Literal(_) => None,
    })
}

fn parts_of(text: &str) -> Result<Vec<Part>, &'static str> {
    const STRAY: &str = "a brace stands alone: write `{{` or `}}` for a brace itself";
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => {
                chars.next();
                literal.push(c);
            }
            '{' => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                let mut name = String::new();
                loop {
                    match chars.next() {
                        Some('}') => break,
                        Some('{') | None => return Err(STRAY),
                        Some(c) => name.push(c),
                    }
                }
                parts.push(Part::Place(name));
            }
            '}' => return Err(STRAY),
            other => literal.push(other),
        }
    }
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn word_error(word: usize, reason: &'static str) -> TemplateError {
    TemplateError::Word { word, reason }
}

/// Of a brace that stands alone in the standard input: the first line that holds one.
fn input_error(stdin: &str, reason: &'static str) -> TemplateError {
    let at = stdin.lines().position(|line| parts_of(line).is_err());
    TemplateError::Input {
        line: at.unwrap_or_default() + 1,
        reason,
    }
}

fn parameter_error(name: &str, reason: impl Into<Cow<'static, str>>) -> TemplateError {
    TemplateError::Parameter {
        name: name.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
