//! Work that computes or blocks to a future: one pool of threads for the whole crate, so that the
//! thread that polls is never kept waiting, whichever executor it belongs to.

use std::any::Any;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::thread;

use crossbeam_channel::{Sender, unbounded};
use futures::channel::oneshot;

use crate::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// Runs `work` on one of as many threads as there are cores, first come, first served. What waits
/// for a thread when the future is dropped is not begun. A panic in it is an [`Error::Backend`] of
/// `what`.
pub(crate) async fn run<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (reply, outcome) = oneshot::channel();
    let job = Box::new(move || {
        if reply.is_canceled() {
            return;
        }
        // A panic drops `reply`, and the caller is told below. Nobody takes the result when the
        // caller has left.
        drop(reply.send(work()));
    });
    // The threads live as long as the process; a job that is dropped is told below, too.
    drop(jobs()?.send(job));
    outcome.await.unwrap_or_else(|_| Err(Error::backend(what, "its thread panicked")))
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

/// The way to the threads, which are started at the first call.
fn jobs() -> Result<&'static Sender<Job>> {
    static JOBS: OnceLock<io::Result<Sender<Job>>> = OnceLock::new();
    JOBS.get_or_init(|| start(cores())).as_ref().map_err(|error| Error::Unavailable {
        what: "a pool of threads beside the polling one".into(),
        reason: error.to_string(),
    })
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// As many threads as the system gives, at least one.
fn start(threads: usize) -> io::Result<Sender<Job>> {
    let (sender, jobs) = unbounded::<Job>();
    for number in 0..threads {
        let jobs = jobs.clone();
        let thread = thread::Builder::new().name(format!("imagerag-{number}"));
        // A thread outlives its jobs' panics.
        let run = |job| drop(catch_unwind(AssertUnwindSafe(job)));
        match thread.spawn(move || jobs.into_iter().for_each(run)) {
            Err(error) if number == 0 => return Err(error),
            Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn runs_on_another_thread() {
        let here = thread::current().id();
        let there = block_on(run("work", || Ok(thread::current().id()))).unwrap();
        assert_ne!(there, here);
    }

    #[test]
    fn a_panic_is_an_error_and_the_pool_goes_on() {
        // More often than there are threads.
        for _ in 0..=cores() {
            let error = block_on(run::<()>("the search", || panic!("boom"))).unwrap_err();
            assert!(error.to_string().starts_with("the search failed"), "{error}");
        }
        assert_eq!(block_on(run("work", || Ok(7))).unwrap(), 7);
    }

    #[test]
    fn what_nobody_waits_for_is_not_begun() {
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
        let block = || {
            let gate = std::sync::Arc::clone(&gate);
            Box::pin(run("work", move || Ok(gate.lock().unwrap().recv().is_ok())))
        };
        let mut blocked: Vec<_> = (0..cores()).map(|_| block()).collect();
        for work in &mut blocked {
            assert!(work.as_mut().now_or_never().is_none());
        }
        let (tell, told) = std::sync::mpsc::channel();
        let mut late = Box::pin(run("work", move || Ok(tell.send(()).is_ok())));
        assert!(late.as_mut().now_or_never().is_none());
        drop(late);
        drop(open);
        block_on(futures::future::join_all(blocked));
        assert!(told.recv().is_err(), "it was begun");
    }
}
