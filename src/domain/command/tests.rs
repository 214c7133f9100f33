use super::*;

fn parameters() -> Vec<Parameter> {
    [
        ("account", ParameterKind::Account),
        ("text", ParameterKind::Text),
        ("days", ParameterKind::Integer),
        ("secret", ParameterKind::Secret),
    ]
    .map(|(name, kind)| Parameter {
        name: name.to_owned(),
        kind,
    })
    .to_vec()
}

fn values() -> BTreeMap<String, Value> {
    BTreeMap::from(
        [
            ("account", Value::Text("ana".to_owned())),
            ("text", Value::Text("a b; rm -rf $HOME".to_owned())),
            ("days", Value::Integer(-30)),
            ("secret", Value::Secret(SecretString::from("opensesame"))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

fn parse(words: &[&str], stdin: &str) -> Result<CommandTemplate, TemplateError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    CommandTemplate::parse(&words, stdin, &parameters())
}

#[test]
fn places_are_filled_within_their_word() {
    let template = parse(
        &[
            "chage",
            "-M",
            "{days}",
            "--note={text}",
            "{{x}}",
            "",
            "{account}",
        ],
        "{account}:{secret}\n",
    )
    .unwrap();
    let command = template.fill(&values()).unwrap();
    assert_eq!(
        command.words(),
        [
            "chage",
            "-M",
            "-30",
            "--note=a b; rm -rf $HOME",
            "{x}",
            "",
            "ana"
        ]
    );
    assert_eq!(command.stdin().expose_secret(), "ana:opensesame\n");
    assert_eq!(command.secrets().len(), 1);
    assert!(!format!("{command:?}{template:?}").contains("opensesame"));
}

#[test]
fn a_template_that_makes_data_a_program_or_shows_a_secret_is_refused() {
    for (words, stdin, text) in [
        (&[][..], "", "word 1 of the command: name the program"),
        (&["{text}"], "", "word 1 of the command: name the program"),
        (&["-c"], "", "word 1 of the command: name the program"),
        (
            &["sh", "-c", "echo {text}"],
            "",
            "word 3 of the command: data cannot",
        ),
        (
            &["/bin/bash", "-ec", "{text}"],
            "",
            "word 3 of the command: data cannot",
        ),
        (
            &["sudo", "sh", "-c", "{text}"],
            "",
            "word 4 of the command: data cannot",
        ),
        (&["id", "{secret}"], "", "parameter `secret`: a secret may"),
        (&["id", "{nobody}"], "", "parameter `nobody`: it is not"),
        (&["id"], "{nobody}", "parameter `nobody`: it is not"),
        (&["id", "{text"], "", "word 2 of the command: a brace"),
        (&["id", "text}"], "", "word 2 of the command: a brace"),
        (&["id", "a\nb"], "", "word 2 of the command: a control"),
        (&["id"], "a\n{text", "line 2 of the standard input: a brace"),
        (&["id"; 65], "", "too long: at most 64 words"),
    ] {
        let error = parse(words, stdin).unwrap_err().to_string();
        assert!(error.starts_with(text), "{words:?}: {error}");
    }
    // What follows the script is data: the script reads it as "$1".
    assert!(parse(&["sh", "-c", "echo \"$1\"", "sh", "{text}"], "").is_ok());
}

#[test]
fn a_value_that_is_more_than_data_is_refused() {
    let template = parse(&["id", "{text}", "{account}", "{days}"], "{secret}").unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    for (name, value, reason) in [
        ("text", text("-x"), "it begins with `-`"),
        ("text", text("a\nb"), "it holds a control"),
        ("text", Value::Integer(1), "its value is of another kind"),
        ("account", text("ana;id"), "an account's name"),
        ("account", text("-ana"), "an account's name"),
        ("account", text(""), "an account's name"),
        ("days", text("1"), "its value is of another kind"),
        ("secret", text("readable"), "its value is of another kind"),
        (
            "secret",
            Value::Secret(SecretString::from("a\nroot:b")),
            "it holds a control",
        ),
        ("more", text("x"), "the template does not"),
    ] {
        let mut values = values();
        values.insert(name.to_owned(), value);
        let error = template.fill(&values).unwrap_err().to_string();
        let wanted = format!("parameter `{name}`: {reason}");
        assert!(error.starts_with(&wanted), "{error}");
    }
    let mut short = values();
    short.remove("text");
    let error = template.fill(&short).unwrap_err().to_string();
    assert_eq!(error, "parameter `text`: it has no value");
}
