//! One thread that owns a model: jobs in, futures of their results out.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use futures::channel::oneshot;

use crate::{Error, Result};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread that owns a `S` and runs jobs on it, first come, first served. Dropping the worker
/// ends the thread, and waits for it.
pub(crate) struct Worker<S> {
    name: String,
    jobs: Option<mpsc::Sender<Job<S>>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether a job's caller has left; asked between steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// An error once the caller has left: nothing runs on after that.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Lives in the caller's future: when that goes, the job is cancelled.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl<S: 'static> Worker<S> {
    /// Starts a thread called `name`, lets it `load` its state, and waits for that.
    pub(crate) fn spawn(
        name: impl Into<String>,
        load: impl FnOnce() -> Result<S> + Send + 'static,
    ) -> Result<Self> {
        let name = name.into();
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        let (loaded, outcome) = mpsc::channel();
        let loading = format!("loading {name}");
        let thread = thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let _no_grad = tch::no_grad_guard();
                let mut state = match guarded(&loading, load) {
                    Ok(state) => state,
                    Err(error) => return drop(loaded.send(Err(error))),
                };
                if loaded.send(Ok(())).is_ok() {
                    queue.into_iter().for_each(|job| job(&mut state));
                }
            })
            .map_err(|error| Error::backend(format!("thread of {name}"), error))?;
        outcome.recv().unwrap_or_else(|_| Err(ended(&name)))?;
        Ok(Self { name, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job` on the thread. A panic in it is an [`Error::Backend`]; dropping the future
    /// cancels it, before it starts or at its next [`Cancel::check`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S, &Cancel) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, result) = oneshot::channel();
        let cancel = Cancel::default();
        let guard = CancelOnDrop(cancel.clone());
        let name = self.name.clone();
        let job: Job<S> = Box::new(move |state| {
            let result = cancel.check().and_then(|()| guarded(&name, || job(state, &cancel)));
            // Nobody takes the result when the caller has left.
            drop(reply.send(result));
        });
        match &self.jobs {
            Some(jobs) => jobs.send(job).map_err(|_| ended(&self.name))?,
            None => return Err(ended(&self.name)),
        }
        let result = result.await.unwrap_or_else(|_| Err(ended(&self.name)));
        drop(guard);
        result
    }
}

/// What `work` returns, or its panic as an error.
fn guarded<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error::backend(what, message(panic.as_ref()))))
}

/// What a panic said, without libtorch's stack trace.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    let text = text.split("Exception raised from").next().unwrap_or(text);
    text.trim_end_matches("\\n").trim().to_owned()
}

fn ended(name: &str) -> Error {
    Error::backend(name, "its thread has ended")
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // The thread catches every panic; there is nothing left to report.
            drop(thread.join());
        }
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use futures::executor::block_on;
    use futures::future::join_all;

    use super::*;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn jobs_run_in_order() {
        let worker = Worker::spawn("order", || Ok(Vec::new())).unwrap();
        let jobs = (0..50).map(|i| {
            worker.run(move |seen: &mut Vec<i32>, _| {
                seen.push(i);
                Ok(seen.len())
            })
        });
        let lengths: Vec<usize> =
            block_on(join_all(jobs)).into_iter().map(Result::unwrap).collect();
        assert_eq!(lengths, (1..=50).collect::<Vec<_>>());
        let seen = block_on(worker.run(|seen, _| Ok(seen.clone()))).unwrap();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_is_an_error_and_the_worker_lives_on() {
        let worker = Worker::spawn("model", || Ok(1)).unwrap();
        let error =
            block_on(worker.run(|_, _| -> Result<()> { panic!("shape [2, 3]") })).unwrap_err();
        assert_eq!(error.to_string(), "model failed: shape [2, 3]");
        let error = block_on(worker.run(|_, _| {
            let sum = tch::Tensor::zeros([2], tch::kind::FLOAT_CPU)
                + tch::Tensor::zeros([3], tch::kind::FLOAT_CPU);
            Ok(sum.size())
        }))
        .unwrap_err()
        .to_string();
        assert!(error.contains("must match the size") && !error.contains("frame #"), "{error}");
        assert_eq!(block_on(worker.run(|state, _| Ok(*state))).unwrap(), 1);
    }

    #[test]
    fn a_load_that_fails_or_panics_is_an_error() {
        let error = Worker::<()>::spawn("model", || Err(Error::Cancelled)).unwrap_err();
        assert!(matches!(error, Error::Cancelled));
        let error = Worker::<()>::spawn("model", || panic!("no memory")).unwrap_err();
        assert_eq!(error.to_string(), "loading model failed: no memory");
    }

    #[test]
    fn dropping_the_future_stops_the_job_between_steps() {
        let worker = Worker::spawn("steps", || Ok(0)).unwrap();
        let (started, wait) = mpsc::channel();
        {
            let mut job = pin!(worker.run(move |steps: &mut i32, cancel| {
                loop {
                    cancel.check()?;
                    *steps += 1;
                    let _ = started.send(());
                    thread::sleep(Duration::from_millis(1));
                    assert!(*steps < 10_000, "never cancelled");
                }
                #[allow(unreachable_code)]
                Ok(())
            }));
            assert!(poll(job.as_mut()).is_pending());
            wait.recv().unwrap();
        }
        // The next job runs only once the first has stopped.
        assert!(block_on(worker.run(|steps, _| Ok(*steps))).unwrap() >= 1);
    }

    #[test]
    fn a_job_dropped_in_the_queue_never_starts() {
        let worker = Worker::spawn("queue", || Ok(0)).unwrap();
        let (release, gate) = mpsc::channel::<()>();
        let mut first =
            pin!(worker.run(move |_: &mut i32, _| gate.recv().map_err(|_| Error::Cancelled)));
        assert!(poll(first.as_mut()).is_pending());
        {
            let mut second = pin!(worker.run(|count: &mut i32, _| {
                *count += 1;
                Ok(())
            }));
            assert!(poll(second.as_mut()).is_pending());
        }
        release.send(()).unwrap();
        block_on(first).unwrap();
        assert_eq!(block_on(worker.run(|count, _| Ok(*count))).unwrap(), 0);
    }

    #[test]
    fn dropping_the_worker_ends_its_thread() {
        struct Tell(mpsc::Sender<&'static str>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.0.send("ended").unwrap();
            }
        }
        let (tell, told) = mpsc::channel();
        let worker = Worker::spawn("short", move || Ok(Tell(tell))).unwrap();
        drop(worker);
        assert_eq!(told.try_recv(), Ok("ended"));
    }

    #[test]
    fn jobs_record_no_gradients() {
        let worker = Worker::spawn("grad", || Ok(())).unwrap();
        let tracks = block_on(worker.run(|_, _| {
            let leaf = tch::Tensor::ones([1], tch::kind::FLOAT_CPU).set_requires_grad(true);
            Ok((leaf * 2.0).requires_grad())
        }));
        assert!(!tracks.unwrap());
    }
}
