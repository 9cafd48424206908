//! Work that needs tokio to a future that any executor can poll: one small runtime for all HTTP.
//!
//! Connections in a pool belong to the runtime that opened them. One runtime of our own keeps them
//! alive when the caller's runtime ends, works where the caller has none, and where it has one
//! without I/O or timers.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::{Error, Result};

/// Runs `work` on the runtime. Dropping the returned future aborts it; a panic in it becomes an
/// [`Error::Backend`] of `what`.
pub(crate) async fn run<T, F>(what: &str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let task = runtime()?.spawn(work);
    let _abort = AbortOnDrop(task.abort_handle());
    task.await.unwrap_or_else(|error| Err(Error::backend(what, error)))
}

/// Begins `work` on the runtime, where it goes on to its end whoever leaves.
#[cfg(feature = "openai")]
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = runtime() {
        runtime.spawn(work);
    }
}

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("imagerag-net")
            .enable_all()
            .build()
    });
    runtime.as_ref().map_err(|error| Error::Unavailable {
        what: "the network thread".into(),
        reason: error.to_string(),
    })
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn runs_without_a_runtime_of_the_caller() {
        let slept = run("nap", async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(7)
        });
        assert_eq!(block_on(slept).unwrap(), 7);
    }

    #[test]
    fn a_panic_is_an_error() {
        let error = block_on(run::<(), _>("nap", async { panic!("boom") })).unwrap_err();
        assert!(error.to_string().starts_with("nap failed"), "{error}");
    }

    #[test]
    fn dropping_the_future_drops_the_work() {
        struct Tell(mpsc::Sender<()>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (sender, dropped) = mpsc::channel();
        let tell = Tell(sender);
        let mut work = Box::pin(run::<(), _>("nap", async move {
            let _tell = tell;
            std::future::pending().await
        }));
        assert!(work.as_mut().now_or_never().is_none());
        drop(work);
        dropped.recv_timeout(Duration::from_secs(10)).expect("the work was dropped");
    }
}
