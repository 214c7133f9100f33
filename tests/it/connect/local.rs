//! Commands on this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use robotd::connect::command::GuardProgram;
use robotd::connect::local::LocalTarget;
use robotd::connect::target::{
    Command, Credential, Failure, Limits, Login, OUTPUT_BYTES_MAX, Ran, Target as _,
};
use robotd::domain::command::{CommandTemplate, Parameter, ParameterKind, Value};
use robotd::domain::failure::{Effect, FailureClass};
use secrecy::SecretString;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    whole: Duration::from_secs(60),
};

async fn ran(limits: Limits, command: &Command) -> Result<Ran, Failure> {
    let guard = GuardProgram::at(env!("CARGO_BIN_EXE_robotd"));
    let nobody = Login {
        account: "nobody".to_owned(),
        credential: Credential::Password(SecretString::from("unused")),
    };
    LocalTarget::new(guard, limits).run(&nobody, command).await
}

fn command(words: &[&str], stdin: &str) -> Command {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let parameter = |name: &str, kind| Parameter {
        name: name.to_owned(),
        kind,
    };
    let parameters = [
        parameter("odd", ParameterKind::Text),
        parameter("secret", ParameterKind::Secret),
    ];
    let values = BTreeMap::from([
        (
            "odd".to_owned(),
            Value::Text("it's; $(id) `id` \\ *".to_owned()),
        ),
        (
            "secret".to_owned(),
            Value::Secret(SecretString::from("Open-Sesame-9")),
        ),
    ]);
    let template = CommandTemplate::parse(&words, stdin, &parameters).unwrap();
    template.fill(&values).unwrap()
}

#[tokio::test]
async fn parameters_are_data_and_secrets_are_masked() {
    let words = [
        "sh",
        "-c",
        "printf '%s|' \"$@\"; cat; echo oops >&2; exit 3",
        "sh",
        "{odd}",
        "",
    ];
    let ran = ran(LIMITS, &command(&words, "key={secret}\n"))
        .await
        .unwrap();
    assert_eq!(ran.stdout, "it's; $(id) `id` \\ *||key=[secret]\n");
    assert_eq!(
        (ran.stderr.as_str(), ran.status, ran.truncated),
        ("oops\n", Some(3), false)
    );
}

#[tokio::test]
async fn endless_output_is_cut_and_a_signal_is_no_status() {
    let words = ["sh", "-c", "yes | head -c 3000000; kill -9 $$"];
    let ran = ran(LIMITS, &command(&words, "")).await.unwrap();
    assert!(ran.truncated && ran.stdout.len() <= OUTPUT_BYTES_MAX);
    assert_eq!(ran.status, None);
}

#[tokio::test]
async fn a_command_without_end_is_unverified_and_one_without_beginning_is_not() {
    let limits = Limits {
        whole: Duration::from_millis(500),
        ..LIMITS
    };
    let failure = ran(limits, &command(&["tail", "-f", "/dev/null"], ""))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.effect),
        (FailureClass::Timeout, Effect::Possible)
    );
    let failure = ran(LIMITS, &command(&["/no/such/program"], ""))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.effect),
        (FailureClass::Invalid, Effect::None)
    );
}
