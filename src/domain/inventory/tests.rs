//! The nouns against the rules that hold for all of them.

use serde_json::json;

use super::*;

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

/// A body of each noun with nothing but what it must have.
fn least(noun: Noun) -> Fields {
    fields(match noun {
        Noun::Site | Noun::CredentialPolicy | Noun::UserGroup => json!({"name": "a"}),
        Noun::Device => json!({"hostname": "web1", "address": "192.0.2.1"}),
        Noun::Credential => json!({"device": "1", "username": "root", "automatic_change": true}),
        Noun::User => json!({"login": "ana"}),
        Noun::Certificate => json!({"certificate": CERTIFICATE}),
        Noun::OperationTemplate => {
            json!({"name": "a", "kind": "run_command", "protocol": "ssh", "steps": "id"})
        }
        Noun::CertificateIssuer => json!({"name": "a", "kind": "internal"}),
        Noun::CertificateAutomation => json!({"name": "a", "issuer": "1", "names": ["a.example"]}),
        Noun::CertificateBinding => {
            json!({"name": "a", "automation": "1", "credential": "1", "directory": "/a", "reload": ["/b"]})
        }
        Noun::TaskDefinition => json!({"name": "a", "kind": "test", "username": "root"}),
    })
}

/// `openssl req -x509 -newkey ed25519 -nodes -days 36500 -subj '/CN=a.example' -addext subjectAltName=DNS:a.example,IP:192.0.2.1`
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBWzCCAQ2gAwIBAgIUbEbEkNwu4mD3Ka3UdFpKB0uaFNcwBQYDK2VwMBQxEjAQ
BgNVBAMMCWEuZXhhbXBsZTAgFw0yNjExMjUxODM5NTBaGA8yMTI2MTEwMTE4Mzk1
MFowFDESMBAGA1UEAwwJYS5leGFtcGxlMCowBQYDK2VwAyEA7fEO8x9KDrhHcC/u
QHxv/vKc+J5gfL6gq9jY3PliGO2jbzBtMB0GA1UdDgQWBBSnEbHIVaYVyxI1JkhP
7h+8kk77GTAfBgNVHSMEGDAWgBSnEbHIVaYVyxI1JkhP7h+8kk77GTAPBgNVHRMB
Af8EBTADAQH/MBoGA1UdEQQTMBGCCWEuZXhhbXBsZYcEwAACATAFBgMrZXADQQBR
5QFM1E5lAfXIIvBmuk6njSE0Ce5SMpTEYnSS+iB6MZEQFbUKXXgCWuzSW6EsZx4S
gcx7WlMErcHkNnNJsWwI
-----END CERTIFICATE-----
";

fn errors(noun: Noun, change: Value) -> Vec<String> {
    let mut body = least(noun);
    patch::merge_patch(&mut body, &fields(change));
    match (noun.spec().read)(body) {
        Ok(checked) => panic!("{:?} was accepted", checked.body),
        Err(errors) => errors.into_iter().map(|error| error.field).collect(),
    }
}

#[test]
fn every_noun_is_read_back_as_it_is_kept() {
    for noun in Noun::ALL {
        let checked = (noun.spec().read)(least(noun)).unwrap();
        let again = (noun.spec().read)(checked.body.clone()).unwrap();
        assert_eq!(again, checked, "{noun:?}");
        let named: Vec<_> = noun.spec().columns.iter().map(|c| c.field).collect();
        for field in named {
            assert!(checked.body.contains_key(field), "{noun:?}.{field}");
        }
    }
}

#[test]
fn no_two_nouns_share_a_word_a_path_or_a_table() {
    for part in [
        |spec: &NounSpec| spec.word,
        |spec: &NounSpec| spec.path,
        |spec: &NounSpec| spec.table,
    ] {
        let different: std::collections::HashSet<_> =
            Noun::ALL.iter().map(|noun| part(noun.spec())).collect();
        assert_eq!(different.len(), Noun::ALL.len());
    }
}

#[test]
fn bad_fields_are_named() {
    for (noun, change, field) in [
        (Noun::Site, json!({"name": ""}), "name"),
        (Noun::Site, json!({"nmae": "b"}), "nmae"),
        (Noun::Site, json!({"name": null}), "name"),
        (Noun::Device, json!({"site": "x"}), "site"),
        (Noun::Device, json!({"site": 7}), "site"),
        (
            Noun::Device,
            json!({"connectivities": [["ssh", 22]]}),
            "connectivities[0]",
        ),
        (
            Noun::Device,
            json!({"connectivities": [{"protocol": "ssh", "port": 22}, {"protocol": "ssh", "port": 22}]}),
            "connectivities[1].port",
        ),
        (
            Noun::Device,
            json!({"connectivities": [{"protocol": "gopher", "port": 70}]}),
            "connectivities[0].protocol",
        ),
        (
            Noun::Device,
            json!({"connectivities": [{"protocol": "ssh", "port": 0}]}),
            "connectivities[0].port",
        ),
        (
            Noun::Device,
            json!({"connectivities": [{"protocol": "ssh", "port": 22, "host_key": "anything"}]}),
            "connectivities[0].host_key",
        ),
        (Noun::Device, json!({"address": "a b"}), "address"),
        (
            Noun::Credential,
            json!({"automatic_change": null}),
            "automatic_change",
        ),
        (Noun::Credential, json!({"secret": "x"}), "secret"),
        (
            Noun::Credential,
            json!({"parent": "2", "domain": "corp"}),
            "parent",
        ),
        (
            Noun::Credential,
            json!({"expires_at": "9999-01-01T00:00:00Z"}),
            "expires_at",
        ),
    ] {
        let found = errors(noun, change.clone());
        assert_eq!(found, [field], "{noun:?} {change}");
    }
}

#[test]
fn bad_fields_of_the_other_nouns_are_named() {
    for (noun, change, field) in [
        (
            Noun::CredentialPolicy,
            json!({"max_age": "PT0S"}),
            "max_age",
        ),
        (
            Noun::CredentialPolicy,
            json!({"wait_after_view": "P8D"}),
            "wait_after_view",
        ),
        (
            Noun::CredentialPolicy,
            json!({"wait_after_view": "PT2H", "expires_after_view": "PT1H"}),
            "wait_after_view",
        ),
        (
            Noun::CredentialPolicy,
            json!({"password": [24]}),
            "password",
        ),
        (
            Noun::CredentialPolicy,
            json!({"password": {"length": 8, "upper": 9}}),
            "password.length",
        ),
        (
            Noun::CredentialPolicy,
            json!({"password": {"symbols_allowed": ""}}),
            "password.symbols_allowed",
        ),
        (Noun::User, json!({"email": "@x"}), "email"),
        (Noun::User, json!({"timezone": "Mars/Olympus"}), "timezone"),
        (
            Noun::UserGroup,
            json!({"members": ["1", "1"]}),
            "members[1]",
        ),
        (
            Noun::Certificate,
            json!({"certificate": "x"}),
            "certificate",
        ),
        (
            Noun::Certificate,
            json!({"certificate": CERTIFICATE.replace("CERTIFICATE", "PRIVATE KEY")}),
            "certificate",
        ),
    ] {
        let found = errors(noun, change.clone());
        assert_eq!(found, [field], "{noun:?} {change}");
    }
}

#[test]
fn bad_fields_of_what_is_run_are_named() {
    for (noun, change, field) in [
        (
            Noun::OperationTemplate,
            json!({"steps": "\u{1b}[0m"}),
            "steps",
        ),
        (
            Noun::OperationTemplate,
            json!({"steps": "echo \"unterminated"}),
            "steps",
        ),
        (
            Noun::OperationTemplate,
            json!({"kind": "change_password"}),
            "steps",
        ),
        (
            Noun::OperationTemplate,
            json!({"protocol": "ldap"}),
            "protocol",
        ),
        (Noun::TaskDefinition, json!({"username": null}), "devices"),
        (
            Noun::TaskDefinition,
            json!({"devices": ["1", "1"]}),
            "devices[1]",
        ),
        (Noun::TaskDefinition, json!({"template": "1"}), "template"),
        (Noun::TaskDefinition, json!({"stop_after": 0}), "stop_after"),
        (
            Noun::TaskDefinition,
            json!({"schedule": {"every": "PT90S"}}),
            "schedule",
        ),
        (
            Noun::TaskDefinition,
            json!({"schedule": {"cron": "61 * * * *"}}),
            "schedule",
        ),
        (
            Noun::TaskDefinition,
            json!({"expires_after": "PT1S"}),
            "expires_after",
        ),
    ] {
        let found = errors(noun, change.clone());
        assert_eq!(found, [field], "{noun:?} {change}");
    }
}

#[test]
fn a_certificates_facts_are_those_openssl_prints() {
    let checked = (Noun::Certificate.spec().read)(least(Noun::Certificate)).unwrap();
    let expected = json!({
        "fingerprint": "5e48cce1660194e8753e63536a168e3818748378668cdd3cbc9696036b03cbbf",
        "serial": "6c46c490dc2ee260f729add4745a4a074b9a14d7",
        "subject": "CN=a.example",
        "issuer": "CN=a.example",
        "names": ["a.example", "192.0.2.1"],
        "not_before": "2026-11-25T18:39:50Z",
        "not_after": "2126-11-01T18:39:50Z",
    });
    assert_eq!(Value::Object(checked.derived), expected);
}

#[test]
fn others_are_told_of_what_they_wait_for() {
    let nothing = Fields::new();
    let off = fields(json!({"enabled": false}));
    let on = fields(json!({"enabled": true}));
    let told = |noun: Noun, happening: Happening<'_>| (noun.spec().events)(&happening);
    let changed = |before, after, secret| Happening::Changed {
        before,
        after,
        secret,
    };
    assert_eq!(
        told(Noun::User, changed(&on, &off, false)),
        ["user.disabled"]
    );
    assert_eq!(
        told(Noun::User, changed(&off, &on, false)),
        ["user.changed"]
    );
    assert_eq!(told(Noun::User, Happening::Deleted), ["user.disabled"]);
    assert_eq!(
        told(Noun::Credential, changed(&nothing, &nothing, true)),
        ["credential.password_changed"]
    );
    assert_eq!(
        told(Noun::Credential, changed(&on, &off, true)),
        ["credential.changed", "credential.password_changed"]
    );
    assert!(told(Noun::Certificate, Happening::Deleted).is_empty());
}

#[test]
fn a_protocol_has_one_name() {
    let of_all = [
        Protocol::Ssh,
        Protocol::WindowsRpc,
        Protocol::Smb,
        Protocol::Rdp,
        Protocol::Postgresql,
        Protocol::Mysql,
        Protocol::Ldap,
        Protocol::Ldaps,
        Protocol::Http,
        Protocol::Https,
        Protocol::Tls,
        Protocol::Telnet,
        Protocol::Vnc,
    ];
    for protocol in of_all {
        let name = serde_json::to_value(protocol).unwrap();
        assert_eq!(name, protocol.as_str());
    }
}
