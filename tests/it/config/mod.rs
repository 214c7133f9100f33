//! The configuration from real files: what wins over what, and every refusal with its place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use robotd::config::{Config, Flags};
use robotd::robots::custom::Action;
use robotd::store::StoreConfig;

/// The configuration of a file with this text, and flags that name it.
fn load(text: &str, flags: Flags) -> Result<Config, String> {
    crate::support::install_tls_provider();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("robotd.toml");
    fs::write(&file, text).unwrap();
    let flags = Flags {
        config: Some(file),
        ..flags
    };
    Config::load(&flags).map_err(|error| {
        error
            .to_string()
            .replace(&dir.path().display().to_string(), "DIR")
    })
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = load("", Flags::default()).unwrap();
    assert_eq!(config.data_dir.to_str(), Some("./robotd-data"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:7070");
    let path = "./robotd-data/robotd.db".into();
    assert_eq!(config.database, StoreConfig::Sqlite { path });
    assert_eq!(config.drain_limit, Duration::from_secs(30));
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    assert_eq!(config.retention.tasks, days(30));
    assert_eq!(
        (config.retention.events, config.retention.ticks),
        (days(7), days(7))
    );
    assert_eq!(config.retention.views, days(400));
    assert!(config.mail.is_none() && config.syslog.is_none() && config.robots.is_empty());
    assert!(!config.node_name.is_empty() && config.job_threads >= 8);
}

#[test]
fn flags_win_over_the_file() {
    let text = "listen = '127.0.0.1:1'\nnode = 'file'\ndatabase_url = 'postgres://h/file'\njob_threads = 3";
    let config = load(text, Flags::default()).unwrap();
    assert_eq!(
        (
            config.listen.port(),
            config.node_name.as_str(),
            config.job_threads
        ),
        (1, "file", 3)
    );
    let flags = Flags {
        listen: "127.0.0.1:2".parse().ok(),
        node: Some("flag".to_owned()),
        database_url: Some("sqlite:///flag.db".to_owned()),
        ..Flags::default()
    };
    let config = load(text, flags).unwrap();
    assert_eq!(
        (
            config.listen.port(),
            config.node_name.as_str(),
            config.job_threads
        ),
        (2, "flag", 3)
    );
    assert!(matches!(config.database, StoreConfig::Sqlite { .. }));
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let flags = Flags {
        config: Some("/no/such/robotd.toml".into()),
        ..Flags::default()
    };
    let error = Config::load(&flags).unwrap_err().to_string();
    assert!(
        error.contains("/no/such/robotd.toml: it cannot be read"),
        "{error}"
    );
}

/// A whole file, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    ("listen = ", "DIR/robotd.toml, line 1"),
    (
        "lisen = 'x'",
        "robotd.toml, line 1: lisen: unknown field `lisen`, expected one of",
    ),
    ("[log]\nlevl = 'info'", "log.levl: unknown field"),
    ("[log]\nlevel = 'loud'", "log.level: it must be error, warn"),
    ("[log]\nformat = 'xml'", "log.format: unknown variant"),
    ("listen = 'nowhere'", "listen: "),
    (
        "nats_url = 'http://h'",
        "robotd.toml: nats_url: each server is `nats://HOST:PORT`",
    ),
    (
        "nats_url = 'nats://h'\n[nats]\nuser = 'u'",
        "robotd.toml: nats: `user` goes with `password_file`",
    ),
    (
        "database_url = 'mysql://h/d'",
        "database_url: it must begin with",
    ),
    ("node = 'a b'", "node: it must be 1 to 64"),
    ("drain_limit = '30'", "drain_limit: "),
    ("drain_limit = 'PT2H'", "drain_limit: it must lie between"),
    ("node_timeout = 'PT2S'", "node_timeout: it must lie between"),
    (
        "job_threads = 1",
        "job_threads: it must lie between 2 and 512",
    ),
    ("syslog = 'http://h'", "syslog: failed to use `http://h`"),
    (
        "[retention]\ntasks = 'PT1M'",
        "retention.tasks: it must lie between PT1H and P3660D",
    ),
    (
        "[mail]\nhost = ''\nfrom = 'x'",
        "mail.from: it must be an address",
    ),
    (
        "[[robot]]\nname = 'custom.a'",
        "robot[0].command: exactly one of",
    ),
    (
        "[[robot]]\nname = 'custom.a'\ncommand = 'rm -rf'",
        "robot[0].command: it must be a list of texts",
    ),
    (
        "[[robot]]\nname = 'custom.a'\ncommand = []",
        "robot[0].command: it names no program",
    ),
    (
        "[[robot]]\nname = 'custom.a'\nhttp = 'ftp://h'",
        "robot[0].http: failed to use",
    ),
    (
        "[[robot]]\nname = 'custom.a'\nhttp = 'http://h'\nworking_dir = '/'",
        "robot[0].working_dir: it goes with `command` only",
    ),
];

/// Keys of `[mail]`, and what is said of them.
const MAIL_MISTAKES: &[(&str, &str)] = &[
    ("password = 'x'", "mail.password: unknown field"),
    (
        "username = 'x'",
        "mail: `username` and `password_file` go together",
    ),
    (
        "username = 'x'\npassword_file = 'none'",
        "mail.password_file: failed to read `DIR/none`",
    ),
    (
        "timeout = 'PT1H'",
        "mail.timeout: it must lie between PT1S and PT10M",
    ),
    ("tls = 'maybe'", "mail.tls: unknown variant"),
];

/// Keys of the first robot, and what is said of them.
const ROBOT_MISTAKES: &[(&str, &str)] = &[
    ("timout = 'PT1M'", "robot[0].timout: unknown field"),
    ("timeout = 'P8D'", "robot[0].timeout: it must lie between"),
    (
        "instances = 10001",
        "robot[0].instances: must lie between 0 and 10000",
    ),
    ("instances = -1", "robot[0].instances: "),
    ("every = 'PT0S'", "robot[0].every: "),
    ("cron = 'every day'", "robot[0].cron: "),
    (
        "every = 'PT1M'\ncron = '0 0 * * *'",
        "robot[0].every: exactly one of",
    ),
    (
        "cron = '0 0 * * *'\ntimezone = 'Mars'",
        "`timezone`: no zone",
    ),
    ("window = { start = '1', end = '2' }", "robot[0].window"),
    (
        "retry = { max_attempts = 0 }",
        "robot[0].retry: `max_attempts` must be",
    ),
    (
        "retry = { tries = 2 }",
        "robot[0].retry.tries: unknown field",
    ),
    ("overlap = 'maybe'", "robot[0].overlap: unknown variant"),
    ("events = ['a*b']", "robot[0].events[0]: "),
    ("env = { ROBOTD_X = 'y' }", "robot[0].env.ROBOTD_X: "),
    (
        "token_file = 'x'",
        "robot[0].token_file: it goes with `http` only",
    ),
    ("http = 'http://h'", "robot[0].command: exactly one of"),
    ("title = ''", "robot[0].title: it must be one line"),
];

#[test]
fn every_mistake_is_refused_with_its_place() {
    let robot =
        |keys: &str| format!("[[robot]]\nname = 'custom.a'\ncommand = ['/bin/true']\n{keys}");
    let named = |name: &str| format!("[[robot]]\nname = '{name}'\ncommand = ['/bin/true']\n");
    let mail = |keys: &str| format!("[mail]\nhost = 'h'\nfrom = 'a@b'\n{keys}");
    let whole = MISTAKES
        .iter()
        .map(|(text, told)| ((*text).to_owned(), *told));
    let of_mail = MAIL_MISTAKES.iter().map(|(keys, told)| (mail(keys), *told));
    let of_robots = ROBOT_MISTAKES
        .iter()
        .map(|(keys, told)| (robot(keys), *told));
    let of_names = [
        (named("nightly"), "robot[0].name: it must be `custom.`"),
        (named("custom.Nightly"), "robot[0].name: "),
        (named("custom."), "robot[0].name: "),
        (
            named("custom.a") + &named("custom.a"),
            "robot[1].name: `custom.a` is declared twice",
        ),
        (
            named("custom.a") + &robot("timeout = '10m'").replace("custom.a", "custom.b"),
            "robot[1].timeout: ",
        ),
    ];
    for (text, told) in whole.chain(of_mail).chain(of_robots).chain(of_names) {
        let error = load(&text, Flags::default()).expect_err(&text);
        assert!(error.contains(told), "{text}\n=> {error}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let error = load(
        "job_threads = 1\nnode = ''\n[retention]\nticks = 'x'",
        Flags::default(),
    );
    assert_eq!(error.unwrap_err().lines().count(), 4);
}

#[test]
fn a_robot_is_read_whole() {
    let text = r#"
        [[robot]]
        name = "custom.nightly_report"
        command = ["/usr/local/bin/report", "--quiet"]
        cron = "30 2 * * *"
        timezone = "Europe/Berlin"
        window = { start = "22:00", end = "06:00" }
        events = ["storage.*"]
        instances = 2
        timeout = "PT10M"
        retry = { max_attempts = 1 }
        overlap = "queue"
        catch_up = "none"
        env = { Mixed_Case = "1" }
        working_dir = "work"
        enabled = false
    "#;
    let config = load(text, Flags::default()).unwrap();
    let robot = &config.robots[0];
    assert_eq!(
        (robot.name.as_str(), robot.title.as_str()),
        ("custom.nightly_report", "Nightly report")
    );
    let defaults = &robot.defaults;
    assert_eq!(
        (
            defaults.instances,
            defaults.enabled,
            defaults.retry.max_attempts
        ),
        (2, false, 1)
    );
    assert!(defaults.schedule.is_some() && defaults.window.is_some());
    let Action::Command(spec) = &robot.action else {
        panic!("{robot:?}")
    };
    assert_eq!(
        (spec.program.as_str(), spec.args.len()),
        ("/usr/local/bin/report", 1)
    );
    assert_eq!(spec.env, [("Mixed_Case".to_owned(), "1".to_owned())]);
    assert!(
        spec.current_dir
            .as_deref()
            .is_some_and(|dir| dir.ends_with("/work") && dir.starts_with('/'))
    );
}

#[test]
fn no_secret_is_shown_and_an_open_password_file_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    fs::write(&password, "tOp-secret\n").unwrap();
    let text = format!(
        "database_url = 'postgres://u:tOp-secret@h/d'\n\
         [mail]\nhost = 'h'\nfrom = 'a@b'\nusername = 'u'\npassword_file = '{}'\n\
         [[robot]]\nname = 'custom.a'\nhttp = 'http://u:tOp-secret@h/tOp-secret?x=tOp-secret'\n\
         [[robot]]\nname = 'custom.b'\ncommand = ['x', 'tOp-secret']\nenv = {{ A = 'tOp-secret' }}",
        password.display()
    );
    for (mode, warnings) in [(0o600, 0), (0o640, 1)] {
        fs::set_permissions(&password, fs::Permissions::from_mode(mode)).unwrap();
        let config = load(&text, Flags::default()).unwrap();
        assert_eq!(config.warnings.len(), warnings);
        let shown = config.shown();
        assert!(shown.contains("postgres://u:***@h/d"), "{shown}");
        assert!(!shown.contains("tOp-secret"), "{shown}");
        let debug = format!("{:?} {:?}", config.database, config.mail);
        assert!(!debug.contains("tOp-secret"), "{debug}");
    }
}
