//! Mails as they arrive, with a sheet that opens.

use std::process::Command;

use robotd::domain::inventory::Noun;
use robotd::domain::operation::{OperationKind, OperationState};
use robotd::robot::inventory::{By, NewItem};
use robotd::robot::outcome::Verdict;
use serde_json::{Value, json};

use super::{ends, run, tally};
use crate::robots::operations::{OLD, credential, device, inventory, make, ordered};
use crate::robots::rig::{Rig, count};
use crate::support::counterpart::counterpart;
use crate::support::database::{Database, on_both};
use crate::support::smtp_server::{SmtpServer, account};

on_both!(changes_are_told_once_and_arrive_with_a_sheet_that_opens);

const NEW: &str = "New-Horse-8";
/// What opens the files of one of the recipients.
const LOCK: &str = "Räder & \"Schlösser\" 9";
const FORMULA: &str = "=cmd|'/c calc'!A1";

/// What mail programs and openpyxl make of the mails.
fn opened(mails: &[String]) -> Option<Vec<Value>> {
    let python = counterpart("/usr/bin/python3", "apt-get install -y python3-openpyxl")?;
    let folder = tempfile::tempdir().unwrap();
    for (number, mail) in mails.iter().enumerate() {
        std::fs::write(folder.path().join(number.to_string()), mail).unwrap();
    }
    let mut command = Command::new(python);
    command.args(["-c", include_str!("opened.py")]);
    command.arg(folder.path()).arg(LOCK);
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let Value::Array(mut opened) = serde_json::from_slice(&ran.stdout).unwrap() else {
        panic!("no list")
    };
    opened.sort_by_key(|mail| mail["to"].to_string());
    Some(opened)
}

/// A site, its device, and credentials with an end of each kind; one recorded by hand, and one still open.
async fn all_kinds(rig: &Rig<'_>) {
    let site = make(rig, Noun::Site, json!({"name": "Lisbon <HQ>"}), None).await;
    let body = json!({"hostname": "web1", "address": "192.0.2.1", "site": site});
    let web = make(rig, Noun::Device, body, None).await;
    let db = device(rig, "ssh", 22, json!(null)).await;
    ends(
        rig,
        credential(rig, web, "root", OLD).await,
        OperationState::Succeeded,
    )
    .await;
    ends(
        rig,
        credential(rig, web, FORMULA, OLD).await,
        OperationState::Failed,
    )
    .await;
    ends(
        rig,
        credential(rig, db, "svc", OLD).await,
        OperationState::Unverified,
    )
    .await;
    let tested = credential(rig, db, "tested", OLD).await;
    ordered(rig, OperationKind::Test, tested).await;
    let by_hand = credential(rig, db, "manual", OLD).await;
    let patch = NewItem {
        secret: Some(NEW.into()),
        ..NewItem::default()
    };
    let by = By {
        actor: "eva",
        now: rig.now(),
    };
    let changed = inventory(rig);
    let changed = changed.change(Noun::Credential, by_hand, None, &patch, by);
    changed.await.unwrap();
    let open = credential(rig, db, "open", OLD).await;
    ordered(rig, OperationKind::ChangePassword, open).await;
    for (login, zone, locale) in [
        ("ana", json!("America/Sao_Paulo"), json!("pt-BR")),
        ("bob", json!(null), json!(null)),
    ] {
        let email = format!("{login}@example.org");
        let user = json!({"login": login, "email": email, "timezone": zone, "locale": locale});
        make(rig, Noun::User, user, None).await;
    }
}

async fn changes_are_told_once_and_arrive_with_a_sheet_that_opens(database: &Database) {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    let rig = Rig::new(database, Some(account(server.port))).await;
    all_kinds(&rig).await;
    rig.pass(60);
    let office = json!({"hostname": "office", "address": "192.0.2.9"});
    let office = make(&rig, Noun::Device, office, None).await;
    let lock = credential(&rig, office, "archive of ana", LOCK).await;
    let none = rig.micros();
    let settings = json!({"recipients": ["ana@example.org", "bob@example.org", "dora@example.org"],
        "archive_passwords": {"ana@example.org": lock, "dora@example.org": none.to_string()}});
    assert_eq!(tally(&run(&rig, settings).await), (4, 3));
    for kind in ["report.password_changes_sent", "mail.queued"] {
        let told = rig.rows("events", &format!("type = '{kind}'")).await;
        assert_eq!(told, 1, "{kind}");
    }
    let summary = "msgid = 'password.summary' AND text LIKE '%2 succeeded, 1 failed, 1 unverified'";
    assert_eq!(rig.rows("syslog_outbox", summary).await, 1);
    rig.pass(60);
    assert_eq!(run(&rig, json!({})).await.verdict, Verdict::Nothing);
    assert_eq!(rig.rows("mail_outbox", "1 = 1").await, 3, "told once");
    let kept = rig.rows("mail_files", "1 = 1").await;
    assert_eq!(kept, 2, "once open, once locked");

    let sent = rig.run("mail.email_sender", json!({})).await.unwrap();
    assert_eq!(count(&sent, "mails_sent"), 2);
    let Some(mails) = opened(&server.wait_for_mails(2)) else {
        return;
    };
    read_by_people(&mails);
    read_by_spreadsheets(&mails[1]["files"][0]);
    let [locked, open] = [0, 1].map(|mail| &mails[mail]["files"][0]);
    assert_eq!(locked["name"], "password-changes-2027-01-15-1.xlsx.zip");
    assert_eq!(
        (&locked["locked"], &locked["rows"]),
        (&json!(true), &open["rows"])
    );
    let without = "file_id IS NULL AND text LIKE '%The file is left out%'";
    let without = rig.rows("mail_outbox", without).await;
    assert_eq!(without, 1, "never open instead");
    let log = rig.log.lock().unwrap();
    for secret in [OLD, NEW, LOCK] {
        assert!(!mails.iter().any(|mail| mail.to_string().contains(secret)));
        assert!(!log.iter().any(|line| line.contains(secret)));
    }
}

fn read_by_people(mails: &[Value]) {
    let (ana, bob) = (&mails[0], &mails[1]);
    let said = |mail: &Value, form: &str, part: &str| mail[form].as_str().unwrap().contains(part);
    assert_eq!(
        ana["subject"],
        "[robotd] Alterações de senhas: 2 com êxito, 1 com falha, 1 não verificadas"
    );
    assert_eq!(
        bob["subject"],
        "[robotd] Password changes: 2 succeeded, 1 failed, 1 unverified"
    );
    for (mail, time) in [
        (ana, "2027-01-15 05:01 (America/Sao_Paulo)"),
        (bob, "2027-01-15 08:01 (UTC)"),
    ] {
        assert!(said(mail, "text", time), "{}", mail["text"]);
    }
    for part in [
        "1 ainda em aberto",
        "com falha (auth_failed), 2027-01-15 05:00, solicitada por ana",
        "- `web1` no site `Lisbon <HQ>`: 1 com êxito, 1 com falha",
        "- registrada: 1 com êxito",
        "O arquivo 1 de 1 contém as alterações 1 a 4 de 4; seus horários são os de UTC.",
    ] {
        assert!(said(ana, "text", part), "{part}: {}", ana["text"]);
    }
    assert!(said(ana, "html", "<html lang=\"pt\">"), "{}", ana["html"]);
    for part in [
        "1 still open",
        "failed (auth_failed), 2027-01-15 08:00, ordered by ana",
        "- `svc` on `h22`: unverified",
        "- `web1` at site `Lisbon <HQ>`: 1 succeeded, 1 failed",
        "- recorded: 1 succeeded",
        "File 1 of 1 has changes 1 to 4 of 4; its times are those of UTC.",
    ] {
        assert!(said(bob, "text", part), "{part}: {}", bob["text"]);
    }
    assert!(said(bob, "html", "Lisbon &#60;HQ&#62;"), "{}", bob["html"]);
}

fn read_by_spreadsheets(file: &Value) {
    assert_eq!(file["name"], "password-changes-2027-01-15-1.xlsx");
    let rows = file["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    assert_eq!(
        file["kinds"], "dssssssnns",
        "a time, texts, a number, nothing"
    );
    assert_eq!(rows[2][5], FORMULA, "a text and no formula");
    let last: Vec<&str> = rows[4]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell.as_str().unwrap())
        .collect();
    assert_eq!(
        last[..8],
        [
            "2027-01-15 08:00:00",
            "succeeded",
            "recorded",
            "None",
            "h22",
            "manual",
            "eva",
            "1"
        ]
    );
}
