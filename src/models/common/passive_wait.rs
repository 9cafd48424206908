//! [`PassiveWait`]: libtorch's threads sleep while they wait for work, and leave the cores to others.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tch::{Kind, Tensor};

/// While this lives, a thread of libtorch's that waits for work sleeps, as if the program had been
/// started with `OMP_WAIT_POLICY=passive`. Else it spins for milliseconds before it sleeps: drawing
/// is faster for that, but threads that decode pictures meanwhile lose the cores.
///
/// libgomp, on which libtorch's threads run, looks up to 300,000 times for new work, but only 100
/// times while it manages more threads than there are processors (`do_spin` in its
/// `config/linux/wait.h`). So a thread is parked here that owns threads of libgomp's too: it has run
/// one operation in parallel. They are gone when it ends.
#[derive(Debug)]
pub(crate) struct PassiveWait {
    release: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Values that are worth a thread to libtorch (`at::internal::GRAIN_SIZE`).
const GRAIN: i64 = 32_768;

impl PassiveWait {
    /// Begins. Where no thread can be had, libtorch spins on.
    pub(crate) fn begin() -> Self {
        let (release, parked) = mpsc::channel::<()>();
        let park = move || {
            let values = i64::from(tch::get_num_threads()) * GRAIN;
            drop(Tensor::zeros([values], (Kind::Float, tch::Device::Cpu)) + 1.0);
            // Nothing is ever sent: it returns when the sender is dropped.
            let _ = parked.recv();
        };
        let thread = thread::Builder::new().name("passive wait".into()).spawn(park).ok();
        Self { release: Some(release), thread }
    }
}

impl Drop for PassiveWait {
    fn drop(&mut self) {
        self.release = None;
        if let Some(thread) = self.thread.take() {
            // It panics only where libtorch cannot add, and then it parks nothing.
            drop(thread.join());
        }
    }
}
