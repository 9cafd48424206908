//! One thread that owns a model: jobs in, futures of their results out.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::channel::oneshot;

use super::failure::{failure, is_sticky, recognised};
use super::{cuda, idle_team};
use crate::models::Device;
use crate::pool::panic_message;
use crate::{Error, Result};

/// After this time without a job, the thread's OpenMP team is let go.
const IDLE: Duration = Duration::from_millis(100);

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread that owns a `S` on a device and runs jobs on it, first come, first served. Dropping the
/// worker ends the thread, and waits for it.
///
/// A job that fails, by a panic of libtorch's or for lack of memory, leaves the worker as it was:
/// libtorch has emptied its cache by then, and what the job held is free. Some errors of CUDA's are
/// the end of it in this process; then every later job fails at once, and names the first error.
pub(crate) struct Worker<S> {
    name: String,
    /// The error that CUDA ended with.
    broken: Arc<OnceLock<String>>,
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

    /// The caller has left.
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lives in the caller's future: when that goes, the job is cancelled.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl<S: 'static> Worker<S> {
    /// Starts a thread called `name`, whose current device is `device`, lets it `load` its state
    /// there, and waits for that.
    pub(crate) fn spawn(
        name: impl Into<String>,
        device: Device,
        load: impl FnOnce(tch::Device) -> Result<S> + Send + 'static,
    ) -> Result<Self> {
        let name = name.into();
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        let (loaded, outcome) = mpsc::channel();
        let loading = format!("loading {name}");
        let thread = thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let _no_grad = tch::no_grad_guard();
                let load = || load(enter(device)?);
                let mut state = match guarded(&loading, load) {
                    Ok(state) => state,
                    Err(error) => return drop(loaded.send(Err(error))),
                };
                if loaded.send(Ok(())).is_ok() {
                    while let Some(job) = next(&queue) {
                        job(&mut state);
                    }
                }
            })
            .map_err(|error| Error::backend(format!("thread of {name}"), error))?;
        outcome.recv().unwrap_or_else(|_| Err(ended(&name)))?;
        Ok(Self { name, broken: Arc::default(), jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job` on the thread. A panic in it is an [`Error::Backend`] or, where it tells a lack of
    /// memory, an [`Error::OutOfMemory`]; dropping the future cancels it, before it starts or at its
    /// next [`Cancel::check`]. After an error that CUDA does not outlive: [`Error::Unavailable`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S, &Cancel) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        alive(&self.name, &self.broken)?;
        let (reply, result) = oneshot::channel();
        let cancel = Cancel::default();
        let guard = CancelOnDrop(cancel.clone());
        let (name, broken) = (self.name.clone(), Arc::clone(&self.broken));
        let job: Job<S> = Box::new(move |state| {
            let begin = cancel.check().and_then(|()| alive(&name, &broken));
            let result = begin.and_then(|()| guarded(&name, || job(state, &cancel)));
            if let Err(Error::Backend { source, .. }) = &result
                && is_sticky(&source.to_string())
            {
                let text = source.to_string();
                // The first error stays; what CUDA advises after its first line is for programmers.
                let _ = broken.set(text.lines().next().unwrap_or_default().to_owned());
            }
            // Nobody takes the result when the caller has left.
            drop(reply.send(result));
        });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            return Err(ended(&self.name));
        }
        let result = result.await.unwrap_or_else(|_| Err(ended(&self.name)));
        drop(guard);
        result
    }
}

/// The next job; none once the worker is dropped. Without one for a while, the thread lets its team go.
fn next<S>(queue: &mpsc::Receiver<Job<S>>) -> Option<Job<S>> {
    match queue.recv_timeout(IDLE) {
        Err(RecvTimeoutError::Timeout) => {
            idle_team::release();
            queue.recv().ok()
        }
        result => result.ok(),
    }
}

/// `device` in libtorch, once this thread's calls mean it.
fn enter(device: Device) -> Result<tch::Device> {
    let opened = device.open()?;
    if let Device::Cuda(number) = device {
        let cuda = cuda::load().map_err(|error| Error::backend(device.to_string(), error))?;
        cuda.set_device(number).map_err(|text| failure(device.to_string(), text))?;
    }
    Ok(opened)
}

/// An error once CUDA has ended.
fn alive(name: &str, broken: &OnceLock<String>) -> Result<()> {
    let Some(first) = broken.get() else { return Ok(()) };
    let reason = format!("CUDA does nothing more before the program is started anew: {first}");
    Err(Error::Unavailable { what: name.to_owned(), reason })
}

/// What `work` returns, or its panic as an error.
fn guarded<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(recognised),
        Err(panic) => Err(failure(what, message(panic.as_ref()))),
    }
}

/// What a panic said, without the call that tells it and libtorch's stack trace.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic_message(panic);
    let text = text.split("Exception raised from").next().unwrap_or(text);
    // What tch's operators panic with: an `unwrap` of a `TchError`.
    let text = text.split_once("Err` value: Torch(\"").map_or(text, |(_, said)| said);
    let text = text.strip_suffix("\")").unwrap_or(text).replace("\\n", "\n").replace("\\\"", "\"");
    text.trim().to_owned()
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

    use futures::executor::block_on;
    use futures::future::join_all;

    use super::*;
    use crate::models::common::golden::place;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn jobs_run_in_order() {
        let worker = Worker::spawn("order", Device::Cpu, |_| Ok(Vec::new())).unwrap();
        let jobs = (0..50).map(|i| {
            worker.run(move |seen: &mut Vec<i32>, _| {
                seen.push(i);
                Ok(seen.len())
            })
        });
        let lengths = block_on(join_all(jobs)).into_iter().map(Result::unwrap);
        assert!(lengths.eq(1..=50));
        let seen = block_on(worker.run(|seen, _| Ok(seen.clone()))).unwrap();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_is_an_error_and_the_worker_lives_on() {
        let worker = Worker::spawn("model", Device::Cpu, |_| Ok(1)).unwrap();
        let error = block_on(worker.run(|_, _| -> Result<()> { panic!("shape [2, 3]") }));
        assert_eq!(error.unwrap_err().chain().to_string(), "model failed: shape [2, 3]");
        let error = block_on(worker.run(|_, _| {
            let [two, three] = [2, 3].map(|n| tch::Tensor::zeros([n], tch::kind::FLOAT_CPU));
            Ok((two + three).size())
        }));
        let error = error.unwrap_err().chain().to_string();
        assert!(error.contains("must match the size") && !error.contains("frame #"), "{error}");
        assert_eq!(block_on(worker.run(|state, _| Ok(*state))).unwrap(), 1);
    }

    #[test]
    fn memory_that_ends_is_told_with_its_size_and_the_worker_lives_on() {
        let worker = Worker::spawn("model", place(), Ok).unwrap();
        let bytes = 1_u64 << 50;
        let error = block_on(worker.run(move |device, _| {
            let values = (bytes / 4) as i64;
            Ok(tch::Tensor::zeros([values], (tch::Kind::Float, *device)).size())
        }));
        let error = error.unwrap_err();
        println!("{error}");
        assert!(error.chain().to_string().starts_with("model ran out of memory: "), "{error}");
        let Error::OutOfMemory { requested, .. } = error else { panic!("{error:?}") };
        assert_eq!(requested, Some(bytes));
        let sum = block_on(worker.run(|device, _| {
            Ok(tch::Tensor::ones([64], (tch::Kind::Float, *device)).sum(None).double_value(&[]))
        }));
        assert_eq!(sum.unwrap(), 64.0);
    }

    #[test]
    fn after_an_error_that_ends_cuda_every_call_names_it_at_once() {
        let worker = Arc::new(Worker::spawn("model", Device::Cpu, |_| Ok(0)).unwrap());
        let first = "CUDA error: an illegal memory access was encountered";
        let operator = move || {
            let thrown = format!("{first}\nCUDA kernel errors might be late");
            Err::<(), _>(tch::TchError::Torch(thrown))
        };
        let (release, gate) = mpsc::channel::<()>();
        let mut failing = pin!(worker.run(move |jobs, _| {
            *jobs += 1;
            gate.recv().unwrap();
            // As tch panics.
            operator().unwrap();
            Ok(())
        }));
        assert!(poll(failing.as_mut()).is_pending());
        let mut queued = pin!(worker.run(|jobs, _| {
            *jobs += 1;
            Ok(*jobs)
        }));
        assert!(poll(queued.as_mut()).is_pending());
        release.send(()).unwrap();
        let error = block_on(failing).unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error}");
        assert!(
            error.chain().to_string().starts_with(&format!("model failed: {first}")),
            "{error}"
        );

        // What waited already, and what comes later, which never reaches the thread.
        let waited = block_on(queued).unwrap_err();
        let later = block_on(worker.run(|_, _| Ok(()))).unwrap_err();
        for error in [waited, later] {
            assert!(matches!(error, Error::Unavailable { .. }), "{error}");
            assert!(error.chain().to_string().starts_with("model is not available: "), "{error}");
            assert!(error.chain().to_string().ends_with(first), "{error}");
        }
    }

    #[test]
    fn a_load_that_fails_or_panics_is_an_error() {
        let failed = Worker::<()>::spawn("model", Device::Cpu, |_| Err(Error::Cancelled));
        assert!(matches!(failed, Err(Error::Cancelled)));
        let error = Worker::<()>::spawn("model", Device::Cpu, |_| panic!("no memory")).unwrap_err();
        assert_eq!(error.chain().to_string(), "loading model failed: no memory");
    }

    #[test]
    fn dropping_the_future_stops_the_job_between_steps() {
        let worker = Worker::spawn("steps", Device::Cpu, |_| Ok(0)).unwrap();
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
        let worker = Worker::spawn("queue", Device::Cpu, |_| Ok(0)).unwrap();
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
        let worker = Worker::spawn("short", Device::Cpu, move |_| Ok(Tell(tell))).unwrap();
        drop(worker);
        assert_eq!(told.try_recv(), Ok("ended"));
    }

    #[test]
    fn jobs_record_no_gradients() {
        let worker = Worker::spawn("grad", Device::Cpu, |_| Ok(())).unwrap();
        let tracks = block_on(worker.run(|_, _| {
            let leaf = tch::Tensor::ones([1], tch::kind::FLOAT_CPU).set_requires_grad(true);
            Ok((leaf * 2.0).requires_grad())
        }));
        assert!(!tracks.unwrap());
    }
}
