//! The audit trail as a chain: each entry carries the hash of the one before it.
//!
//! A row that is changed, removed or moved breaks the chain from there on, so that
//! tampering in the database shows. Cutting off the newest entries does not break the
//! chain; it shows against the copies that went to syslog, which carry the hash.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::hex::hexadecimal;
use super::time::Timestamp;

/// The `prev_hash` of the first entry: there is nothing before it.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Names the encoding inside the hash, so that a later one cannot collide with it.
const ENCODING: &str = "robotd-audit-1";

/// One change that somebody made, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Rises by at least one from entry to entry.
    pub id: i64,
    /// When it was made, to the microsecond.
    pub at: Timestamp,
    /// Who made it: a token's name, `system`, or `config` for the file.
    pub actor: String,
    /// What was done, such as `robot.settings_changed`.
    pub action: String,
    /// What it was done to, such as `robot/mail.email_sender`.
    pub object: String,
    /// How the object was before; `None` for something created.
    pub before: Option<Value>,
    /// How the object is after; `None` for something removed.
    pub after: Option<Value>,
    /// The hash of the entry before, [`GENESIS_HASH`] for the first.
    pub prev_hash: String,
    /// The hash of this entry, see [`chain_hash`].
    pub hash: String,
}

impl AuditEntry {
    /// The hash this entry must carry, computed from its fields.
    #[must_use]
    pub fn expected_hash(&self) -> String {
        chain_hash(
            &self.prev_hash,
            &AuditFields {
                id: self.id,
                at: self.at,
                actor: &self.actor,
                action: &self.action,
                object: &self.object,
                before: self.before.as_ref(),
                after: self.after.as_ref(),
            },
        )
    }
}

/// What an entry's hash covers beside the hash before it.
#[derive(Debug, Clone, Copy)]
pub struct AuditFields<'a> {
    /// See [`AuditEntry::id`].
    pub id: i64,
    /// See [`AuditEntry::at`]; parts of a microsecond are not covered, they are not kept.
    pub at: Timestamp,
    /// See [`AuditEntry::actor`].
    pub actor: &'a str,
    /// See [`AuditEntry::action`].
    pub action: &'a str,
    /// See [`AuditEntry::object`].
    pub object: &'a str,
    /// See [`AuditEntry::before`].
    pub before: Option<&'a Value>,
    /// See [`AuditEntry::after`].
    pub after: Option<&'a Value>,
}

/// The hash of an entry: SHA-256 in lower-case hexadecimal.
///
/// The digest covers these parts in order, each after its length in bytes as a 64-bit
/// big-endian number, so that no two different entries give the same bytes: the encoding's
/// name, `prev_hash`, the id and the microseconds since 1970 (both 64-bit big-endian, two's
/// complement), actor, action, object, before, after. A value is the byte 1 and its JSON
/// with sorted keys and without spaces; a value that is absent is the byte 0, which keeps
/// it apart from JSON `null`. Numbers are covered as they are written: `1` is not `1.0`.
#[must_use]
pub fn chain_hash(prev_hash: &str, fields: &AuditFields<'_>) -> String {
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // A length fits 64 bits on every platform Rust knows.
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    part(ENCODING.as_bytes());
    part(prev_hash.as_bytes());
    part(&fields.id.to_be_bytes());
    part(&fields.at.timestamp_micros().to_be_bytes());
    part(fields.actor.as_bytes());
    part(fields.action.as_bytes());
    part(fields.object.as_bytes());
    part(&value_bytes(fields.before));
    part(&value_bytes(fields.after));
    hexadecimal(&digest.finalize())
}

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("verify the audit trail: it does not hold at entry `{at_id}`")]
pub struct ChainBreak {
    /// The first entry that does not fit the one before it or its own hash.
    pub at_id: i64,
}

/// Checks entries in the order of their ids; returns the hash of the last one.
///
/// `prev_hash` is what the first of them must follow: [`GENESIS_HASH`] for the whole
/// trail, or the hash of the entry before when a trail is checked in pieces. No entries
/// hold trivially.
///
/// # Errors
///
/// [`ChainBreak`] names the first entry whose id does not rise, whose `prev_hash` is not
/// the hash before it, or whose fields do not give its hash.
pub fn verify<'a>(
    prev_hash: &str,
    entries: impl IntoIterator<Item = &'a AuditEntry>,
) -> Result<String, ChainBreak> {
    let mut last_hash = prev_hash.to_owned();
    let mut last_id = None;
    for entry in entries {
        let holds = last_id.is_none_or(|last| entry.id > last)
            && entry.prev_hash == last_hash
            && entry.hash == entry.expected_hash();
        if !holds {
            return Err(ChainBreak { at_id: entry.id });
        }
        last_id = Some(entry.id);
        last_hash.clone_from(&entry.hash);
    }
    Ok(last_hash)
}

fn value_bytes(value: Option<&Value>) -> Vec<u8> {
    let Some(value) = value else {
        return vec![0];
    };
    let mut bytes = vec![1];
    push_canonical(value, &mut bytes);
    bytes
}

/// Writes JSON with sorted keys, whatever order the parser or a database kept.
fn push_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                push_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            for (place, (name, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                out.extend(Value::from(name.as_str()).to_string().bytes());
                out.push(b':');
                push_canonical(member, out);
            }
            out.push(b'}');
        }
        scalar => out.extend(scalar.to_string().bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone};
    use proptest::prelude::*;
    use serde_json::json;

    fn chained(mut entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
        let mut prev = GENESIS_HASH.to_owned();
        for (id, entry) in (1..).zip(&mut entries) {
            entry.id = id;
            entry.prev_hash = prev;
            entry.hash = entry.expected_hash();
            prev = entry.hash.clone();
        }
        entries
    }

    fn entry(actor: &str) -> AuditEntry {
        AuditEntry {
            id: 1,
            at: chrono::Utc.timestamp_micros(1_790_000_000_000_001).unwrap(),
            actor: actor.to_owned(),
            action: "robot.settings_changed".to_owned(),
            object: "robot/mail.email_sender".to_owned(),
            before: Some(json!({"instances": 1})),
            after: Some(json!({"instances": 2, "enabled": true})),
            prev_hash: GENESIS_HASH.to_owned(),
            hash: String::new(),
        }
    }

    /// The value was computed by a program of its own from the description.
    #[test]
    fn the_hash_does_not_change_between_releases() {
        assert_eq!(
            entry("ana").expected_hash(),
            "68f028d1ef8bcbe7856a9ebe5d270ed9e7023aedd2fcbbbb0fbc580be1881fa6"
        );
    }

    #[test]
    fn text_cannot_move_from_one_field_to_the_next() {
        let mut left = entry("ana");
        left.action = "bc".to_owned();
        let mut right = entry("anab");
        right.action = "c".to_owned();
        assert_ne!(left.expected_hash(), right.expected_hash());
    }

    #[test]
    fn absent_is_not_null_and_the_order_of_keys_means_nothing() {
        let mut absent = entry("ana");
        absent.before = None;
        let mut null = entry("ana");
        null.before = Some(Value::Null);
        assert_ne!(absent.expected_hash(), null.expected_hash());

        let mut other_order = entry("ana");
        other_order.after =
            Some(serde_json::from_str(r#"{"enabled":true,"instances":2}"#).unwrap());
        assert_eq!(other_order.expected_hash(), entry("ana").expected_hash());
    }

    #[test]
    fn a_trail_can_be_checked_in_pieces() {
        let trail = chained(vec![entry("a"), entry("b"), entry("c")]);
        let (first, rest) = trail.split_at(1);
        let reached = verify(GENESIS_HASH, first).unwrap();
        assert_eq!(verify(&reached, rest), Ok(trail[2].hash.clone()));
        assert_eq!(verify(GENESIS_HASH, rest), Err(ChainBreak { at_id: 2 }));
        assert_eq!(verify(GENESIS_HASH, []), Ok(GENESIS_HASH.to_owned()));
    }

    #[test]
    fn ids_must_rise_even_where_the_hashes_fit() {
        let mut second = entry("b");
        let first = chained(vec![entry("a")]).remove(0);
        second.prev_hash.clone_from(&first.hash);
        second.hash = second.expected_hash();
        assert_eq!(
            verify(GENESIS_HASH, &[first, second]),
            Err(ChainBreak { at_id: 1 })
        );
    }

    fn any_value() -> impl Strategy<Value = Option<Value>> {
        proptest::option::of(prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            proptest::collection::btree_map(".{0,4}", any::<i32>(), 0..4)
                .prop_map(|members| json!(members)),
        ])
    }

    fn any_trail() -> impl Strategy<Value = Vec<AuditEntry>> {
        let row = (
            any::<i32>(),
            proptest::array::uniform3(".{0,8}"),
            any_value(),
            any_value(),
        )
            .prop_map(
                |(seconds, [actor, action, object], before, after)| AuditEntry {
                    at: chrono::Utc.timestamp_opt(i64::from(seconds), 0).unwrap(),
                    actor,
                    action,
                    object,
                    before,
                    after,
                    ..entry("")
                },
            );
        proptest::collection::vec(row, 2..8).prop_map(chained)
    }

    /// Changes one field; what it changes it to is never what it was.
    fn tamper(entry: &mut AuditEntry, field: usize) {
        let other = |value: &Option<Value>| match value {
            Some(value) => Some(json!([value])),
            None => Some(Value::Null),
        };
        match field {
            0 => entry.id += 1_000,
            1 => entry.at += TimeDelta::microseconds(1),
            2 => entry.actor.push('x'),
            3 => entry.action.push('x'),
            4 => entry.object.push('x'),
            5 => entry.before = other(&entry.before),
            6 => entry.after = other(&entry.after),
            7 => entry.prev_hash = hexadecimal(&Sha256::digest(&entry.prev_hash)),
            _ => entry.hash = hexadecimal(&Sha256::digest(&entry.hash)),
        }
    }

    proptest! {
        #[test]
        fn an_untouched_trail_holds(trail in any_trail()) {
            prop_assert!(verify(GENESIS_HASH, &trail).is_ok());
        }

        #[test]
        fn any_changed_field_is_found_at_its_row(
            trail in any_trail(), row in any::<proptest::sample::Index>(), field in 0_usize..9,
        ) {
            let mut trail = trail;
            let row = row.index(trail.len());
            tamper(&mut trail[row], field);
            let at_id = trail[row].id;
            prop_assert_eq!(verify(GENESIS_HASH, &trail), Err(ChainBreak { at_id }));
        }

        #[test]
        fn a_removed_row_is_found_unless_it_was_the_last(
            trail in any_trail(), row in any::<proptest::sample::Index>(),
        ) {
            let mut trail = trail;
            let row = row.index(trail.len() - 1);
            trail.remove(row);
            prop_assert_eq!(verify(GENESIS_HASH, &trail), Err(ChainBreak { at_id: trail[row].id }));
        }

        #[test]
        fn two_rows_that_change_places_are_found(
            trail in any_trail(), rows in any::<[proptest::sample::Index; 2]>(),
        ) {
            let mut trail = trail;
            let [left, right] = rows.map(|row| row.index(trail.len()));
            prop_assume!(left != right);
            trail.swap(left, right);
            prop_assert!(verify(GENESIS_HASH, &trail).is_err());
        }

        #[test]
        fn a_row_put_in_between_is_found(
            trail in any_trail(), row in any::<proptest::sample::Index>(),
        ) {
            let mut trail = trail;
            let row = row.index(trail.len());
            let mut forged = trail[row].clone();
            forged.actor.push('x');
            forged.hash = forged.expected_hash();
            trail.insert(row, forged);
            prop_assert!(verify(GENESIS_HASH, &trail).is_err());
        }
    }
}
