//! A node with robots to look at, and ways of asking it what a browser asks.

use std::process::Command;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, redirect};
use serde_json::{Value, json};

use crate::support::form::{form, media};
use crate::support::node::Node;

/// Robots of the operator's own: one is done at once, one goes on and says how far it is, one fails, one writes a long log
/// and ends once there is the file that its payload names.
pub const ROBOTS: &str = r#"
[[robot]]
name = "custom.quick"
command = ["/bin/true"]

[[robot]]
name = "custom.slow"
command = ["/bin/sh", "-c", "echo ::progress 40 copying; exec sleep 60"]
instances = 2

[[robot]]
name = "custom.broken"
command = ["/bin/sh", "-c", "echo 'it broke' >&2; exit 3"]

[[robot]]
name = "custom.chatty"
command = ["/bin/sh", "-c", '''
go_on=$(tr -d '"')
seq -f "line %g of many" 1 1000
printf "\033[31m<script>document.title='owned'</script>\342\200\256\n"
echo "::progress 60 waiting for a file"
while [ ! -e "$go_on" ]; do sleep 0.1; done
echo "it went on"
''']
"#;

/// What is true of a page whose stream is open.
pub const LIVE: &str = "document.querySelector('[data-live-state]').dataset.state === 'live'";

/// A started node with [`ROBOTS`].
pub async fn node() -> Node {
    node_with("").await
}

/// One with more in its configuration.
pub async fn node_with(more: &str) -> Node {
    let mut node = Node::new(&format!("{ROBOTS}{more}"));
    node.start().await;
    node
}

/// Runs a command on the node's own database.
pub fn robotd(node: &Node, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_robotd"))
        .args(arguments)
        .args(["--data-dir", node.data_dir().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A new token of a role, which is its name too.
pub fn token(node: &Node, role: &str) -> String {
    token_of(node, role, role)
}

/// A new token of a name and a role.
pub fn token_of(node: &Node, name: &str, role: &str) -> String {
    let printed = robotd(node, &["token", "create", "--name", name, "--role", role]);
    let token = printed
        .split_whitespace()
        .find(|word| word.starts_with("rbt_"))
        .expect("a token is printed");
    token.to_owned()
}

/// A task of this definition that somebody with another token begins; its id.
pub async fn asked(node: &Node, token: &str, definition: &Value) -> String {
    let task = json!({"robot": "task_manager.executor", "payload": {"definition": definition}});
    let asked = Client::new()
        .post(format!("{}/api/v1/tasks", node.url()))
        .bearer_auth(token)
        .json(&task);
    let made: Value = asked.send().await.unwrap().json().await.unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// Somebody who asks for pages without a browser.
pub struct Visitor {
    client: Client,
    base: String,
    cookie: String,
}

impl Visitor {
    /// Somebody who is not signed in.
    pub fn stranger(node: &Node) -> Self {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            client,
            base: node.url(),
            cookie: String::new(),
        }
    }

    /// Somebody who is.
    pub async fn signed_in(node: &Node, token: &str) -> Self {
        let mut visitor = Self::stranger(node);
        let answer = visitor.post("/sign-in", &[("token", token)]).await;
        assert_eq!(answer.status(), 303);
        visitor.cookie = cookie(answer.headers());
        visitor
    }

    pub async fn get(&self, path: &str) -> Response {
        let request = self
            .client
            .get(format!("{}{path}", self.base))
            .header("accept", "text/html")
            .header(COOKIE, &self.cookie);
        request.send().await.unwrap()
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.post_from(path, fields, &self.base).await
    }

    /// Posts a form as a page of another origin would.
    pub async fn post_from(&self, path: &str, fields: &[(&str, &str)], origin: &str) -> Response {
        let body = fields
            .iter()
            .fold(
                form_urlencoded::Serializer::new(String::new()),
                |mut body, (name, value)| {
                    body.append_pair(name, value);
                    body
                },
            )
            .finish();
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", origin)
            .header(COOKIE, &self.cookie)
            .body(body);
        request.send().await.unwrap()
    }

    /// Sends a file as the form of imports does.
    pub async fn send_file(&self, path: &str, form_token: &str, file: &[u8]) -> Response {
        let proof = ("form_token", None, form_token.as_bytes());
        let fields: [(&str, Option<&str>, &[u8]); 3] = [
            proof,
            ("mode", None, b"validate"),
            ("file", Some("a.csv"), file),
        ];
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("accept", "text/html")
            .header("content-type", media())
            .header("origin", &self.base)
            .header(COOKIE, &self.cookie)
            .body(form(&fields));
        request.send().await.unwrap()
    }

    /// What forms of this session carry.
    pub async fn form_token(&self) -> String {
        let page = self.get("/robots").await.text().await.unwrap();
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

/// The cookie that an answer sets, as a browser sends it back.
pub fn cookie(headers: &HeaderMap) -> String {
    let set = headers.get(SET_COOKIE).unwrap().to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// Where an answer leads.
pub fn leads_to(answer: &Response) -> &str {
    answer.headers().get(LOCATION).unwrap().to_str().unwrap()
}
