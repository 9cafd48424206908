//! Lets the threads go that OpenMP keeps for a thread which has no work for them.

#[cfg(unix)]
use std::{ffi::c_int, sync::LazyLock};

#[cfg(unix)]
use libloading::os::unix::{Library, Symbol};

/// OpenMP's `omp_pause_resource_all`, which ends the calling thread's team; the next parallel work
/// of that thread starts another.
#[cfg(unix)]
type Pause = unsafe extern "C" fn(kind: c_int) -> c_int;

/// `omp_pause_soft`: keeps what programs have set.
#[cfg(unix)]
const SOFT: c_int = 1;

/// Ends the threads that libtorch's OpenMP keeps for this one.
///
/// While libgomp manages more threads than there are processors, one that waits looks 100 times for
/// work before it sleeps, and not 300,000 times (see [`PassiveWait`](super::passive_wait)). So the
/// team of a model that is done would make each operation of another model's wait until its threads
/// are awake: SDXL beside an idle image encoder takes 5 to 15 % longer for a step on two cores.
pub(crate) fn release() {
    #[cfg(unix)]
    {
        /// Of the OpenMP that is loaded with libtorch; none where libtorch was built without.
        static PAUSE: LazyLock<Option<Symbol<Pause>>> = LazyLock::new(|| {
            // SAFETY: the type is that of OpenMP 5.0.
            unsafe { Library::this().get(b"omp_pause_resource_all\0").ok() }
        });
        if let Some(pause) = &*PAUSE {
            // SAFETY: it may be called outside of parallel regions, and refuses inside of one.
            let _ = unsafe { pause(SOFT) };
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use futures::executor::block_on;
    use tch::{Kind, Tensor};

    use crate::models::Device;
    use crate::models::common::worker::Worker;

    const NAME: &str = "idle team";

    /// Threads with its name, which a thread of OpenMP's has from the one that starts it.
    fn threads() -> usize {
        let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|found| found.trim_end() == NAME).count()
    }

    #[test]
    fn a_worker_without_work_keeps_no_threads() {
        let worker = Worker::spawn(NAME, Device::Cpu, |_| Ok(())).unwrap();
        let work = || {
            block_on(worker.run(|(), _| {
                let sum = Tensor::ones([1 << 20], (Kind::Float, tch::Device::Cpu)) + 1.0;
                Ok((threads(), sum.sum(Kind::Float).double_value(&[])))
            }))
        };
        for _ in 0..2 {
            let (busy, sum) = work().unwrap();
            assert_eq!(sum, f64::from(2 << 20));
            assert!(busy > 1 || tch::get_num_threads() == 1, "libtorch computed on one thread");
            let begun = Instant::now();
            while threads() > 1 {
                assert!(begun.elapsed() < Duration::from_secs(30), "the team is still there");
                sleep(Duration::from_millis(10));
            }
        }
    }
}
