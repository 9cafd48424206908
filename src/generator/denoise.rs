//! Noise to latents, step by step: the one loop of every generator on this machine.

use std::collections::VecDeque;

use tch::Tensor;

use super::{Progress, Step};
use crate::models::common::mark::Mark;
use crate::models::common::worker::Cancel;
use crate::models::schedule::Scheduler;
use crate::{Image, Result};

/// Steps that a device is given before it has done them: the one that it works on, and the next, so
/// that it never waits for the host.
const AHEAD: usize = 2;

/// A step that was given to the device.
struct Queued {
    index: usize,
    end: Mark,
    /// What previews are made of, where one is asked for.
    original: Option<Tensor>,
}

/// Takes `latents`, `[n, ..]`, through every step of `scheduler`, and tells the `progress` of each of
/// the batch. `predict` is what the network says at a step, numbered from 0, of the sample that it is
/// shown; `preview` makes a small image of the latents of one of the batch, `[1, ..]`.
///
/// The host waits for no result here. It is at most two steps ahead of the device, so that a step is
/// told once it is done, and a run that is cancelled ends within two steps.
pub(super) fn denoise(
    scheduler: &mut dyn Scheduler,
    mut latents: Tensor,
    progress: &[&Progress],
    cancel: &Cancel,
    predict: impl Fn(usize, &Tensor) -> Result<Tensor>,
    preview: impl Fn(&Tensor) -> Result<Image>,
) -> Result<Tensor> {
    let total = scheduler.timesteps().len();
    let report = |Queued { index, end, original }: Queued| {
        end.wait()?;
        for (i, progress) in progress.iter().enumerate() {
            let mut step = Step::new(index, total);
            if let Some(original) = original.as_ref().filter(|_| progress.wants_preview(index)) {
                step.preview = Some(preview(&original.narrow(0, i as i64, 1))?);
            }
            progress.report(step);
        }
        Ok(())
    };
    let mut queue = VecDeque::with_capacity(AHEAD);
    for index in 0..total {
        // 1. one more step
        cancel.check()?;
        let output = predict(index, &scheduler.scale_model_input(&latents, index))?;
        let stepped = scheduler.step(&output, index, &latents);
        latents = stepped.sample;
        let index = index + 1;
        let wanted = progress.iter().any(|progress| progress.wants_preview(index));
        let original = wanted.then_some(stepped.original);
        queue.push_back(Queued { index, end: Mark::set(latents.device())?, original });

        // 2. those that are done, or have to be before the next
        let is_due = |queue: &VecDeque<Queued>| {
            queue.front().is_some_and(|first| first.end.has_passed() || queue.len() == AHEAD)
        };
        while is_due(&queue) {
            queue.pop_front().map_or(Ok(()), report)?;
        }
    }
    queue.into_iter().try_for_each(report)?;
    Ok(latents)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use tch::Kind;

    use super::*;
    use crate::Error;
    use crate::models::common::golden::device;
    use crate::models::schedule::Stepped;

    /// Steps that add what the network says.
    struct Sum(Vec<f64>);

    impl Scheduler for Sum {
        fn timesteps(&self) -> &[f64] {
            &self.0
        }

        fn step(&mut self, output: &Tensor, _index: usize, sample: &Tensor) -> Stepped {
            Stepped { sample: sample + output, original: output.shallow_clone() }
        }
    }

    /// [`denoise`] of one number, 0, in `steps`.
    fn run(
        steps: usize,
        progress: &Progress,
        cancel: &Cancel,
        predict: impl Fn(usize, &Tensor) -> Tensor,
        preview: impl Fn(&Tensor) -> Result<Image>,
    ) -> Result<Tensor> {
        let (mut sum, zero) = (Sum(vec![0.0; steps]), Tensor::zeros([1], (Kind::Float, device())));
        let predict = |index: usize, sample: &Tensor| Ok(predict(index, sample));
        denoise(&mut sum, zero, &[progress], cancel, predict, preview)
    }

    fn no_preview(_: &Tensor) -> Result<Image> {
        panic!("nobody asked for a preview")
    }

    /// Work of at least 20 ms for the device, all of which is queued in far less on a GPU.
    struct Work {
        factor: Tensor,
        products: usize,
        takes: Duration,
    }

    impl Work {
        fn new() -> Self {
            let side = if device().is_cuda() { 4096 } else { 256 };
            let factor = Tensor::ones([side, side], (Kind::Float, device())) / side;
            let mut work = Self { factor, products: 1, takes: Duration::ZERO };
            while work.takes < Duration::from_millis(20) {
                work.products *= 2;
                let times = (0..3).map(|_| {
                    let begin = Instant::now();
                    assert!(work.run().double_value(&[]) > 0.0);
                    begin.elapsed()
                });
                work.takes = times.min().unwrap();
            }
            work
        }

        /// A number about 1.
        fn run(&self) -> Tensor {
            let power = |x: Tensor, _| x.matmul(&self.factor);
            (0..self.products).fold(self.factor.shallow_clone(), power).sum(None)
                / self.factor.size()[0]
        }
    }

    #[test]
    fn a_step_is_told_when_it_is_done_and_two_are_given_at_most() {
        let (work, steps) = (Work::new(), 8);
        let (told, given) = (Arc::new(Mutex::new(Vec::new())), Cell::new(0));
        let (begin, listener) = (Instant::now(), Arc::clone(&told));
        let progress = Progress::new(move |step| {
            assert_eq!((step.total, step.preview.is_none()), (8, true));
            listener.lock().unwrap().push((step.index, begin.elapsed()));
        });
        let predict = |index: usize, sample: &Tensor| {
            // This one is given beside those that were given and not told.
            let ahead = given.get() + 1 - told.lock().unwrap().len();
            assert!(ahead <= if device().is_cuda() { AHEAD } else { 1 }, "{ahead} at {index}");
            given.set(index + 1);
            work.run() + sample * 0.0
        };
        let sum = run(steps, &progress, &Cancel::default(), predict, no_preview).unwrap();
        assert!((sum.double_value(&[0]) - steps as f64).abs() < 0.01);
        for (i, &(number, at)) in told.lock().unwrap().iter().enumerate() {
            // A busy machine may have been slow when the work was measured. A CPU works while it is
            // called, so that there is nothing to wait for.
            let least = work.takes * number as u32 / 4;
            assert_eq!(number, i + 1);
            assert!(
                !device().is_cuda() || at >= least,
                "step {number} told after {at:?}, which it takes {least:?} to do"
            );
        }
        assert_eq!(told.lock().unwrap().len(), steps);
    }

    #[test]
    fn a_run_that_is_cancelled_ends_within_two_steps() {
        let (work, cancel) = (Work::new(), Arc::new(Cancel::default()));
        let told = Arc::new(AtomicUsize::new(0));
        let (caller, listener) = (Arc::clone(&cancel), Arc::clone(&told));
        let progress = Progress::new(move |step| {
            listener.store(step.index, Ordering::Relaxed);
            if step.index == 3 {
                caller.cancel();
            }
        });
        let given = Cell::new(0);
        let predict = |index: usize, _: &Tensor| {
            given.set(index + 1);
            work.run()
        };
        let ended = run(100, &progress, &cancel, predict, no_preview);
        assert!(matches!(ended.unwrap_err(), Error::Cancelled));
        assert_eq!(told.load(Ordering::Relaxed), 3);
        assert!((3..3 + AHEAD).contains(&given.get()), "{} steps", given.get());
    }

    #[test]
    fn previews_are_of_the_steps_that_want_them() {
        let (tell, told) = channel();
        let progress = Progress::new(move |step| {
            let red = step.preview.map(|preview| preview.pixels()[0]);
            tell.send((step.index, red)).unwrap();
        })
        .with_previews_every(2);
        let predict = |index: usize, sample: &Tensor| sample * 0.0 + (10 * (index as i64 + 1));
        let preview = |x: &Tensor| Image::new(1, 1, vec![x.double_value(&[0]) as u8; 3]);
        let last = run(5, &progress, &Cancel::default(), predict, preview).unwrap();
        assert_eq!(last.double_value(&[0]), 150.0);
        let expected = [(1, None), (2, Some(20)), (3, None), (4, Some(40)), (5, None)];
        assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);
    }
}
