//! What a node lets others see, and whether a secret is in it in any form.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// Shorter ones are found everywhere in other forms.
const SECRET_BYTES_MIN: usize = 9;

/// Everything that was seen, with where it was.
#[derive(Default)]
pub struct Seen(Vec<(String, String)>);

impl Seen {
    /// Takes a text down.
    pub fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Takes all files of a folder and its folders down, but those of these names.
    pub fn add_files(&mut self, folder: &Path, but: &[&str]) {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, name) = {
                let entry = entry.unwrap();
                (entry.path(), entry.file_name())
            };
            if path.is_dir() {
                self.add_files(&path, but);
            } else if path.is_file() && !but.contains(&name.to_str().unwrap()) {
                let bytes = fs::read(&path).unwrap();
                self.add(path.display().to_string(), String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// Fails where one of these secrets was seen: as it is, or as JSON, addresses, base64 and hexadecimal digits write it.
    pub fn must_not_hold(&self, secrets: &[(&str, String)]) {
        for (name, secret) in secrets {
            assert!(secret.len() >= SECRET_BYTES_MIN, "{name}");
            for form in forms(secret) {
                for (place, text) in &self.0 {
                    let found = text.find(&form);
                    let before = found.map(|at| {
                        let near: Vec<char> = text[..at].chars().rev().take(120).collect();
                        near.into_iter().rev().collect::<String>()
                    });
                    assert!(
                        found.is_none(),
                        "the {name} is in {place}, behind `{}`",
                        before.unwrap_or_default()
                    );
                }
            }
        }
    }
}

/// How a text may stand in another one.
fn forms(secret: &str) -> Vec<String> {
    let quoted = Value::from(secret).to_string();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        secret.to_owned(),
        quoted[1..quoted.len() - 1].to_owned(),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        hex.to_uppercase(),
        hex,
    ];
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        // By how many bytes stand before it in the text that was encoded; what those share a digit with is left out.
        for (before, digits) in [(0, 0), (1, 2), (2, 3)] {
            let bytes = [vec![0; before], secret.as_bytes().to_vec()].concat();
            let whole = bytes.len() * 4 / 3;
            forms.push(engine.encode(&bytes)[digits..whole].to_owned());
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// The descendants of a process.
pub fn children(of: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task"))
            .into_iter()
            .flatten();
        for task in tasks.filter_map(Result::ok) {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let pids: Vec<u32> = text
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect();
            found.extend(&pids);
            parents.extend(pids);
        }
    }
    found
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "pass \"word\\ 7f";
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02X}")).collect() };
    for hidden in [
        format!("a {secret} b"),
        serde_json::json!({ "a": secret }).to_string(),
        hex(format!("x{secret}").as_bytes()),
        STANDARD_NO_PAD.encode(format!("{secret}!")),
        STANDARD_NO_PAD.encode(format!("a{secret}?!")),
        URL_SAFE_NO_PAD.encode(format!("ab{secret}")),
        format!(
            "q={}",
            form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()
        ),
    ] {
        assert!(
            forms(secret).iter().any(|form| hidden.contains(form)),
            "{hidden}"
        );
    }
}
