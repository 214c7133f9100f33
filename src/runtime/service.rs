//! Services: loops of the control thread, restarted when they fail.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

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
    let stopping = core.stopping.clone();
    spawn_control(kept(stopping, name, move || service(Arc::clone(&core))));
}

/// A service that starts again whenever it fails, until `stopping` fires; whoever calls this runs it.
pub async fn kept<F, W>(stopping: CancellationToken, name: &'static str, service: F)
where
    F: Fn() -> W,
    W: Future<Output = ()>,
{
    while !stopping.is_cancelled() {
        let life = panic::named(Label::Service(name), service());
        let panicked = AssertUnwindSafe(life).catch_unwind().await.is_err();
        if !stopping.is_cancelled() {
            let how = if panicked { "panicked" } else { "ended" };
            log::error!("service {name} {how} and starts again");
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}

/// Waits for `pause` or the end of the node; answers whether to go on.
pub(crate) async fn pause(core: &Core, pause: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => true,
        () = core.stopping.cancelled() => false,
    }
}

/// How long to rest after a look that `took` so long and comes each `period`: looking takes a twentieth of the time at
/// most.
pub(crate) fn rest(took: Duration, period: Duration) -> Duration {
    period.max(took.saturating_mul(20))
}
