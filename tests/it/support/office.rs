//! Spreadsheet programs beside robotd: Python's openpyxl.

use std::process::Command;

use super::counterpart::{counterpart, skipped};

/// Runs a script of Debian's Python with openpyxl on files; answers what it prints. `None` where openpyxl is not there.
pub fn openpyxl(script: &str, arguments: &[&str]) -> Option<String> {
    let install = "apt-get install -y python3-openpyxl";
    // Debian's: another Python on the path does not know Debian's packages.
    let python = counterpart("/usr/bin/python3", install)?;
    let output = Command::new(python)
        .args(["-c", script])
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    if told.contains("No module named 'openpyxl'") {
        skipped(&format!("Python's `openpyxl` is missing: {install}"));
        return None;
    }
    assert!(output.status.success(), "{told}");
    Some(String::from_utf8(output.stdout).unwrap())
}
