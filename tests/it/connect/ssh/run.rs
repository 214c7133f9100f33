//! Commands on the machine.

use std::collections::BTreeMap;

use robotd::connect::target::{Command, OUTPUT_BYTES_MAX, Ran, Target as _};
use robotd::domain::command::{CommandTemplate, Parameter, ParameterKind, Value};
use robotd::domain::failure::FailureClass;
use secrecy::SecretString;

use super::{login, target};
use crate::support::sshd::Sshd;

const PASSWORD: &str = "Right-Horse-7";

fn command(words: &[&str], stdin: &str, values: &[(&str, Value)]) -> Command {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let parameters: Vec<Parameter> = values
        .iter()
        .map(|(name, value)| Parameter {
            name: (*name).to_owned(),
            kind: match value {
                Value::Text(_) => ParameterKind::Text,
                Value::Integer(_) => ParameterKind::Integer,
                Value::Secret(_) => ParameterKind::Secret,
            },
        })
        .collect();
    let values: BTreeMap<String, Value> = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let template = CommandTemplate::parse(&words, stdin, &parameters).unwrap();
    template.fill(&values).unwrap()
}

async fn ran(sshd: &Sshd, command: &Command) -> Ran {
    target(sshd)
        .run(&login("ana", PASSWORD), command)
        .await
        .unwrap()
}

#[tokio::test]
async fn parameters_arrive_as_they_are_in_every_shell() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", PASSWORD);
    let odd = "it's; $(touch /tmp/x) `id` \\ \"q\" !! ~ * é %s & | > {}";
    for shell in ["/bin/bash", "/bin/sh"] {
        sshd.must(&["usermod", "-s", shell, "ana"], "");
        let words = ["printf", "%s|", "{odd}", "--x={odd}", "{number}", ""];
        let values = [
            ("odd", Value::Text(odd.to_owned())),
            ("number", Value::Integer(-7)),
        ];
        let ran = ran(&sshd, &command(&words, "", &values)).await;
        assert_eq!(ran.stdout, format!("{odd}|--x={odd}|-7||"));
        assert_eq!((ran.status, ran.truncated), (Some(0), false));
    }
}

#[tokio::test]
async fn a_secret_is_read_and_masked_where_it_comes_back() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", PASSWORD);
    let secret = Value::Secret(SecretString::from("Open-Sesame-9"));
    let words = [
        "sh",
        "-c",
        "cat; cat /proc/$$/cmdline; echo oops >&2; exit 3",
    ];
    let ran = ran(
        &sshd,
        &command(&words, "key={secret}\n", &[("secret", secret)]),
    )
    .await;
    assert!(ran.stdout.starts_with("key=[secret]\n"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "oops\n");
    assert_eq!(ran.status, Some(3));
    assert!(!sshd.log().contains("Open-Sesame-9"));
}

#[tokio::test]
async fn endless_output_is_cut() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.add_account("ana", PASSWORD);
    let words = ["sh", "-c", "yes | head -c 3000000; kill -9 $$"];
    let ran = ran(&sshd, &command(&words, "", &[])).await;
    assert!(ran.truncated && ran.stdout.len() <= OUTPUT_BYTES_MAX);
    assert!(ran.stdout.len() > OUTPUT_BYTES_MAX / 2 && ran.stdout.starts_with("y\ny\n"));
    assert_ne!(ran.status, Some(0));
}

#[tokio::test]
async fn a_command_does_not_run_before_the_password_is_changed() {
    let Some(sshd) = Sshd::start_with("KbdInteractiveAuthentication no") else {
        return;
    };
    sshd.add_account("ana", PASSWORD);
    sshd.must(&["chage", "-d", "0", "ana"], "");
    let command = command(&["id"], "", &[]);
    let failure = target(&sshd)
        .run(&login("ana", PASSWORD), &command)
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::PasswordExpired, "{failure}");
    assert!(!failure.is_unverified());
}
