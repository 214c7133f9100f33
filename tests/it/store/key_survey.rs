//! The survey of keys that can run out.

use robotd::domain::time::from_micros;
use robotd::store::audit::NewAudit;
use robotd::store::mail::NewMail;
use robotd::store::report::{KeyColumn, KeySurvey};

use crate::support::database::{Database, on_both};

on_both!(the_survey_finds_our_own_keys_in_order);

fn column<'a>(survey: &'a KeySurvey, name: &str) -> &'a KeyColumn {
    survey
        .columns
        .iter()
        .find(|column| column.name == name)
        .unwrap_or_else(|| panic!("{name} in {survey:?}"))
}

async fn the_survey_finds_our_own_keys_in_order(database: &Database) {
    let store = &database.store;
    let mail = NewMail {
        recipient: "ops@example.org".to_owned(),
        subject: "s".to_owned(),
        text: "t".to_owned(),
        priority: 4,
        expires_at: from_micros(9),
    };
    store
        .alert_apply(vec![], vec![mail.clone(), mail], vec![], from_micros(1))
        .await
        .unwrap();
    let entry = NewAudit {
        actor: "ana".to_owned(),
        action: "robot.change".to_owned(),
        object: "robot:x.y".to_owned(),
        before: None,
        after: None,
    };
    store.audit_append(entry, from_micros(1)).await.unwrap();
    let survey = store.key_survey().await.unwrap();
    let prefix = if store.backend() == "postgres" {
        "public."
    } else {
        ""
    };
    let trail = column(&survey, &format!("{prefix}audit_trail.id"));
    assert_eq!((trail.used, trail.increment, trail.limit), (1, 1, i64::MAX));
    assert_eq!(column(&survey, &format!("{prefix}mail_outbox.id")).used, 2);
    assert_eq!(survey.without_primary_key, Vec::<String>::new());
    assert_eq!(survey.narrow_foreign_keys, Vec::<String>::new());
    assert_eq!(survey.skipped, Vec::<String>::new());
    assert_eq!(
        survey.transaction_age.is_some(),
        store.backend() == "postgres"
    );
}

#[tokio::test]
async fn sqlite_survey_of_strange_tables() {
    let database = Database::sqlite().await;
    database
        .sql(
            "CREATE TABLE nearly (id INTEGER PRIMARY KEY AUTOINCREMENT); \
             INSERT INTO nearly VALUES (9223372036854775800); DELETE FROM nearly; \
             CREATE TABLE plain (id INTEGER PRIMARY KEY, parent SMALLINT REFERENCES nearly); \
             INSERT INTO plain (id) VALUES (41); \
             CREATE TABLE small (id SMALLINT PRIMARY KEY) WITHOUT ROWID; INSERT INTO small VALUES (32700); \
             CREATE TABLE \"odd \"\"name\" (a INTEGER, child INTEGER REFERENCES nearly (id)); \
             CREATE TABLE worded (id TEXT PRIMARY KEY); CREATE TABLE pair (a INTEGER, b INTEGER, PRIMARY KEY (a, b)); \
             CREATE VIEW seen AS SELECT * FROM plain; CREATE VIRTUAL TABLE words USING fts5 (text)",
        )
        .await;
    let survey = database.store.key_survey().await.unwrap();
    let nearly = column(&survey, "nearly.id");
    assert_eq!(
        (nearly.used, nearly.limit),
        (9_223_372_036_854_775_800, i64::MAX)
    );
    assert_eq!(
        (
            column(&survey, "plain.id").used,
            column(&survey, "plain.id").limit
        ),
        (41, i64::MAX)
    );
    assert_eq!(
        (
            column(&survey, "small.id").used,
            column(&survey, "small.id").limit
        ),
        (32_700, 32_767)
    );
    let names: Vec<_> = survey
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with("worded")
        || name.starts_with("pair")
        || name.starts_with("seen")));
    assert!(
        !names
            .iter()
            .any(|name| name.starts_with("words") || name.starts_with("sqlite_"))
    );
    assert_eq!(survey.without_primary_key, ["odd \"name"]);
    assert_eq!(survey.narrow_foreign_keys, ["plain.parent -> nearly.id"]);
    assert_eq!((survey.transaction_age, survey.multixact_age), (None, None));
}

/// What a catalogue may hold that a simple query trips over.
const STRANGE_TABLES: &str = "CREATE TABLE small (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); \
    SELECT setval(pg_get_serial_sequence('small', 'id'), 32700); \
    CREATE TABLE wide (id smallint PRIMARY KEY DEFAULT 0); CREATE SEQUENCE of_wide OWNED BY wide.id; \
    SELECT setval('of_wide', 32766); \
    CREATE SEQUENCE down INCREMENT -2 MINVALUE -100 MAXVALUE -1 START -1; SELECT setval('down', -61); \
    CREATE SEQUENCE untouched INCREMENT 5 START 10; \
    CREATE TABLE bare (id int PRIMARY KEY); INSERT INTO bare VALUES (2147483000); \
    CREATE TABLE keyless (a int); \
    CREATE TABLE narrow (id bigint PRIMARY KEY, parent smallint REFERENCES bare (id), same int REFERENCES bare (id)); \
    CREATE TABLE root (id bigserial, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k); \
    CREATE TABLE root_1 PARTITION OF root FOR VALUES FROM (0) TO (10); \
    CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); \
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10); INSERT INTO parts VALUES (9); \
    CREATE TABLE named (id uuid PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM bare; \
    CREATE SCHEMA \"Odd\"; CREATE TABLE \"Odd\".\"it's\" (\"a\"\"b\" serial PRIMARY KEY); \
    SELECT setval('\"Odd\".\"it''s_a\"\"b_seq\"', 77)";

#[tokio::test]
async fn postgres_survey_of_strange_tables() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    database.sql(STRANGE_TABLES).await;
    let survey = database.store.key_survey().await.unwrap();
    let read = |name: &str| {
        let KeyColumn {
            used,
            increment,
            limit,
            floor,
            ..
        } = column(&survey, name);
        (*used, *increment, *limit, *floor)
    };
    let (small, int) = (i64::from(i16::MAX), i64::from(i32::MAX));
    assert_eq!(read("public.small.id"), (32_700, 1, small, 1));
    assert_eq!(
        read("public.wide.id"),
        (32_766, 1, small, 1),
        "a bigint sequence ends with its smallint column"
    );
    assert_eq!(read("public.down"), (-61, -2, -1, -100));
    assert_eq!(read("public.untouched"), (5, 5, i64::MAX, 1));
    assert_eq!(
        read("public.bare.id"),
        (2_147_483_000, 1, int, i64::from(i32::MIN))
    );
    assert_eq!(read("public.parts.id").0, 9);
    assert_eq!(read("public.root.id").0, 0);
    assert_eq!(read("Odd.it's.a\"b").0, 77);
    let names: Vec<_> = survey
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    for absent in ["root_1", "parts_1", "named", "seen", "pg_"] {
        assert!(!names.iter().any(|name| name.contains(absent)), "{absent}");
    }
    assert_eq!(survey.without_primary_key, ["public.keyless"]);
    assert_eq!(
        survey.narrow_foreign_keys,
        ["public.narrow.parent -> public.bare.id"]
    );
    let (age, limit) = survey.transaction_age.unwrap();
    assert!(
        age > 0 && age < limit && limit < 1 << 31,
        "{age} of {limit}"
    );
    assert!(survey.multixact_age.is_some());
}

#[tokio::test]
async fn postgres_survey_goes_on_without_a_locked_table() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    database
        .sql("CREATE TABLE busy (id int PRIMARY KEY); CREATE TABLE calm (id int PRIMARY KEY)")
        .await;
    let session = database.session().await;
    session
        .batch_execute("BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let survey = database.store.key_survey().await.unwrap();
    assert_eq!(survey.skipped, ["public.busy.id"]);
    assert_eq!(column(&survey, "public.calm.id").used, 0);
    session.batch_execute("COMMIT").await.unwrap();
    assert!(
        database
            .store
            .key_survey()
            .await
            .unwrap()
            .skipped
            .is_empty()
    );
}
