//! Services: loops of the control thread, restarted when they fail.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::core::Core;
use super::panic::{self, Label};

/// Pause before a failed service starts again; a defect must not become a busy loop.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Spawns work on the current arbiter. All spawning of the control thread goes through here.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that spawns on the control thread"
)]
pub(crate) fn spawn_control(work: impl Future<Output = ()> + 'static) {
    actix::spawn(work);
}

/// Keeps a service running until the node stops.
pub(crate) fn keep<F, W>(core: &Arc<Core>, name: &'static str, service: F)
where
    F: Fn(Arc<Core>) -> W + 'static,
    W: Future<Output = ()> + 'static,
{
    let core = Arc::clone(core);
    spawn_control(async move {
        while !core.stopping.is_cancelled() {
            let life = panic::named(Label::Service(name), service(Arc::clone(&core)));
            let panicked = AssertUnwindSafe(life).catch_unwind().await.is_err();
            if !core.stopping.is_cancelled() {
                let how = if panicked { "panicked" } else { "ended" };
                log::error!("service {name} {how} and starts again");
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        }
    });
}

/// Waits for `pause` or the end of the node; answers whether to go on.
pub(crate) async fn pause(core: &Core, pause: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => true,
        () = core.stopping.cancelled() => false,
    }
}
