//! The master key's file, as it lies on a real disk.

mod rotation;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use robotd::vault::{MasterKey, SecretFileError, secret_file};

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (made, new) = MasterKey::open(dir.path()).unwrap();
    assert!(new);
    let path = MasterKey::path_in(dir.path());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (read, new) = MasterKey::open(dir.path()).unwrap();
    assert!(!new);
    assert_eq!(made.check_value(), read.check_value());
    let error = MasterKey::create(dir.path()).unwrap_err();
    assert!(matches!(error, SecretFileError::Exists { .. }), "{error}");
    let other = tempfile::tempdir().unwrap();
    let (other, _) = MasterKey::open(other.path()).unwrap();
    assert_ne!(made.check_value(), other.check_value());
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    MasterKey::create(dir.path()).unwrap();
    let path = MasterKey::path_in(dir.path());
    for mode in [0o640, 0o604, 0o644, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = MasterKey::read(dir.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{mode:o}: {error}");
    }
}

#[test]
fn a_file_that_holds_no_key_is_refused_and_kept() {
    let long = "0".repeat(9000);
    let hex = "0".repeat(63);
    for text in ["", "key", hex.as_str(), long.as_str()] {
        let dir = tempfile::tempdir().unwrap();
        let path = MasterKey::path_in(dir.path());
        secret_file::create(&path, text).unwrap();
        let error = MasterKey::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, SecretFileError::Malformed { .. }),
            "{text:.9}: {error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{text}\n"));
    }
}

#[test]
fn replacing_a_secret_closes_an_open_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.token");
    fs::write(&path, "old").unwrap();
    secret_file::replace(&path, "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}
