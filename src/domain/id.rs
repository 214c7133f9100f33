//! Identities. In the databases a BIGINT, on the wire a string.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match text.parse::<i64>() {
                    Ok(id) if id > 0 => Ok(Self(id)),
                    _ => Err(InvalidId),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// The text is not the decimal form of a positive 63-bit integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is a positive decimal number written as a string")]
pub struct InvalidId;

id!(
    /// A robot's row. Robots are named on the wire; the id stays inside.
    RobotId
);
id!(
    /// A registered piece of work.
    TaskId
);
id!(
    /// One started run; also the fence: a result is accepted only for the task's current process.
    ProcessId
);
id!(
    /// An accepted event.
    EventId
);
id!(
    /// A thing of the inventory. All nouns draw on one series, so that an id names one thing whatever its noun.
    InventoryId
);
id!(
    /// Something to be done to a credential's account.
    OperationId
);
id!(
    /// An uploaded file that becomes things of the inventory.
    ImportId
);
id!(
    /// One start of robotd. Every start takes a new one, so that a node that was declared dead can
    /// never be mistaken for the living one on the same host.
    NodeId
);

/// A map by ids or other small numbers that are ours. Nobody outside chooses them, so the keys need no
/// protection from whoever would make them collide, which costs more than all else in a look-up.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Leaves the low bits as they are, so that neighbours are neighbours in memory, and fills the high ones, by
/// which a map tells apart what stands together; see [`IdMap`].
#[derive(Debug, Clone, Copy, Default)]
pub struct IdHasher(u64);

/// 2^64 over the golden ratio, made odd.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The bits that are filled.
const HIGH: u64 = 0xffff_0000_0000_0000;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let number = self.0.rotate_left(8) ^ number;
        self.0 = number ^ (number.wrapping_mul(SPREAD) & HIGH);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }
}
