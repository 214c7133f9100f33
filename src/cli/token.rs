//! `robotd token`: access tokens, made in the database itself, so that a lost admin token is no lock-out.

use clap::Subcommand;

use super::exit::{Exit, Failure, Ran};
use super::node::runtime;
use super::print;
use super::table::table;
use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::domain::access::{Role, token_hash, token_text};
use crate::store::{Store, StoreError};

/// A name is the actor in the audit trail, one column of it.
const NAME_CHARS_MAX: usize = 64;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Make a token and print it, this once
    Create {
        /// What it is called; the audit trail shows it as the actor
        #[arg(long, value_parser = token_name)]
        name: String,
        /// What it may do: viewer, operator or admin
        #[arg(long)]
        role: Role,
    },
    /// List all tokens; the tokens themselves are not kept
    List,
    /// Withdraw a token; it stops working within two seconds
    Revoke {
        /// What it is called
        name: String,
    },
}

pub(super) fn token(config: &Config, what: What) -> Ran {
    runtime()?.block_on(async {
        let store = app::open_store(config).await?;
        match what {
            What::Create { name, role } => create(&store, &name, role).await,
            What::List => list(&store).await,
            What::Revoke { name } => revoke(&store, &name).await,
        }
    })
}

async fn create(store: &Store, name: &str, role: Role) -> Ran {
    let text = token_text(rand::random());
    let made = store.token_create(name, role, token_hash(&text), SystemClock.now());
    match made.await {
        Ok(_) => {
            print::say("this token is shown once and not kept:");
            print::answer(&text)
        }
        Err(StoreError::Conflict { .. }) => Err(Failure::text(
            Exit::CannotCreate,
            format!("create a token: `{name}` is taken by a living one; revoke it first"),
        )),
        Err(error) => Err(error.into()),
    }
}

async fn revoke(store: &Store, name: &str) -> Ran {
    match store.token_revoke(name, SystemClock.now()).await {
        Err(StoreError::NotFound { .. }) => Err(Failure::text(
            Exit::Usage,
            format!(
                "revoke a token: no living one is named `{name}`; `robotd token list` has them"
            ),
        )),
        done => Ok(done?),
    }
}

async fn list(store: &Store) -> Ran {
    let tokens = store.token_list().await?;
    let rows = tokens
        .into_iter()
        .map(|token| {
            let revoked = token
                .revoked_at
                .map_or_else(String::new, |at| at.to_rfc3339());
            let role = token.role.as_str().to_owned();
            [token.name, role, token.created_at.to_rfc3339(), revoked]
        })
        .collect();
    print::answer(&table(["NAME", "ROLE", "CREATED", "REVOKED"], rows))
}

fn token_name(text: &str) -> Result<String, String> {
    let valid = (1..=NAME_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "a name is 1 to {NAME_CHARS_MAX} letters, digits, `.`, `_` or `-`"
        ))
    }
}
