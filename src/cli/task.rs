//! `robotd task`: work on a running node.

use clap::Subcommand;
use serde_json::{Map, Value};

use super::client::Node;
use super::exit::{Exit, Failure, Ran};
use super::print;
use super::table::table;
use crate::domain::id::TaskId;
use crate::domain::task::TaskStatus;

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Register work for a robot and print the task's id
    Add(Box<Order>),
    /// List tasks, newest first
    List {
        /// Only this robot's
        #[arg(long)]
        robot: Option<String>,
        /// Only those that stand so
        #[arg(long)]
        status: Option<TaskStatus>,
        /// How many, 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one task, as JSON
    Show {
        /// The task's id
        id: TaskId,
    },
    /// Cancel a task; a running one is asked to stop
    Cancel {
        /// The task's id
        id: TaskId,
    },
    /// Queue an ended task again
    Retry {
        /// The task's id
        id: TaskId,
    },
}

/// A task as it is ordered.
#[derive(Debug, clap::Args)]
pub(crate) struct Order {
    /// Whose work
    robot: String,
    /// The work, as JSON
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// 0 to 9, higher runs first
    #[arg(long)]
    priority: Option<i16>,
    /// Not before this instant, such as 2030-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
    /// No attempt after this instant
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// The same key of the same robot is the same task
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// How often it is tried in all
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
}

pub(super) fn task(node: &Node, what: What) -> Ran {
    node.runtime().block_on(async {
        match what {
            What::Add(order) => {
                let body = order.body()?;
                let task = node.post("/tasks", Some(&body)).await?;
                print::answer(&text(&task, "id"))
            }
            What::List {
                robot,
                status,
                limit,
                json,
            } => {
                let mut query = vec![("limit", limit.to_string())];
                query.extend(robot.map(|robot| ("robot", robot)));
                query.extend(status.map(|status| ("status", status.to_string())));
                let page = node.get("/tasks", &query).await?;
                print::answer(&if json {
                    format!("{page:#}")
                } else {
                    rows(&page)
                })
            }
            What::Show { id } => {
                let task = node.get(&format!("/tasks/{id}"), &[]).await?;
                print::answer(&format!("{task:#}"))
            }
            What::Cancel { id } => told(node, id, "cancel").await,
            What::Retry { id } => told(node, id, "retry").await,
        }
    })
}

async fn told(node: &Node, id: TaskId, what: &str) -> Ran {
    let task = node.post(&format!("/tasks/{id}/{what}"), None).await?;
    print::answer(&format!("{id} {}", text(&task, "status")))
}

impl Order {
    /// The body of `POST /tasks`, with the fields that were given.
    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        };
        put("robot", Some(Value::from(self.robot.as_str())));
        put("payload", payload(self.payload.as_deref())?);
        put("priority", self.priority.map(Value::from));
        put("run_at", self.run_at.as_deref().map(Value::from));
        put("deadline", self.deadline.as_deref().map(Value::from));
        put("unique_key", self.unique_key.as_deref().map(Value::from));
        put("max_attempts", self.max_attempts.map(Value::from));
        Ok(Value::Object(body))
    }
}

/// The JSON of `--payload`.
pub(super) fn payload(written: Option<&str>) -> Result<Option<Value>, Failure> {
    written
        .map(|text| {
            serde_json::from_str(text).map_err(|error| {
                Failure::text(Exit::Usage, format!("read --payload as JSON: {error}"))
            })
        })
        .transpose()
}

fn rows(page: &Value) -> String {
    let items = page.get("items").and_then(Value::as_array);
    let rows = items
        .into_iter()
        .flatten()
        .map(|task| {
            let attempts = format!("{}/{}", text(task, "attempts"), text(task, "max_attempts"));
            [
                text(task, "id"),
                text(task, "robot"),
                text(task, "status"),
                attempts,
                text(task, "run_at"),
                text(task, "error"),
            ]
        })
        .collect();
    table(["ID", "ROBOT", "STATUS", "TRIES", "RUN AT", "ERROR"], rows)
}

/// A member as text; null and absent ones are empty.
pub(super) fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
