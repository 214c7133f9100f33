//! `robotd selftest chaos`: a small run of it, and what it refuses.

use std::process::{Command, Stdio};

use robotd::store::StoreConfig;
use serde_json::Value;

use crate::support::database::Database;

/// What the seed of the test does.
const BLOWS: [&str; 3] = ["cut", "silent", "stepped"];

#[tokio::test]
async fn nodes_that_are_broken_at_random_keep_what_is_promised() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &database.config else {
        panic!("a PostgreSQL database")
    };
    let words = "selftest chaos --nodes 3 --tasks 500 --for 7s --seed 15371 --json";
    let chaos = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_robotd"));
        command
            .args(words.split(' '))
            .env("ROBOTD_DATABASE_URL", url);
        command.stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let refused = chaos().await.unwrap();
    assert_eq!(refused.status.code(), Some(70));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the database is not empty"), "{said}");

    let config = database.config.clone();
    let cleared = tokio::task::spawn_blocking(move || config.clear().is_ok());
    assert!(cleared.await.unwrap());
    let output = chaos().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let proof = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{proof} {said}");
    let proof: Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(proof["accepted"], 500, "{proof:#}");
    assert_eq!(proof["ended"], 500, "{proof:#}");
    let blows = proof["blows"].as_array().unwrap().iter();
    assert!(blows.clone().all(|told| told["back_after_ms"][0].is_u64()));
    let blows: Vec<_> = blows.map(|told| told["blow"].as_str().unwrap()).collect();
    assert_eq!(blows, BLOWS, "{proof:#}");
    assert!(proof["ticks"].as_u64().unwrap() > 3, "{proof:#}");
}
