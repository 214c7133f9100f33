//! The documents say what the code says.

use robotd::domain::failure::FailureClass;
use robotd::domain::schedule::Schedule;
use robotd::robots;

/// The rows of the README's table of robots, made from the catalogue.
fn rows() -> String {
    let mut rows = String::new();
    for robot in robots::catalog() {
        let definition = robot.definition().unwrap();
        let schedule = match &definition.defaults.schedule {
            Some(Schedule::Every { interval }) => {
                format!("every {}", robotd::domain::iso_duration::format(*interval))
            }
            Some(Schedule::Cron {
                expression,
                timezone,
            }) => format!("`{expression}` ({timezone})"),
            None => "on demand".to_owned(),
        };
        let identity = &definition.identity;
        let events: Vec<_> = identity
            .events
            .iter()
            .map(|event| format!("`{event}`"))
            .collect();
        let wakes = if events.is_empty() {
            schedule
        } else {
            format!("{schedule}; on {}", events.join(", "))
        };
        rows.push_str(&format!(
            "| `{}` | {} | {wakes} | {} |\n",
            identity.name, identity.title, identity.summary
        ));
    }
    rows
}

#[test]
fn the_readme_lists_the_catalogue() {
    let readme = include_str!("../../README.md");
    let rows = rows();
    assert!(
        readme.contains(&rows),
        "the table of robots must read:\n{rows}"
    );
    let listed = readme
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 5)
        .count();
    assert_eq!(
        listed,
        robots::catalog().len(),
        "the table lists a robot that is not there"
    );
}

/// The example of `robotd.toml` in the README is accepted as it stands.
#[test]
fn the_readme_configures_a_node() {
    let readme = include_str!("../../README.md");
    let toml = readme
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("robotd.toml"), toml).unwrap();
    let password = folder.path().join("smtp.password");
    std::fs::write(&password, "not a real one\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_robotd"))
        .args([
            "check-config",
            "--config",
            folder.path().join("robotd.toml").to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.contains("custom.nightly_report"), "{told}");
    assert!(!told.contains("not a real one"), "{told}");
}

/// Whoever reads of a failure finds what it means.
#[test]
fn every_class_of_failure_is_explained() {
    let page = include_str!("../../docs/API.md");
    for class in FailureClass::ALL {
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let word = format!("`{}`", class.as_str());
        assert_eq!(rows.filter(|row| row.contains(&word)).count(), 1, "{word}");
    }
}
