//! Identities. In the databases a BIGINT, on the wire a string.

use std::fmt;
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
    /// One start of robotd. Every start takes a new one, so that a node that was declared dead can
    /// never be mistaken for the living one on the same host.
    NodeId
);
