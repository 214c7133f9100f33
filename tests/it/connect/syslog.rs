//! Syslog, against rsyslog.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeZone;
use robotd::connect::ConnectError;
use robotd::connect::syslog::{
    BATCH_MESSAGES_MAX, Collector, CollectorLimits, Facility, Severity, StructuredElement,
    SyslogMessage,
};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

use crate::support::authority::Authority;
use crate::support::counterpart::{free_port, skipped, wait_for};
use crate::support::rsyslog::Rsyslog;

fn collector(target: &str) -> Collector {
    Collector::new(target.parse().unwrap(), CollectorLimits::default())
}

fn message(text: &str) -> SyslogMessage {
    SyslogMessage {
        facility: Facility::LOCAL0,
        severity: Severity::Notice,
        at: chrono::Utc.timestamp_micros(1_790_000_000_123_456).unwrap(),
        hostname: "node-1".to_owned(),
        app_name: "robotd".to_owned(),
        procid: "4711".to_owned(),
        msgid: "robot.settings_changed".to_owned(),
        structured: vec![StructuredElement {
            id: "change@32473".to_owned(),
            params: vec![("robot".to_owned(), "a\"b]c\\d".to_owned())],
        }],
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn a_message_arrives_whole_by_each_transport() {
    let Some(rsyslog) = Rsyslog::start() else {
        return;
    };
    let longest = message(&"ß".repeat(10_000)).to_bytes();
    let mut sent = Vec::new();
    for (scheme, options) in [
        ("udp", ""),
        ("tcp", ""),
        ("tls", ""),
        ("tcp", "?confirm=off"),
        ("tls", "?confirm=off"),
    ] {
        let text = format!("über {scheme} {options}\nno second line");
        let batch = [message(&text).to_bytes(), longest.clone()];
        let mut collector = collector(&rsyslog.target(scheme, options));
        for _ in 0..2 {
            collector.send(&batch).await.unwrap();
            sent.extend(
                batch
                    .iter()
                    .map(|bytes| String::from_utf8(bytes.clone()).unwrap()),
            );
            rsyslog.wait_for_lines("raw.log", sent.len());
        }
    }
    assert_eq!(rsyslog.wait_for_lines("raw.log", sent.len()), sent);
    let parsed = rsyslog.wait_for_lines("parsed.log", sent.len());
    assert_eq!(
        parsed[0].replace('\u{feff}', ""),
        "133|2026-09-21T14:13:20.123456Z|node-1|robotd|4711|robot.settings_changed|\
         [change@32473 robot=\"a\\\"b\\]c\\\\d\"]|über udp \\nno second line"
    );
}

/// Sends numbered messages through sudden ends of the collector, the way the outbox does:
/// a batch that was not accepted is sent again.
async fn nothing_is_lost(scheme: &str, driver: &'static str) {
    const BATCHES: u32 = 16;
    const PER_BATCH: u32 = 25;
    let Some(mut rsyslog) = Rsyslog::start_with(driver) else {
        return;
    };
    let mut collector = collector(&rsyslog.target(scheme, ""));
    let mut refused = 0;
    for batch in 0..BATCHES {
        let messages: Vec<Vec<u8>> = (0..PER_BATCH)
            .map(|place| message(&format!("number={}=", batch * PER_BATCH + place)).to_bytes())
            .collect();
        if batch % 8 == 3 {
            rsyslog.kill();
            let away = collector.send(&messages).await.unwrap_err();
            assert!(away.is_temporary(), "{away}");
            refused += 1;
            rsyslog.resume();
        }
        if batch % 8 == 6 {
            // What a stopped one's kernel took on its behalf is gone when it ends.
            rsyslog.pause();
            let mut sending = std::pin::pin!(collector.send(&messages));
            let early = tokio::time::timeout(Duration::from_millis(50), &mut sending).await;
            assert!(early.is_err(), "accepted by a collector that reads nothing");
            rsyslog.kill();
            let gone = sending.await.unwrap_err();
            assert!(gone.is_temporary(), "{gone}");
            refused += 1;
            rsyslog.resume();
        }
        collector.send(&messages).await.unwrap();
    }
    assert!(refused >= 4, "only {refused} batches met a dead collector");
    rsyslog.kill();
    let arrived: BTreeSet<u32> = rsyslog
        .lines("raw.log")
        .iter()
        .filter_map(|line| line.split('=').rev().nth(1)?.parse().ok())
        .collect();
    let all: BTreeSet<u32> = (0..BATCHES * PER_BATCH).collect();
    assert_eq!(arrived, all);
}

#[tokio::test]
async fn nothing_is_lost_over_tcp_when_the_collector_dies() {
    nothing_is_lost("tcp", "gtls").await;
}

#[tokio::test]
async fn nothing_is_lost_over_tls_when_the_collector_dies() {
    nothing_is_lost("tls", "ossl").await;
}

#[tokio::test]
async fn a_collector_that_hangs_up_before_it_read_has_accepted_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hanging_up = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let sending = async {
        let mut collector = collector(&format!("tcp://127.0.0.1:{port}"));
        for _ in 0..200 {
            let swallowed = collector.send(&[message("x").to_bytes()]).await;
            assert!(swallowed.is_err());
        }
    };
    tokio::select! { () = sending => {}, () = hanging_up => {} }
}

#[tokio::test]
async fn a_collector_with_an_ipv6_address_confirms_too() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        return skipped("this machine has no IPv6");
    };
    let port = listener.local_addr().unwrap().port();
    let reading = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = String::new();
        stream.read_to_string(&mut read).await.unwrap();
        read
    };
    let mut collector = collector(&format!("tcp://[::1]:{port}"));
    let batch = [message("x").to_bytes(), message("y").to_bytes()];
    let (sent, read) = tokio::join!(collector.send(&batch), reading);
    sent.unwrap();
    let lengths = batch.each_ref().map(Vec::len);
    assert!(read.starts_with(&format!("{} <133>1 ", lengths[0])));
    assert!(read.ends_with("\u{feff}y"));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_swallows_nothing() {
    let Some(mut rsyslog) = Rsyslog::start() else {
        return;
    };
    for scheme in ["tcp", "tls"] {
        let mut collector = collector(&rsyslog.target(scheme, "?confirm=off"));
        let number = |n: u32| vec![message(&format!("{scheme} {n}")).to_bytes()];
        collector.send(&number(1)).await.unwrap();
        rsyslog.wait_for_lines("raw.log", rsyslog.lines("raw.log").len().max(1));
        wait_for("the first message", || {
            rsyslog
                .lines("raw.log")
                .last()?
                .ends_with(&format!("{scheme} 1"))
                .then_some(())
        });
        rsyslog.kill();
        assert!(collector.send(&number(2)).await.is_err());
        rsyslog.resume();
        collector.send(&number(2)).await.unwrap();
        wait_for("the second message", || {
            rsyslog
                .lines("raw.log")
                .last()?
                .ends_with(&format!("{scheme} 2"))
                .then_some(())
        });
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_refused() {
    let Some(rsyslog) = Rsyslog::start() else {
        return;
    };
    let other = TempDir::new().unwrap();
    let other = Authority::make(other.path())
        .map(|made| (other, made))
        .unwrap();
    let port = rsyslog.tls_port;
    let ca = rsyslog.authority.ca.display();
    for target in [
        format!("tls://localhost:{port}?ca={}", other.1.ca.display()),
        format!("tls://localhost:{port}"),
        format!("tls://localhost:{port}?ca={ca}&name=elsewhere.example"),
    ] {
        let refused = collector(&target)
            .send(&[message("secret").to_bytes()])
            .await;
        assert!(
            matches!(refused, Err(ConnectError::Tls { .. })),
            "{target}: {refused:?}"
        );
    }
    let missing = collector(&format!("tls://localhost:{port}?ca=/no/such/ca.pem"))
        .send(&[message("secret").to_bytes()])
        .await
        .unwrap_err();
    assert_eq!(
        missing.to_string(),
        "read `/no/such/ca.pem`: there is no such file"
    );
    assert!(rsyslog.lines("raw.log").is_empty());
}

/// With TLS 1.3 a server judges our certificate after we have begun to write.
async fn a_stranger_is_told(driver: &'static str) {
    let Some(mut rsyslog) = Rsyslog::start_with(driver) else {
        return;
    };
    rsyslog.ask_for_certificates();
    for _ in 0..20 {
        let stranger = collector(&rsyslog.target("tls", ""))
            .send(&[message("stranger").to_bytes()])
            .await;
        assert!(stranger.is_err(), "swallowed");
    }
    let identity = format!(
        "?cert={}&key={}",
        rsyslog.authority.cert.display(),
        rsyslog.authority.key.display()
    );
    collector(&rsyslog.target("tls", &identity))
        .send(&[message("known").to_bytes()])
        .await
        .unwrap();
    let lines = rsyslog.wait_for_lines("raw.log", 1);
    assert!(
        lines.iter().all(|line| line.ends_with("known")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_stranger_is_told_by_a_collector_with_gnutls() {
    a_stranger_is_told("gtls").await;
}

#[tokio::test]
async fn a_stranger_is_told_by_a_collector_with_openssl() {
    a_stranger_is_told("ossl").await;
}

#[tokio::test]
async fn a_refused_datagram_is_reported() {
    let target = format!("udp://127.0.0.1:{}", free_port());
    let refused = collector(&target).send(&[message("x").to_bytes()]).await;
    assert!(
        matches!(refused, Err(ConnectError::Unreachable { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_collector_that_never_reads_costs_the_time_limits_and_no_more() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let limit = Duration::from_millis(300);
    let limits = CollectorLimits {
        connect: limit,
        write: limit,
        confirm: limit,
    };
    for scheme in ["tcp", "tls"] {
        let target = format!("{scheme}://localhost:{port}").parse().unwrap();
        let late = Collector::new(target, limits)
            .send(&[message("x").to_bytes()])
            .await;
        assert!(
            matches!(late, Err(ConnectError::TimedOut { .. })),
            "{late:?}"
        );
    }
}

#[tokio::test]
async fn a_full_batch_of_longest_messages_arrives() {
    let Some(rsyslog) = Rsyslog::start() else {
        return;
    };
    let batch: Vec<Vec<u8>> = (0..BATCH_MESSAGES_MAX)
        .map(|n| message(&format!("{n} {}", "x".repeat(10_000))).to_bytes())
        .collect();
    for (sent, scheme) in (1..).zip(["tcp", "tls"]) {
        let mut collector = collector(&rsyslog.target(scheme, ""));
        let messages = batch.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "only a future that may change threads can be a task, and the test waits for it"
        )]
        let sending = tokio::spawn(async move { collector.send(&messages).await });
        sending.await.unwrap().unwrap();
        let lines = rsyslog.wait_for_lines("raw.log", sent * BATCH_MESSAGES_MAX);
        let arrived = lines.iter().skip((sent - 1) * BATCH_MESSAGES_MAX);
        assert!(
            arrived
                .map(String::as_bytes)
                .eq(batch.iter().map(Vec::as_slice))
        );
    }
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let mut collector = collector("udp://127.0.0.1:9");
    let batch = vec![message("x").to_bytes(); BATCH_MESSAGES_MAX + 1];
    let refused = collector.send(&batch).await;
    assert!(
        matches!(refused, Err(ConnectError::Invalid { .. })),
        "{refused:?}"
    );
    collector.send(&[]).await.unwrap();
}
