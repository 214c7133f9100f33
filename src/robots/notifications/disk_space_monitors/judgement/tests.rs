//! Cases of one file system after the other.

use chrono::TimeZone;

use super::*;
use crate::domain::alert::AlertState;
use crate::robots::notifications::disk_space_monitors::settings::NamedMount;

const GIB: u64 = 1024 * 1024 * 1024;

fn usage(used_percent: u64) -> FileSystemUsage {
    FileSystemUsage {
        device: "8:1".to_owned(),
        total_bytes: 100 * GIB,
        free_bytes: (100 - used_percent) * GIB,
        available_bytes: (100 - used_percent) * GIB,
        inodes: 1_000,
        inodes_free: 900,
        read_only: false,
    }
}

fn seen(answer: Answer) -> Seen {
    Seen {
        path: PathBuf::from("/var"),
        answer,
    }
}

fn at(minutes: i64) -> Timestamp {
    chrono::Utc
        .timestamp_opt(1_800_000_000 + minutes * 60, 0)
        .unwrap()
}

fn named(mount: NamedMount) -> Settings {
    let mounts = vec![NamedMount {
        path: PathBuf::from("/var"),
        ..mount
    }];
    Settings {
        mounts,
        ..Settings::default()
    }
}

/// Judges with `known` levels by thing; answers the levels by thing, worst things only.
fn alarms(
    settings: &Settings,
    answer: Answer,
    history: &History,
    known: &[(&str, Level)],
) -> Vec<(String, Level)> {
    let known = known.iter().map(|(thing, level)| AlertState {
        key: format!("disk:n:{thing}:/var"),
        level: *level,
        since: at(0),
        last_sent_at: None,
        title: String::new(),
    });
    let mut round = Round {
        known: known.collect(),
        ..Round::default()
    };
    judge(&mut round, settings, "n", &seen(answer), history);
    let worse = round
        .findings
        .into_iter()
        .filter(|finding| finding.level > Level::Ok);
    worse
        .map(|finding| {
            (
                finding.key.split(':').nth(2).unwrap().to_owned(),
                finding.level,
            )
        })
        .collect()
}

fn plain(answer: Answer, known: &[(&str, Level)]) -> Vec<(String, Level)> {
    alarms(&Settings::default(), answer, &History::default(), known)
}

fn alarm(thing: &str, level: Level) -> Vec<(String, Level)> {
    vec![(thing.to_owned(), level)]
}

#[test]
fn space_is_judged_with_hysteresis() {
    assert_eq!(plain(Answer::Usage(usage(79)), &[]), []);
    assert_eq!(
        plain(Answer::Usage(usage(80)), &[]),
        alarm("space", Level::Warning)
    );
    assert_eq!(
        plain(Answer::Usage(usage(90)), &[]),
        alarm("space", Level::Critical)
    );
    let critical = [("space", Level::Critical)];
    assert_eq!(
        plain(Answer::Usage(usage(89)), &critical),
        alarm("space", Level::Critical)
    );
    assert_eq!(
        plain(Answer::Usage(usage(88)), &critical),
        alarm("space", Level::Warning)
    );
    assert_eq!(plain(Answer::Usage(usage(78)), &critical), []);
}

#[test]
fn files_can_run_out_before_the_space() {
    let usage = FileSystemUsage {
        inodes_free: 50,
        ..usage(10)
    };
    assert_eq!(
        plain(Answer::Usage(usage), &[]),
        alarm("inodes", Level::Critical)
    );
}

#[test]
fn free_bytes_count_beside_the_share() {
    let settings = named(NamedMount {
        warn_free_gib: Some(60.0),
        critical_free_gib: Some(20.0),
        ..NamedMount::default()
    });
    let judged = |percent, known: &[_]| {
        alarms(
            &settings,
            Answer::Usage(usage(percent)),
            &History::default(),
            known,
        )
    };
    assert_eq!(judged(39, &[]), []);
    assert_eq!(judged(40, &[]), alarm("space", Level::Warning));
    assert_eq!(
        judged(36, &[("space", Level::Warning)]),
        alarm("space", Level::Warning)
    );
    assert_eq!(judged(33, &[("space", Level::Warning)]), []);
    assert_eq!(judged(80, &[]), alarm("space", Level::Critical));
}

#[test]
fn a_hung_file_system_is_an_alarm_and_its_other_alarms_stay() {
    let silent = Answer::Silent("get an answer".to_owned());
    assert_eq!(plain(silent.clone(), &[]), alarm("answer", Level::Critical));
    let mut round = Round::default();
    judge(
        &mut round,
        &Settings::default(),
        "n",
        &seen(silent),
        &History::default(),
    );
    assert!(round.undecided.contains(&"disk:n:space:/var".to_owned()));
}

#[test]
fn a_named_mount_must_be_there_and_be_the_right_one() {
    let settings = named(NamedMount {
        device: Some("8:2".to_owned()),
        ..NamedMount::default()
    });
    let judged = |answer| alarms(&settings, answer, &History::default(), &[]);
    assert_eq!(judged(Answer::NotMounted), alarm("mount", Level::Critical));
    assert_eq!(
        judged(Answer::Usage(usage(1))),
        alarm("device", Level::Critical)
    );
    let right = FileSystemUsage {
        device: "8:2".to_owned(),
        ..usage(1)
    };
    assert_eq!(judged(Answer::Usage(right)), []);
}

#[test]
fn turning_read_only_is_an_alarm_and_being_so_is_not() {
    let read_only = || {
        Answer::Usage(FileSystemUsage {
            read_only: true,
            ..usage(1)
        })
    };
    let history = |was_writable| History {
        was_writable,
        ..History::default()
    };
    let judged =
        |settings: &Settings, was, known: &[_]| alarms(settings, read_only(), &history(was), known);
    let default = Settings::default();
    assert_eq!(judged(&default, None, &[]), []);
    assert_eq!(judged(&default, Some(false), &[]), []);
    assert_eq!(
        judged(&default, Some(true), &[]),
        alarm("read_only", Level::Critical)
    );
    let known = [("read_only", Level::Critical)];
    assert_eq!(
        judged(&default, Some(false), &known),
        alarm("read_only", Level::Critical)
    );
    let meant = named(NamedMount {
        read_only: true,
        ..NamedMount::default()
    });
    assert_eq!(judged(&meant, Some(true), &known), []);
}

#[test]
fn a_steady_growth_is_forecast_and_a_burst_is_not() {
    // 1 GiB every ten minutes over ten hours: 60 used, 40 left, full in under seven hours.
    let steady: Vec<_> = (0..=60u32)
        .map(|i| (at(i64::from(i) * 10), f64::from(i) * as_figure(GIB)))
        .collect();
    let history = |day: &[(Timestamp, f64)]| History {
        day: day.to_vec(),
        recent: day[day.len() - 7..].to_vec(),
        was_writable: None,
    };
    let judged = |points: &[_]| {
        alarms(
            &Settings::default(),
            Answer::Usage(usage(60)),
            &history(points),
            &[],
        )
    };
    assert_eq!(judged(&steady), alarm("forecast", Level::Warning));
    let burst: Vec<_> = steady
        .iter()
        .enumerate()
        .map(|(i, (at, _))| (*at, if i < 58 { 59.0 } else { 60.0 } * as_figure(GIB)))
        .collect();
    assert_eq!(judged(&burst), []);
}

#[test]
fn the_subject_of_an_event_is_the_mount() {
    let finding = |level| Finding {
        key: "disk:a:b:space:/mnt/with:colon".to_owned(),
        level,
        title: String::new(),
        text: String::new(),
    };
    let subject = "/mnt/with:colon".to_owned();
    for (level, change, kind) in [
        (Level::Warning, Notice::Raised, "storage.low"),
        (Level::Critical, Notice::Raised, "storage.critical"),
        (Level::Warning, Notice::Eased, "storage.low"),
        (Level::Ok, Notice::Cleared, "storage.cleared"),
    ] {
        assert_eq!(
            event_of(&finding(level), change),
            Some((kind, subject.clone()))
        );
    }
}
