//! Secrets of the node: the master key, the data keys it wraps, what these seal, and files that only their owner may read.
//!
//! Knows no table: what is kept in the database is handed in and out as values.

pub mod admin_token;
pub mod key;
pub mod next_key;
pub mod ring;
pub mod secret_file;
pub mod signer;

pub use admin_token::AdminToken;
pub use key::{MasterKey, mismatch_text};
pub use ring::{KeyRing, SealError, Wrapping};
pub use secret_file::SecretFileError;
pub use signer::Signer;
