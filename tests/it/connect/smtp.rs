//! Mail out, against a server that delivers (OpenBSD's) and against a server that misbehaves.

use std::time::{Duration, Instant};

use chrono::TimeZone;
use robotd::connect::smtp::{
    OutgoingMail, REPLY_CHARS_MAX, SendFailure, SmtpAccount, SmtpConnector, SmtpTls,
};
use secrecy::SecretString;

use crate::support::authority::Authority;
use crate::support::counterpart::PATIENCE;
use crate::support::smtp_server::{FaultySmtpServer, PASSWORD, SmtpServer, USERNAME};

fn account(port: u16) -> SmtpAccount {
    SmtpAccount {
        host: "127.0.0.1".to_owned(),
        port,
        tls: SmtpTls::None,
        username: None,
        password: None,
        from: "Robots <robotd@example.org>".to_owned(),
        reply_to: Some("ops@example.org".to_owned()),
        ca_file: None,
        timeout: PATIENCE,
    }
}

fn signed_in(server: &FaultySmtpServer, tls: SmtpTls, password: &str) -> SmtpAccount {
    let port = match tls {
        SmtpTls::None => server.port,
        SmtpTls::StartTls => server.starttls_port,
        SmtpTls::Implicit => server.tls_port,
    };
    SmtpAccount {
        host: "localhost".to_owned(),
        tls,
        username: Some(USERNAME.to_owned()),
        password: Some(SecretString::from(password)),
        ca_file: Some(server.authority.ca.clone()),
        ..account(port)
    }
}

fn mail(id: u32, to: &str) -> OutgoingMail {
    OutgoingMail {
        message_id: format!("<{id}@robotd.example>"),
        to: to.to_owned(),
        subject: format!("Notice {id}"),
        text: "All is well.\n".to_owned(),
        html: None,
        attachment: None,
        date: chrono::Utc.timestamp_opt(1_790_000_000, 0).unwrap(),
    }
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    let connector = SmtpConnector::new(account(server.port)).unwrap();
    let long_line = "x".repeat(3_000);
    let written = OutgoingMail {
        subject: "Größe: 91 % 🚨".to_owned(),
        to: "Aña <ana@example.org>".to_owned(),
        text: format!("first\r\n.\n..two dots\rFrom here on\n{long_line}\nlast: 91 %"),
        ..mail(1, "")
    };
    let reply = connector.send(&written).await.unwrap();
    assert_eq!(
        (reply.code, reply.enhanced.as_deref()),
        (250, Some("2.0.0"))
    );

    let mails = server.wait_for_mails(1);
    let parsed = parsed_by_python(&mails[0]);
    assert_eq!(parsed["subject"], written.subject);
    assert_eq!(parsed["to"], "Aña <ana@example.org>");
    assert_eq!(parsed["from"], "Robots <robotd@example.org>");
    assert_eq!(parsed["reply-to"], "ops@example.org");
    assert_eq!(parsed["message-id"], "<1@robotd.example>");
    assert_eq!(parsed["auto-submitted"], "auto-generated");
    assert_eq!(
        parsed["text"],
        format!("first\n.\n..two dots\nFrom here on\n{long_line}\nlast: 91 %")
    );
    assert!(mails[0].lines().all(|line| line.len() <= 998));
}

/// A reader that is not ours.
fn parsed_by_python(raw: &str) -> serde_json::Value {
    const READER: &str = "import email,email.policy,json,sys\n\
        m=email.message_from_bytes(sys.stdin.buffer.read(),policy=email.policy.default)\n\
        d={k.lower():str(v) for k,v in m.items()}\n\
        for kind in ('plain','html'):\n\
        \x20b=m.get_body((kind,))\n\
        \x20d['text' if kind=='plain' else kind]=b and b.get_content().rstrip('\\n').replace('\\r\\n','\\n')\n\
        print(json.dumps(d))";
    let mut reader = std::process::Command::new("python3")
        .args(["-c", READER])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut reader.stdin.take().unwrap(), raw.as_bytes()).unwrap();
    let read = reader.wait_with_output().unwrap();
    serde_json::from_slice(&read.stdout).unwrap()
}

#[tokio::test]
async fn a_mail_in_two_forms_arrives_in_both() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    let mut both = mail(1, "ana@example.org");
    both.html = Some("<p>All is <b>well</b>.</p>".to_owned());
    let connector = SmtpConnector::new(account(server.port)).unwrap();
    connector.send(&both).await.unwrap();
    let parsed = parsed_by_python(&server.wait_for_mails(1)[0]);
    assert_eq!(parsed["text"], "All is well.");
    assert_eq!(parsed["html"], "<p>All is <b>well</b>.</p>");
}

#[tokio::test]
async fn both_kinds_of_tls_verify_the_server_and_sign_in() {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    for (id, tls) in [(1, SmtpTls::StartTls), (2, SmtpTls::Implicit)] {
        let connector = SmtpConnector::new(signed_in(&server, tls, PASSWORD)).unwrap();
        for _ in 0..2 {
            connector.send(&mail(id, "ana@example.org")).await.unwrap();
        }
    }
    let happened = server.happened();
    let count = |what: &str| happened.iter().filter(|line| *line == what).count();
    assert_eq!(count("signed in PLAIN"), 2, "{happened:?}");
    assert_eq!(count("accepted ana@example.org"), 4);
}

#[tokio::test]
async fn an_account_the_server_does_not_take_is_no_fault_of_the_mail() {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    let other = tempfile::tempdir().unwrap();
    let other = Authority::make(other.path()).map(|made| (other, made));
    let wrong_password = signed_in(&server, SmtpTls::StartTls, "wrong-and-secret");
    let wrong_authority = SmtpAccount {
        ca_file: other.as_ref().map(|(_, made)| made.ca.clone()),
        ..signed_in(&server, SmtpTls::Implicit, PASSWORD)
    };
    let the_platforms_authorities = SmtpAccount {
        ca_file: None,
        ..signed_in(&server, SmtpTls::StartTls, PASSWORD)
    };
    let no_starttls = SmtpAccount {
        port: server.port,
        ..signed_in(&server, SmtpTls::StartTls, PASSWORD)
    };
    let no_sign_in = SmtpAccount {
        username: None,
        password: None,
        ..signed_in(&server, SmtpTls::StartTls, PASSWORD)
    };
    for (account, code) in [
        (wrong_password, Some(535)),
        (wrong_authority, None),
        (the_platforms_authorities, None),
        (no_starttls, None),
        (no_sign_in, Some(530)),
    ] {
        let connector = SmtpConnector::new(account).unwrap();
        let failure = connector
            .send(&mail(1, "ana@example.org"))
            .await
            .unwrap_err();
        assert_eq!(then(&failure), Then::MendAccount, "{failure:?}");
        assert_eq!(failure.code(), code, "{failure:?}");
        let shown = format!("{failure} {failure:?}");
        assert!(!shown.contains(PASSWORD) && !shown.contains("wrong-and-secret"));
    }
    assert!(
        !server
            .happened()
            .iter()
            .any(|line| line.starts_with("accepted"))
    );
}

#[tokio::test]
async fn one_connection_carries_many_mails_and_outlives_a_refused_one() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    let connector = SmtpConnector::new(account(server.port)).unwrap();
    for id in 0..5 {
        connector.send(&mail(id, "bob@example.org")).await.unwrap();
        let refused = connector.send(&mail(id, "zoe@example.org")).await;
        assert!(
            matches!(
                refused,
                Err(SendFailure::Refused {
                    code: Some(524 | 550),
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(server.wait_for_mails(5).len(), 5);
    let log = server.log();
    let sessions: std::collections::BTreeSet<&str> = log
        .lines()
        .filter_map(|line| line.split_once(" smtp message "))
        .map(|(session, _)| session)
        .collect();
    assert_eq!(sessions.len(), 1, "{log}");
    connector.close().await;
}

#[tokio::test]
async fn a_server_that_was_away_gets_the_mail_afterwards() {
    let Some(mut server) = SmtpServer::start() else {
        return;
    };
    let connector = SmtpConnector::new(account(server.port)).unwrap();
    connector.send(&mail(1, "ana@example.org")).await.unwrap();
    server.stop();
    let away = connector.send(&mail(2, "ana@example.org")).await;
    assert!(
        matches!(away, Err(SendFailure::Deferred { code: None, .. })),
        "{away:?}"
    );
    server.resume();
    connector.send(&mail(2, "ana@example.org")).await.unwrap();
    assert_eq!(server.wait_for_mails(2).len(), 2);
}

/// What a caller does with a mail.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Later,
    Never,
    MendAccount,
}

fn then(failure: &SendFailure) -> Then {
    match failure {
        SendFailure::Deferred { .. } => Then::Later,
        SendFailure::Refused { .. } => Then::Never,
        SendFailure::Unsent { .. } => Then::MendAccount,
    }
}

#[tokio::test]
async fn each_fault_is_told_apart_and_spoils_no_other_mail() {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    let connector = SmtpConnector::new(account(server.port)).unwrap();
    for (id, (name, code, enhanced, expected)) in (1..).zip([
        ("greylisted", Some(450), Some("4.7.1"), Then::Later),
        ("unknown", Some(550), Some("5.1.1"), Then::Never),
        ("overquota", Some(452), Some("4.2.2"), Then::Later),
        ("spam", Some(554), Some("5.7.1"), Then::Never),
        ("hangup", None, None, Then::Later),
        ("lost", None, None, Then::Later),
        ("leaving", Some(421), Some("4.3.2"), Then::Later),
        ("signin", Some(530), Some("5.7.0"), Then::MendAccount),
    ]) {
        let failure = connector
            .send(&mail(id, &format!("{name}@example.org")))
            .await
            .unwrap_err();
        assert_eq!(then(&failure), expected, "{name}: {failure:?}");
        assert_eq!(failure.code(), code, "{name}: {failure:?}");
        assert_eq!(failure.enhanced(), enhanced, "{name}: {failure:?}");
        let reply = connector
            .send(&mail(id + 100, &format!("after-{name}@example.org")))
            .await
            .unwrap();
        assert_eq!(reply.code, 250);
        let accepted = format!("accepted after-{name}@example.org");
        assert_eq!(
            server
                .happened()
                .iter()
                .filter(|line| **line == accepted)
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn a_sender_the_server_bans_is_a_matter_of_the_account() {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    let banned = SmtpAccount {
        from: "banned@example.org".to_owned(),
        ..account(server.port)
    };
    let failure = SmtpConnector::new(banned)
        .unwrap()
        .send(&mail(1, "ana@example.org"))
        .await
        .unwrap_err();
    assert_eq!(then(&failure), Then::MendAccount);
    assert_eq!(failure.code(), Some(550));
}

#[tokio::test]
async fn a_slow_server_costs_one_timeout_and_its_connection() {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    let hasty = SmtpAccount {
        timeout: Duration::from_millis(700),
        ..account(server.port)
    };
    let connector = SmtpConnector::new(hasty).unwrap();
    let started = Instant::now();
    let failure = connector
        .send(&mail(1, "slow@example.org"))
        .await
        .unwrap_err();
    assert_eq!(then(&failure), Then::Later);
    assert!(failure.text().contains("within 700ms"), "{failure}");
    assert!(started.elapsed() < PATIENCE);
    let patient = SmtpConnector::new(account(server.port)).unwrap();
    patient.send(&mail(2, "ana@example.org")).await.unwrap();
}

#[tokio::test]
async fn a_long_and_hostile_answer_is_bounded_and_harmless() {
    let Some(server) = FaultySmtpServer::start() else {
        return;
    };
    let connector = SmtpConnector::new(account(server.port)).unwrap();
    let failure = connector
        .send(&mail(1, "talkative@example.org"))
        .await
        .unwrap_err();
    assert_eq!(then(&failure), Then::Never);
    assert!(failure.text().chars().count() <= REPLY_CHARS_MAX);
    assert!(
        failure.text().starts_with(r"\u{1b}[2J\u{7} go away"),
        "{failure}"
    );
    assert!(failure.text().ends_with('…'));
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_a_server_that_takes_it() {
    let (Some(plain), Some(modern)) = (SmtpServer::start(), FaultySmtpServer::start()) else {
        return;
    };
    let abroad = mail(1, "josé@example.org");
    let failure = SmtpConnector::new(account(plain.port))
        .unwrap()
        .send(&abroad)
        .await
        .unwrap_err();
    assert_eq!(then(&failure), Then::Never, "{failure:?}");
    SmtpConnector::new(account(modern.port))
        .unwrap()
        .send(&abroad)
        .await
        .unwrap();
}
