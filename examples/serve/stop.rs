//! Signals to an orderly end: no new work, time for what is worked on, then it is cut off.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use axum::Router;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::connections::{self, Limits};
use super::queue::{Queue, Stop};

/// How long connections may take to send their last replies.
const LAST_REPLIES: Duration = Duration::from_secs(5);
/// The statuses of a program that was told twice to end, as a shell gives them: 128 and the signal's number.
const INTERRUPTED: i32 = 130;
#[cfg(unix)]
const TERMINATED: i32 = 143;

/// How the server will end.
pub(crate) struct Ending {
    stop: watch::Sender<Stop>,
    queues: [Queue; 2],
    grace: Duration,
    /// Whether the end of the standard input is as good as a first signal.
    until_stdin_ends: bool,
    signals: Signals,
}

impl Ending {
    /// Listens to signals from now on.
    pub(crate) fn new(
        stop: watch::Sender<Stop>,
        queues: [Queue; 2],
        grace: Duration,
        until_stdin_ends: bool,
    ) -> std::io::Result<Self> {
        Ok(Self { stop, queues, grace, until_stdin_ends, signals: Signals::new()? })
    }

    /// Serves until a signal comes or the input ends, then ends: what is worked on has `grace` to finish. A second signal
    /// ends the program at once.
    pub(crate) async fn serve(
        mut self,
        listener: TcpListener,
        router: Router,
        limits: Limits,
    ) -> Result<(), Box<dyn Error>> {
        let (close, closed) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async move {
            let _ = closed.await;
        };
        let server = connections::serve(listener, router, limits, shutdown);
        let ending = async move {
            tokio::select! {
                _ = self.signals.next() => {}
                () = stdin_ended(), if self.until_stdin_ends => {}
            }
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
                status = signals.next() => at_once(status),
            }
        };
        tokio::select! {
            () = server => Ok(()),
            () = ending => Ok(()),
        }
    }
}

/// Ends the program with `status` where it is. Exit handlers, such as those that free libtorch's globals,
/// do not run: a model on another thread may still be using what they free.
pub(crate) fn at_once(status: i32) -> ! {
    let _ = std::io::stdout().flush();
    // SAFETY: `_exit` takes any status, and ends the process without running anything of it.
    #[cfg(unix)]
    unsafe {
        libc::_exit(status)
    }
    #[cfg(not(unix))]
    std::process::exit(status)
}

/// Waits until whoever started the program closes its standard input, or ends.
async fn stdin_ended() {
    let (mut stdin, mut ignored) = (tokio::io::stdin(), [0; 256]);
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
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

    /// The status of a program that the next signal ends.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
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

    async fn next(&mut self) -> i32 {
        let _ = tokio::signal::ctrl_c().await;
        INTERRUPTED
    }
}
