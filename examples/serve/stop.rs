//! Signals to an orderly end: no new work, time for what is worked on, then it is cut off.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::queue::{Queue, Stop};

/// How long connections may take to send their last replies.
const LAST_REPLIES: Duration = Duration::from_secs(5);
/// The status of a program that was told twice to end, as a shell gives it for Ctrl-C.
const INTERRUPTED: i32 = 130;

/// How the server will end.
pub(crate) struct Ending {
    stop: watch::Sender<Stop>,
    queues: [Queue; 2],
    grace: Duration,
    signals: Signals,
}

impl Ending {
    /// Listens to signals from now on.
    pub(crate) fn new(
        stop: watch::Sender<Stop>,
        queues: [Queue; 2],
        grace: Duration,
    ) -> std::io::Result<Self> {
        Ok(Self { stop, queues, grace, signals: Signals::new()? })
    }

    /// Serves until a signal comes, then ends: what is worked on has `grace` to finish. A second signal
    /// ends the program at once.
    pub(crate) async fn serve(
        mut self,
        listener: TcpListener,
        router: Router,
    ) -> Result<(), Box<dyn Error>> {
        let (close, closed) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async move {
            let _ = closed.await;
        };
        let server = axum::serve(listener, router).with_graceful_shutdown(shutdown);
        let ending = async move {
            self.signals.next().await;
            self.stop.send_replace(Stop::Draining);
            let mut signals = self.signals;
            let [images, embeddings] = &self.queues;
            let emptied = async {
                tokio::join!(images.emptied(), embeddings.emptied());
            };
            tokio::pin!(emptied);
            let orderly = async {
                tokio::select! {
                    () = &mut emptied => {}
                    () = sleep(self.grace) => {
                        self.stop.send_replace(Stop::Cancelling);
                        emptied.await;
                    }
                }
                let _ = close.send(());
                sleep(LAST_REPLIES).await;
            };
            tokio::select! {
                () = orderly => {}
                () = signals.next() => std::process::exit(INTERRUPTED),
            }
        };
        tokio::select! {
            served = server => Ok(served?),
            () = ending => Ok(()),
        }
    }
}

/// What tells a program to end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
