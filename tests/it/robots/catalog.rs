//! The catalogue as a whole.

use std::collections::BTreeSet;
use std::path::Path;

use robotd::domain::robot::Overrides;
use robotd::robot::registry::effective;
use robotd::robots::catalog;
use serde_json::{Value, json};

#[test]
fn every_robot_is_declared_soundly() {
    let mut names = BTreeSet::new();
    for robot in catalog() {
        let definition = robot.definition().unwrap();
        let identity = &definition.identity;
        let name = &identity.name;
        assert!(names.insert(name.clone()), "`{name}` stands twice");
        let (category, file) = name.split_once('.').unwrap();
        assert_eq!(category, identity.category.slug(), "{name}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/robots")
            .join(category);
        let found =
            folder.join(format!("{file}.rs")).exists() || folder.join(file).join("mod.rs").exists();
        assert!(found, "`{name}` has no file of its name");
        assert!(!identity.title.is_empty(), "{name}");
        assert!(
            !identity.summary.is_empty() && !identity.summary.ends_with('.'),
            "{name}"
        );
        assert!(identity.summary.starts_with(char::is_uppercase), "{name}");
        assert!(!definition.defaults.timeout.is_zero(), "{name}");
        assert!(
            definition.defaults.instances <= identity.instances_max,
            "{name}"
        );
        effective(&definition, &Overrides::new())
            .unwrap_or_else(|errors| panic!("`{name}` refuses its own defaults: {errors:?}"));
    }
}

/// Robot, settings as JSON, and the field that is refused.
const MISFITS: &[(&str, &str, &str)] = &[
    ("mail.email_sender", r#"{"delays": []}"#, "settings.delays"),
    (
        "mail.email_sender",
        r#"{"redirect": "a b"}"#,
        "settings.redirect",
    ),
    (
        "mail.email_sender",
        r#"{"mails_per_minute": 0}"#,
        "settings.mails_per_minute",
    ),
    (
        "notifications.cpu_and_memory_monitor",
        r#"{"cpu_percent": 101}"#,
        "settings.cpu_percent",
    ),
    (
        "notifications.cpu_and_memory_monitor",
        r#"{"agree": 9}"#,
        "settings.agree",
    ),
    (
        "notifications.cpu_and_memory_monitor",
        r#"{"recipients": ["a@b.c", "x@y\r\nBcc: z@y"]}"#,
        "settings.recipients[1]",
    ),
    (
        "notifications.disk_space_monitors",
        r#"{"warn_percent": 95}"#,
        "settings.warn_percent",
    ),
    (
        "notifications.disk_space_monitors",
        r#"{"mounts": [{"path": "relative"}]}"#,
        "settings.mounts[0].path",
    ),
    (
        "notifications.disk_space_monitors",
        r#"{"mounts": [{"path": "/a", "warn_percent": 0}]}"#,
        "settings.mounts[0].warn_percent",
    ),
    (
        "notifications.disk_space_monitors",
        r#"{"reminder_interval": "PT1S"}"#,
        "settings.reminder_interval",
    ),
    (
        "operations.operation_executor",
        r#"{"lock_window": "PT1S"}"#,
        "settings.lock_window",
    ),
    (
        "operations.expired_password",
        r#"{"quota": 501}"#,
        "settings.quota",
    ),
    (
        "notifications.expiration_notification",
        r#"{"levels": []}"#,
        "settings.levels",
    ),
    (
        "notifications.expiration_notification",
        r#"{"levels": [30, 7, 30]}"#,
        "settings.levels[2]",
    ),
    (
        "notifications.expiration_notification",
        r#"{"levels": [3651]}"#,
        "settings.levels[0]",
    ),
    (
        "notifications.expiration_notification",
        r#"{"timezone": "Mars/Base"}"#,
        "settings.timezone",
    ),
    (
        "system_monitors.primary_key_monitor",
        r#"{"warn_percent": -1}"#,
        "settings.warn_percent",
    ),
    (
        "system_monitors.schedule_monitor",
        r#"{"slow_factor": 0.5}"#,
        "settings.slow_factor",
    ),
    (
        "system_monitors.schedule_monitor",
        r#"{"queue_wait_of": {"a.b": "PT0S"}}"#,
        "settings.queue_wait_of.a.b",
    ),
    (
        "task_manager.daily_data",
        r#"{"timezone": "Mars/Base"}"#,
        "settings.timezone",
    ),
    (
        "task_manager.daily_data",
        r#"{"freeze_after": 0}"#,
        "settings.freeze_after",
    ),
    (
        "task_manager.daily_data",
        r#"{"unheard": 1}"#,
        "settings.unheard",
    ),
];

#[test]
fn a_setting_that_does_not_fit_is_named() {
    for (robot, settings, field) in MISFITS {
        let settings: Value = serde_json::from_str(settings).unwrap();
        let robots = catalog();
        let definitions = robots.iter().map(|robot| robot.definition().unwrap());
        let definition = definitions
            .into_iter()
            .find(|d| d.identity.name == *robot)
            .unwrap();
        let overrides: Overrides = serde_json::from_value(json!({ "settings": settings })).unwrap();
        let errors = effective(&definition, &overrides).unwrap_err();
        assert_eq!(errors[0].field, *field, "{errors:?}");
    }
}
