//! The statements that change a role.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::operation::Admission;

/// `ALTER ROLE` with the verifier of the password, under a fresh salt.
///
/// The verifier does not sign in, but whoever reads it can try passwords against it in peace, so
/// that the statement is kept from logs all the same.
pub(super) fn alter_role(role: &str, password: &SecretString) -> String {
    let verifier = scram_sha_256(password.expose_secret().as_bytes());
    format!(
        "ALTER ROLE {} PASSWORD {}",
        escape_identifier(role),
        escape_literal(&verifier)
    )
}

/// `ALTER ROLE` that opens a role for signing in, or closes it. Sessions that are open stay.
pub(super) fn alter_role_login(role: &str, admission: Admission) -> String {
    let how = match admission {
        Admission::Open => "LOGIN",
        Admission::Closed => "NOLOGIN",
    };
    format!("ALTER ROLE {} {how}", escape_identifier(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_quoted_and_the_password_is_not_in_it() {
        let password = SecretString::from("Right-Horse-7");
        let statement = alter_role("a\"; DROP ROLE b; --", &password);
        let start = "ALTER ROLE \"a\"\"; DROP ROLE b; --\" PASSWORD 'SCRAM-SHA-256$4096:";
        assert!(statement.starts_with(start), "{statement}");
        assert!(!statement.contains("Right-Horse-7"));
        assert_ne!(statement, alter_role("a\"; DROP ROLE b; --", &password));
    }
}
