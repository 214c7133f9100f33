//! Whole files: a large one, the same once more, and those that are not acceptable.

use robotd::domain::import::{ImportMode, ImportState};
use robotd::domain::inventory::Noun;
use robotd::robot::outcome::Verdict;
use robotd::store::import::RowCounts;
use serde_json::json;

use super::super::current;
use super::{NAME, applied, counts, lies_nowhere, rows, send, stands, things};
use crate::connect::sheet::workbooks;
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};
use crate::support::office::converted;

on_both!(
    a_thousand_rows_become_things_once,
    a_file_that_is_not_acceptable_fails_as_a_whole,
);

/// Two accounts on each device, in three sites.
fn text(rows: u32) -> String {
    let mut text =
        String::from("hostname,address,site,protocol,port,username,secret,automatic_change\n");
    for number in 0..rows {
        let host = number / 2;
        text += &format!(
            "web-{host},192.0.2.{},Site {},ssh,22,user{},S3cret-{number}-x,TRUE\n",
            host % 256,
            host % 3,
            number % 2
        );
    }
    text
}

async fn a_thousand_rows_become_things_once(database: &Database) {
    // Both kinds of workbook as `LibreOffice` writes them; each statement on a server takes its time.
    let (rows, kind) = match database.name {
        "sqlite" => (1_000, "xlsx"),
        _ => (120, "ods"),
    };
    let Some(file) = converted("rows.csv", text(rows).as_bytes(), kind) else {
        return;
    };
    become_things_once(database, &file, rows).await;
}

async fn become_things_once(database: &Database, file: &[u8], all: u32) {
    let rig = Rig::new(database, None).await;
    let expected = [3, i64::from(all / 2), i64::from(all), i64::from(all)];
    let first = applied(&rig, file).await;
    assert_eq!(first.state, ImportState::Finished, "{first:?}");
    assert_eq!(first.rows, counts(all, all, 0, 0, 0));
    assert_eq!(first.same_as, None);
    assert_eq!(things(&rig).await, expected);
    let one = rows(&rig, first.id).await[41].clone();
    assert_eq!(one.line, 43);
    assert_eq!(current(&rig, one.credential.unwrap()).await, "S3cret-41-x");
    let device = rig
        .tools
        .store
        .inventory_get(Noun::Device, one.device.unwrap());
    let device = device.await.unwrap().body;
    assert_eq!(device["connectivities"][0]["port"], 22, "{device:?}");
    assert_eq!(rig.rows("batch_import_files", "TRUE").await, 0);
    let told = format!("type = 'batch_import.finished' AND body LIKE '%\"created\":{all}%'");
    assert_eq!(rig.rows("events", &told).await, 1);
    lies_nowhere(&rig, "S3cret-").await;
    // Nothing is left to do, and the same file has nothing to do.
    let idle = rig.run(NAME, json!({})).await.unwrap();
    assert_eq!(idle.verdict, Verdict::Nothing);
    let again = applied(&rig, file).await;
    assert_eq!(again.rows, counts(all, 0, 0, all, 0));
    assert_eq!(again.same_as, Some(first.id));
    assert_eq!(things(&rig).await, expected);
}

async fn a_file_that_is_not_acceptable_fails_as_a_whole(database: &Database) {
    let Some(folder) = workbooks() else { return };
    let rig = Rig::new(database, None).await;
    let made = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let many = format!("hostname\n{}", "a\n".repeat(10_001));
    let files: [(Vec<u8>, &str); 13] = [
        (b"all you need is love".to_vec(), "has no column `hostname`"),
        (b"hostname\nm\xfcnchen\n".to_vec(), "is not UTF-8 in line 2"),
        (
            b"hostname,S3cret\na,b\n".to_vec(),
            "has a column B whose name in line 1 is not known",
        ),
        (
            b"hostname,Hostname*\na,b\n".to_vec(),
            "has the column `hostname` twice, in A and B",
        ),
        (b"hostname,secret\n".to_vec(), "has no rows"),
        (many.into_bytes(), "has more than 10000 rows"),
        (made("plain.xlsx"), "has no column `hostname`"),
        (made("bomb.xlsx"), "unpacks to more than"),
        (
            made("far.xlsx"),
            "has more than 100 columns in line 1048576",
        ),
        (made("tall.ods"), "has more than 10100 rows"),
        (made("half.xlsx"), "is a damaged workbook"),
        (made("locked.ods"), "is an old workbook or has a password"),
        (made("old.xls"), "is an old workbook or has a password"),
    ];
    let mut sent = Vec::new();
    for (file, failure) in &files {
        sent.push((send(&rig, file, ImportMode::Apply).await, *failure));
    }
    let tampered = send(&rig, b"hostname\na\n", ImportMode::Apply).await;
    let other_key =
        format!("UPDATE batch_import_files SET key_id = 99 WHERE import_id = {tampered}");
    database.sql(&other_key).await;
    sent.push((tampered, "was changed in the database"));
    rig.run(NAME, json!({})).await.unwrap();
    for (id, failure) in sent {
        let import = stands(&rig, id).await;
        assert_eq!(import.state, ImportState::Failed, "{failure}");
        let told = import.failure.unwrap();
        assert!(told.starts_with(&format!("the file {failure}")), "{told}");
        assert_eq!(import.rows, RowCounts::default(), "{failure}");
    }
    assert_eq!(things(&rig).await, [0; 4]);
    assert_eq!(rig.rows("batch_import_files", "TRUE").await, 0);
    lies_nowhere(&rig, "S3cret").await;
}
