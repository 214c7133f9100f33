//! Secrets of the node: the master key, and files that only their owner may read.
//!
//! Knows no table: what is kept in the database is handed in and out as values.

pub mod admin_token;
pub mod key;
pub mod secret_file;

pub use admin_token::AdminToken;
pub use key::{MasterKey, mismatch_text};
pub use secret_file::SecretFileError;
