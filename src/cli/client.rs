//! A running node, spoken to over HTTP.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::exit::{Exit, Failure};
use super::node::runtime;
use super::print::plain;
use crate::config::{Flags, LISTEN_DEFAULT, data_dir};
use crate::vault::{AdminToken, secret_file};

/// A node on the same machine answers at once; over a slow line this is still long.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Which node, and who asks.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these texts are shown by --help as they are"
)]
pub(crate) struct NodeFlags {
    /// Where the node is [default: http:// and the address of --listen]
    #[arg(long, value_name = "URL", env = "ROBOTD_URL", global = true, value_parser = url)]
    url: Option<Url>,

    /// The token; give it by this variable or a file, not as an argument that others can see
    #[arg(
        long,
        value_name = "TOKEN",
        env = "ROBOTD_TOKEN",
        hide_env_values = true,
        global = true,
        hide = true
    )]
    token: Option<String>,

    /// A file with the token [default: DATA_DIR/admin.token; ROBOTD_TOKEN wins]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

/// A node and a token.
pub(super) struct Node {
    http: reqwest::Client,
    url: Url,
    token: SecretString,
    runtime: tokio::runtime::Runtime,
}

/// The address of a node as people give it.
fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| {
            "must begin with http:// or https://, as http://127.0.0.1:7070 does".to_owned()
        })
}

impl NodeFlags {
    /// Finds the token and prepares to speak.
    pub(super) fn client(&self, flags: &Flags) -> Result<Node, Failure> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => url(&format!(
                "http://{}",
                flags.listen.unwrap_or(LISTEN_DEFAULT)
            ))
            .map_err(|error| Failure::text(Exit::Software, error))?,
        };
        let token = match (&self.token_file, &self.token) {
            (Some(file), _) => secret_file::read(file),
            (None, Some(token)) => Ok(SecretString::from(token.as_str())),
            (None, None) => AdminToken::read(&data_dir(flags)),
        };
        let token = token.map_err(|error| {
            let text = format!("{error}; say which token by ROBOTD_TOKEN or --token-file");
            Failure::text(Exit::NotAllowed, text)
        })?;
        let http = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("robotd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(Exit::Software, error))?;
        Ok(Node {
            http,
            url,
            token,
            runtime: runtime()?,
        })
    }
}

impl Node {
    /// Threads for waiting.
    pub(super) const fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    /// `GET` of a path below `/api/v1`.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.ask(Method::GET, path, query, None).await
    }

    /// `POST` to a path below `/api/v1`.
    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.ask(Method::POST, path, &[], body).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut url = self.url.clone();
        url.set_path(&format!(
            "{}/api/v1{path}",
            self.url.path().trim_end_matches('/')
        ));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let text = response
            .text()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            Ok(answer)
        } else {
            Err(problem(status, &answer))
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let place = self.url.origin().ascii_serialization();
        let text = format!("reach a node at {place}: {cause}; is `robotd serve` running?");
        Failure::text(Exit::Unavailable, text)
    }
}

/// What an answer of RFC 9457 says, for a person.
fn problem(status: StatusCode, problem: &Value) -> Failure {
    let word = |key: &str| problem.get(key).and_then(Value::as_str).map(plain);
    let mut text = format!(
        "get this done: {}",
        word("title").unwrap_or_else(|| status.to_string())
    );
    if let Some(detail) = word("detail") {
        text.push_str(": ");
        text.push_str(&detail);
    }
    let errors = problem.get("errors").and_then(Value::as_array);
    for error in errors.into_iter().flatten() {
        let word = |key: &str| error.get(key).and_then(Value::as_str).map(plain);
        let (field, detail) = (word("field"), word("detail"));
        text.push_str(&format!(
            "\n  {}: {}",
            field.unwrap_or_default(),
            detail.unwrap_or_default()
        ));
    }
    Failure::text(exit_of(status), text)
}

fn exit_of(status: StatusCode) -> Exit {
    match status.as_u16() {
        401 | 403 => Exit::NotAllowed,
        400 | 413 | 415 | 422 => Exit::Data,
        408 | 429 | 502..=504 => Exit::TryAgain,
        500..=599 => Exit::Software,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_names_its_fields() {
        let answer = json!({
            "title": "The content is not acceptable", "status": 422, "detail": "two fields",
            "errors": [{"field": "priority", "detail": "must lie between 0 and 9"}],
        });
        let failure = problem(StatusCode::UNPROCESSABLE_ENTITY, &answer);
        assert_eq!(failure.exit, Exit::Data);
        let text = failure.error.unwrap().to_string();
        assert!(
            text.ends_with("two fields\n  priority: must lie between 0 and 9"),
            "{text}"
        );
        let bare = problem(StatusCode::FORBIDDEN, &Value::Null);
        assert_eq!(bare.exit, Exit::NotAllowed);
        assert!(bare.error.unwrap().to_string().contains("403"));
    }
}
