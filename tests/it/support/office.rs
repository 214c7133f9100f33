//! Spreadsheet programs beside robotd: `LibreOffice`, and Python's openpyxl.

use std::fs;
use std::process::Command;

use super::counterpart::{counterpart, skipped};

/// What `LibreOffice` makes of a file: of `name`, whose ending says what it is, as a file of the kind `to`. `None` where it
/// is not there, which was said loudly.
pub fn converted(name: &str, file: &[u8], to: &str) -> Option<Vec<u8>> {
    let program = counterpart("soffice", "apt-get install -y libreoffice-calc-nogui")?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join(name), file).unwrap();
    // A profile of its own: another LibreOffice of this user would take the order and do nothing.
    let profile = format!("-env:UserInstallation=file://{}/profile", path.display());
    let output = Command::new(program)
        .args(["--headless", &profile, "--convert-to", to, "--outdir"])
        .arg(path)
        .arg(path.join(name))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let stem = name.split('.').next().unwrap();
    let made = path.join(format!("{stem}.{}", to.split(':').next().unwrap()));
    Some(fs::read(made).unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

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
