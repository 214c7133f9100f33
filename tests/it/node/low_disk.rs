//! From a full disk to one mail in a mailbox, and no second one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::node::Node;
use crate::support::smtp_server::SmtpServer;

const LIMIT: Duration = Duration::from_secs(60);
const ROBOT: &str = "notifications.disk_space_monitors";

/// A 32 MiB file system of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir(at).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
            .arg(at)
            .status()
            .unwrap();
        assert!(status.success(), "mounting needs root");
        Self(at.to_owned())
    }

    fn fill(&self, mebibytes: usize) {
        std::fs::write(self.0.join("filler"), vec![b'x'; mebibytes << 20]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        assert!(
            Command::new("umount")
                .arg(&self.0)
                .status()
                .unwrap()
                .success()
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_one_mail() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&folder.path().join("small"));
    let path = folder.path().join("small").to_str().unwrap().to_owned();
    let mut node = Node::new(&format!(
        r#"
        [mail]
        host = "127.0.0.1"
        port = {}
        tls = "none"
        from = "robotd@example.org"
        "#,
        server.port
    ));
    node.start().await;
    let settings = json!({
        "schedule": {"every": "PT1S"},
        "settings": {"recipients": ["ana@example.org"], "mounts": [{"path": path}]},
    });
    node.send(Method::PATCH, &format!("/robots/{ROBOT}"), settings)
        .await;
    run_twice(&node).await;
    assert_eq!(
        about(&server, &path),
        0,
        "a disk with room is not told about"
    );

    disk.fill(31);
    let event = node
        .until("/events?type=storage.critical", LIMIT, has_items)
        .await;
    assert!(event["items"][0].to_string().contains(&path), "{event:#}");
    node.until(
        "/processes?robot=mail.email_sender&outcome=succeeded",
        LIMIT,
        has_items,
    )
    .await;
    until(|| about(&server, &path) == 1).await;

    // Still full, looked at several times more: the reminder is hours away.
    run_twice(&node).await;
    run_twice(&node).await;
    node.until(
        "/tasks?robot=mail.email_sender&status=queued",
        LIMIT,
        |page| !has_items(page),
    )
    .await;
    assert_eq!(about(&server, &path), 1, "{:#?}", server.mails());
    node.stop().await;
    assert_eq!(about(&server, &path), 1);
}

/// Two more runs of the monitor, so that what changed before the call has been seen.
async fn run_twice(node: &Node) {
    for _ in 0..2 {
        let task = node
            .send(Method::POST, &format!("/robots/{ROBOT}/run"), json!({}))
            .await;
        let path = format!("/tasks/{}", task["id"].as_str().unwrap());
        node.until(&path, LIMIT, |task| task["status"] == "succeeded")
            .await;
    }
}

/// Mails in the mailbox that name this file system.
fn about(server: &SmtpServer, path: &str) -> usize {
    server
        .mails()
        .iter()
        .filter(|mail| mail.replace("=\r\n", "").replace("=\n", "").contains(path))
        .count()
}

fn has_items(page: &serde_json::Value) -> bool {
    page["items"]
        .as_array()
        .is_some_and(|items| !items.is_empty())
}

async fn until(holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + LIMIT;
    while !holds() {
        assert!(
            std::time::Instant::now() < deadline,
            "it did not come to hold"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
