//! `robotd top`: a running node at a glance.

use std::time::Duration;

use serde_json::Value;

use super::client::Node;
use super::exit::{Failure, Ran};
use super::print;
use super::table::table;
use super::task::text;

/// Fast enough to look alive, slow enough to cost nothing.
const REFRESH: Duration = Duration::from_secs(1);

/// Moves to the first column of the first row and clears the screen.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Rows of executions; a screen holds no more.
const EXECUTIONS_SHOWN: u32 = 20;

/// Shows the node, once or until interrupted. Without a terminal it is always once.
pub(super) fn top(node: &Node, once: bool) -> Ran {
    node.runtime().block_on(async {
        if once || !print::to_terminal() {
            return print::answer(&view(node).await?);
        }
        let mut ticks = tokio::time::interval(REFRESH);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            print::answer(&format!("{CLEAR}{}", view(node).await?))?;
        }
    })
}

async fn view(node: &Node) -> Result<String, Failure> {
    let limit = [("limit", EXECUTIONS_SHOWN.to_string())];
    let all = [("limit", "500".to_owned())];
    let (stats, executions, robots) = tokio::try_join!(
        node.get("/stats", &[]),
        node.get("/executions", &limit),
        node.get("/robots", &all),
    )?;
    Ok(format!(
        "{}  queued {}  in execution {}\n\n{}\n{}",
        text(&stats, "at"),
        text(&stats, "queued"),
        text(&stats, "executions"),
        executions_table(&executions),
        robots_table(&robots),
    ))
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page.get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn executions_table(page: &Value) -> String {
    let rows = items(page)
        .map(|process| {
            let progress = process
                .get("progress")
                .filter(|progress| progress.is_object());
            let progress = progress.map_or_else(String::new, |progress| {
                format!(
                    "{} % {}",
                    text(progress, "percent"),
                    text(progress, "message")
                )
            });
            [
                text(process, "id"),
                text(process, "robot"),
                text(process, "started_at"),
                progress,
            ]
        })
        .collect();
    table(["EXECUTION", "ROBOT", "SINCE", "PROGRESS"], rows)
}

fn robots_table(page: &Value) -> String {
    let rows = items(page)
        .map(|robot| {
            let state = robot.get("state").unwrap_or(&Value::Null);
            let last = state.get("last_process").unwrap_or(&Value::Null);
            [
                text(robot, "name"),
                text(state, "status"),
                format!("{}/{}", text(state, "running"), text(robot, "instances")),
                text(state, "queued"),
                text(state, "next_tick_at"),
                text(last, "outcome"),
            ]
        })
        .collect();
    table(["ROBOT", "STATUS", "RUNS", "QUEUED", "NEXT", "LAST"], rows)
}
