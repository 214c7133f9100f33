//! Rows: what each comes to beside the others and beside what is there.

use robotd::domain::import::RowAnswer::{Created, Unchanged, Updated};
use robotd::domain::import::{ImportMode, ImportState};
use robotd::domain::inventory::Noun;
use serde_json::{Value, json};

use super::super::{current, make};
use super::{answers, applied, counts, import, lies_nowhere, things};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};

on_both!(
    each_row_has_an_answer_and_a_bad_one_changes_nothing,
    what_is_there_is_changed_where_the_file_says_so,
    a_name_in_two_sites_is_not_guessed,
);

const MIXED: &str = "\
Template: rows from line 4
hostname*,address,site,protocol,port,Username,secret,automatic change,policy,expires_at,device_enabled
web1,192.0.2.1,A,ssh,22,root,first-S3cret,yes,,2030-01-31,true
new,,,,,,,,,,
web2,192.0.2.2,,ssh,70000,root,bad-S3cret,yes,,,
web2,192.0.2.2,,ssh,x,root,bad-S3cret,yes,,,
web2,192.0.2.2,,gopher,70,eve,bad-S3cret,yes,,,
web2,192.0.2.2,,,,dan,bad-S3cret,yes,strict,,
web2,192.0.2.2,,,,kim,,yes,,,
web1,192.0.2.1,A,,,ROOT,bad-S3cret,yes,,,
web1,192.0.2.9,A,,,,,,,,
,192.0.2.3,,,,,,,,,
web3,192.0.2.3,,,,,,,,,maybe
web3,192.0.2.3,,,,,bad-S3cret,,,,
web3,192.0.2.3,,,,root,bad-S3cret,no,,tomorrow,
web3,192.0.2.3,,,,root,bad-S3cret,,,,
web1,,A,rdp,3389,,,,,,
=cmd|'/c calc'!A1,192.0.2.4,,,,,,,,,
web1,192.0.2.1,a,,,,,,,,,left over
";

async fn each_row_has_an_answer_and_a_bad_one_changes_nothing(database: &Database) {
    let rig = Rig::new(database, None).await;
    let stop = json!({"on_error": "stop"});
    let stopped = import(&rig, MIXED.as_bytes(), ImportMode::Apply, stop).await;
    assert_eq!(stopped.state, ImportState::Failed);
    let failure = stopped.failure.unwrap();
    assert!(
        failure.starts_with("the file has 14 rows of 17 that"),
        "{failure}"
    );
    assert_eq!((stopped.rows.refused, stopped.rows.skipped), (14, 3));
    let tried = import(&rig, MIXED.as_bytes(), ImportMode::Validate, json!({})).await;
    assert_eq!(tried.state, ImportState::Finished, "{tried:?}");
    assert_eq!(things(&rig).await, [0; 4], "neither carried anything out");
    let done = applied(&rig, MIXED.as_bytes()).await;
    assert_eq!(done.rows, counts(17, 2, 1, 0, 14), "{done:?}");
    let told = answers(&rig, done.id).await;
    assert_eq!(answers(&rig, tried.id).await, told, "it was said before");
    let good = told.iter().filter(|(.., error)| error.is_empty());
    let good: Vec<_> = good.map(|(line, answer, _)| (*line, *answer)).collect();
    assert_eq!(good, [(3, Created), (17, Updated), (18, Created)]);
    let bad: Vec<&str> = told.iter().map(|(.., error)| error.as_str()).collect();
    let expected = [
        (4, "B4 address: missing field `address`"),
        (
            5,
            "E5 port: must be a whole number from 0 to 65535, not 70000",
        ),
        (6, "E6 port: must be a whole number"),
        (7, "D7 protocol: must be one of `ssh`,"),
        (8, "I8 policy: there is no credential policy `strict`"),
        (9, "G9 secret: missing field `secret`"),
        (10, "F10 username: stands in line 3 already"),
        (11, "B11 address: differs from line 3"),
        (12, "A12 hostname: missing field `hostname`"),
        (13, "K13 device_enabled: must be `true` or `false`"),
        (14, "F14 username: missing field `username`"),
        (15, "J15 expires_at: must be a day"),
        (16, "H16 automatic_change: missing field `automatic_change`"),
        (19, "L19 : its column has no name"),
    ];
    for (line, begin) in expected {
        let error = bad[line - 3];
        assert!(error.starts_with(begin), "line {line}: {error}");
    }
    assert_eq!(things(&rig).await, [1, 2, 1, 1]);
    lies_nowhere(&rig, "S3cret").await;
}

async fn what_is_there_is_changed_where_the_file_says_so(database: &Database) {
    let rig = Rig::new(database, None).await;
    let body = json!({
        "hostname": "Web1", "address": "192.0.2.1", "description": "kept",
        "connectivities": [{"protocol": "ssh", "port": 22, "host_key": null}],
    });
    let device = make(&rig, Noun::Device, body, None).await;
    let body =
        json!({"device": device, "username": "root", "automatic_change": false, "tags": ["kept"]});
    let credential = make(&rig, Noun::Credential, body, Some("old")).await;
    make(
        &rig,
        Noun::CredentialPolicy,
        json!({"name": "Strict", "priority": 1}),
        None,
    )
    .await;
    let file = "hostname,protocol,port,host_key,username,secret,policy,device_tags\n\
                WEB1,ssh,22,trust_on_first_use,ROOT,new-S3cret,strict,\"a, b\"\n\
                web1,rdp,3389,,,,,\n";
    let done = applied(&rig, file.as_bytes()).await;
    assert_eq!(
        done.rows,
        counts(2, 0, 2, 0, 0),
        "{:?}",
        answers(&rig, done.id).await
    );
    let store = &rig.tools.store;
    let item = store.inventory_get(Noun::Device, device).await.unwrap();
    assert_eq!(
        (&item.body["hostname"], &item.body["description"]),
        (&json!("Web1"), &json!("kept"))
    );
    assert_eq!(item.body["tags"], json!(["a", "b"]));
    let ways = item.body["connectivities"].as_array().unwrap();
    assert_eq!(
        (ways.len(), &ways[0]["host_key"]),
        (2, &json!("trust_on_first_use"))
    );
    assert_eq!(item.revision, 2, "both rows changed it at once");
    let item = store
        .inventory_get(Noun::Credential, credential)
        .await
        .unwrap();
    assert_eq!(
        (&item.body["username"], &item.body["tags"]),
        (&json!("root"), &json!(["kept"]))
    );
    assert_ne!(item.body["policy"], Value::Null);
    assert_eq!(current(&rig, credential).await, "new-S3cret");
    let by_ana = "actor = 'ana' AND action = 'credential.change'";
    assert_eq!(rig.rows("audit_trail", by_ana).await, 1);
    a_passphrase_goes_with_its_key(&rig).await;
}

async fn a_passphrase_goes_with_its_key(rig: &Rig<'_>) {
    let file = |passphrase: &str| {
        format!(
            "hostname,username,secret,passphrase,credential_kind,automatic_change\n\
             web1,deploy,-----BEGIN PRIVATE KEY----- key-S3cret -----END PRIVATE KEY-----,{passphrase},ssh_key,no\n\
             web1,kim,key-S3cret,{passphrase},,no\n\
             web1,lea,,{passphrase},ssh_key,no\n"
        )
    };
    for (passphrase, answer) in [
        ("one-S3cret", Created),
        ("one-S3cret", Unchanged),
        ("two-S3cret", Updated),
    ] {
        let done = applied(rig, file(passphrase).as_bytes()).await;
        let told = answers(rig, done.id).await;
        assert_eq!(told[0], (2, answer, String::new()), "{passphrase}");
        assert_eq!(
            [&told[1].2, &told[2].2],
            [
                "D3 passphrase: is for a key: set `kind` to `ssh_key`, or leave it out",
                "D4 passphrase: belongs to a key: give the `secret` with it"
            ]
        );
    }
    lies_nowhere(rig, "S3cret").await;
}

/// Where a name stands in two sites, the file must say which is meant.
async fn a_name_in_two_sites_is_not_guessed(database: &Database) {
    let rig = Rig::new(database, None).await;
    make(
        &rig,
        Noun::Device,
        json!({"hostname": "Web1", "address": "192.0.2.1"}),
        None,
    )
    .await;
    let site = make(&rig, Noun::Site, json!({"name": "A"}), None).await;
    let body = json!({"hostname": "web1", "address": "192.0.2.7", "site": site});
    make(&rig, Noun::Device, body, None).await;
    let file = "hostname,site,address\nweb1,,192.0.2.8\nweb1,B,192.0.2.9\n";
    let settings = json!({"create_sites": false});
    let done = import(&rig, file.as_bytes(), ImportMode::Apply, settings).await;
    let told: Vec<String> = answers(&rig, done.id)
        .await
        .into_iter()
        .map(|one| one.2)
        .collect();
    assert_eq!(
        told,
        [
            "A2 hostname: stands in several sites; name the site",
            "B3 site: there is no site `B`; make it first"
        ]
    );
}
