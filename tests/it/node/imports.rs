//! A whole node takes a workbook, is killed over it, and says afterwards what became of each row.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::form::{form, media};
use crate::support::node::Node;
use crate::support::office::{converted, openpyxl};

const LIMIT: Duration = Duration::from_secs(120);
const ROWS: usize = 400;

/// Writes a workbook of openpyxl: texts, numbers, a date, a formula, and a row that is not acceptable.
const WRITER: &str = r#"
import datetime, sys, openpyxl
book = openpyxl.Workbook()
sheet = book.active
sheet["A1"] = "Devices"
sheet.append([])
sheet.append(["Hostname", "Address", "Port", "Protocol", "Username", "Secret", "Automatic change", "Expires at", "Device description"])
for number in range(int(sys.argv[2])):
    sheet.append([f"web-{number}", "192.0.2.1", 22, "ssh", 1000 + number, f"S3cret-{number:04}", True, datetime.date(2031, 1, 31), "=1+1" if number else "@home"])
last = int(sys.argv[2]) + 3
sheet[f"B{last}"] = None
sheet["I4"].data_type = "s"
sheet[f"F{last - 1}"] = 123456
book.save(sys.argv[1])
"#;

/// Prints a workbook's rows as JSON.
const READER: &str = r#"
import json, sys, openpyxl
sheet = openpyxl.load_workbook(sys.argv[1]).active
print(json.dumps([[cell.value for cell in row] for row in sheet.iter_rows()]))
"#;

async fn sent(node: &Node, file: Vec<u8>) -> String {
    let request = node.request(Method::POST, "/imports");
    let request = request.header("content-type", media());
    let answer = request
        .body(form(&[("file", Some("devices.xlsx"), &file)]))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    let view: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    format!("/imports/{}", view["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_killed_import_goes_on_and_changes_nothing_twice() {
    let mut node = Node::new("log.level = \"trace\"");
    let file = node.path("devices.xlsx");
    let path = file.to_str().unwrap();
    if openpyxl(WRITER, &[path, &ROWS.to_string()]).is_none() {
        return;
    }
    node.start().await;
    let import = sent(&node, std::fs::read(&file).unwrap()).await;
    // Twice in the middle: after some rows have their answer, and once more.
    for rows in [1, 200] {
        node.until(&import, LIMIT, |view| {
            view["rows_done"].as_u64().unwrap() >= rows
        })
        .await;
        node.kill();
        node.start().await;
    }
    let done = node
        .until(&import, LIMIT, |view| !view["finished_at"].is_null())
        .await;
    let of = |field: &str| done[field].as_u64().unwrap();
    assert_eq!(
        (&done["state"], of("rows_done")),
        (&json!("finished"), 400),
        "{done}"
    );
    assert_eq!((of("created"), of("refused")), (398, 2), "{done}");
    let credentials = node.all("/credentials").await;
    assert_eq!(credentials.len(), 398);
    assert!(
        credentials
            .iter()
            .all(|one| one["secret_version"] == 1 && one["revision"] == 1)
    );
    let trail = node.all("/audit").await;
    for action in ["credential.create", "device.create"] {
        let made = trail.iter().filter(|entry| entry["action"] == action);
        assert_eq!(made.count(), 398, "{action}");
    }
    let told = node.all("/events?type=batch_import.finished").await;
    assert_eq!(told.len(), 1);
    result_is_readable(&node, &import).await;
    let mut seen = vec![Value::from(trail).to_string()];
    seen.push(Value::from(node.all("/events").await).to_string());
    seen.push(Value::from(node.all(&format!("{import}/rows")).await).to_string());
    // Not in order: robots ask the devices meanwhile, where nobody answers, and a draining node waits for them.
    node.kill();
    seen.extend([node.log(), node.output()]);
    for file in std::fs::read_dir(node.data_dir()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        seen.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    assert!(
        seen.iter().all(|text| !text.contains("S3cret-")),
        "a secret of the file lies about"
    );
}

/// The annotated workbook, by two programs that are not ours.
async fn result_is_readable(node: &Node, import: &str) {
    let answer = node.request(Method::GET, &format!("{import}/result.xlsx"));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let result = answer.bytes().await.unwrap();
    let path = node.path("result.xlsx");
    std::fs::write(&path, &result).unwrap();
    let Some(printed) = openpyxl(READER, &[path.to_str().unwrap()]) else {
        return;
    };
    assert!(!printed.contains("S3cret"), "a secret is in the result");
    let rows: Vec<Vec<Value>> = serde_json::from_str(&printed).unwrap();
    assert_eq!(rows.len(), 5 + ROWS);
    assert_eq!(
        rows[4][..4],
        [
            json!("import_line"),
            json!("import_answer"),
            json!("import_detail"),
            json!("hostname")
        ]
    );
    assert_eq!(
        rows[5][..4],
        [json!("4"), json!("created"), Value::Null, json!("web-0")]
    );
    assert_eq!(
        rows[5][11], "'@home",
        "what a sheet would run is led by an apostrophe"
    );
    let detail = |row: usize| rows[row][2].as_str().unwrap().to_owned();
    assert!(
        detail(403).starts_with("F402 `secret`: must be text"),
        "{}",
        detail(403)
    );
    assert_eq!(detail(404), "B403 `address`: missing field `address`");
    let Some(csv) = converted("result.xlsx", &result, "csv") else {
        return;
    };
    let csv = String::from_utf8(csv).unwrap();
    assert!(
        csv.contains("4,created,,web-0,192.0.2.1,22,ssh,1000,,true,2031-01-31,'@home"),
        "{}",
        &csv[..2_000]
    );
}
