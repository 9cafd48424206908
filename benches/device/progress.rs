//! Steps are reported when the device has done them, and a job whose caller leaves stops soon.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::select;
use imagerag::generator::{Progress, Sdxl};
use imagerag::models::{DType, Device};
use imagerag::{Generator, Image};
use serde_json::json;

use crate::{Found, Result, tiny};

/// Steps of a whole job, and after which its caller leaves.
const STEPS: usize = 24;
const LEAVES_AFTER: usize = 6;
/// How many steps the host may be ahead of the device.
const AHEAD: usize = 2;

pub(crate) fn run(device: Device, dtype: DType, size: u32) -> Result<Found> {
    let sdxl = tiny::load(device, dtype)?;
    tiny::draw(&sdxl, tiny::request(size, 2, 1))?;
    // 1. what a step takes, from whole calls
    let short = tiny::draw(&sdxl, tiny::request(size, STEPS / 2, 1))?.1;
    let (image, long) = tiny::draw(&sdxl, tiny::request(size, STEPS, 1))?;
    let step = long.saturating_sub(short) / (STEPS as u32 / 2);
    // 2. when steps are reported: were they told when they are queued, all would come at once
    let (reported, again) = reports(&sdxl, size)?;
    let span = reported[STEPS - 1] - reported[0];
    // The CPU runs nothing ahead, and others may take its time.
    let queues = device != Device::Cpu;
    let told_late = !queues || span >= step.mul_f64(0.9 * (STEPS - 1 - AHEAD) as f64);
    // 3. a caller leaves
    let (after, idle) = leave(&sdxl, device, size)?;
    let soon = !queues || idle <= step * (AHEAD as u32 + 1) + Duration::from_millis(100);
    let stops = after <= AHEAD && soon;
    // 4. and the next job is right
    let next = tiny::draw(&sdxl, tiny::request(size, STEPS, 1))?.0;
    let right = next == image && again == image;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Found {
        passed: told_late && stops && right,
        line: format!(
            "a step takes {:.1} ms, {} reports span {:.1}; cancelled: {after} more steps, idle after {:.1} ms; \
             the next image is {}",
            milliseconds(step),
            STEPS,
            milliseconds(span),
            milliseconds(idle),
            if right { "right" } else { "wrong" },
        ),
        figures: json!({ "step_ms": milliseconds(step), "span_ms": milliseconds(span), "told_late": told_late,
            "steps_after_cancel": after, "idle_ms": milliseconds(idle), "right": right }),
    })
}

/// When each step of a job was reported, and its image.
fn reports(sdxl: &Sdxl, size: u32) -> Result<(Vec<Instant>, Image)> {
    let times = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&times);
    let mut request = tiny::request(size, STEPS, 1);
    request.progress = Progress::new(move |_| listener.lock().unwrap().push(Instant::now()));
    let image = tiny::draw(sdxl, request)?.0;
    let times = times.lock().unwrap().clone();
    if times.len() == STEPS {
        Ok((times, image))
    } else {
        Err(format!("{} of {STEPS} steps were reported", times.len()).into())
    }
}

/// How many steps were reported after the caller left, and when the device was idle.
fn leave(sdxl: &Sdxl, device: Device, size: u32) -> Result<(usize, Duration)> {
    let seen = Arc::new(Mutex::new(0));
    let (tell, told) = oneshot::channel();
    let (listener, tell) = (Arc::clone(&seen), Mutex::new(Some(tell)));
    let mut request = tiny::request(size, 10 * STEPS, 1);
    request.progress = Progress::new(move |step| {
        *listener.lock().unwrap() = step.index;
        if step.index == LEAVES_AFTER
            && let Some(tell) = tell.lock().unwrap().take()
        {
            // Nobody listens once the job has failed, which is told below.
            let _ = tell.send(());
        }
    });
    let requests = [request];
    let job = sdxl.generate(&requests);
    if let futures::future::Either::Left((ended, _)) = block_on(select(job, told)) {
        ended?;
        return Err("the job ended before its caller left".into());
    }
    let left = Instant::now();
    // The worker takes the next job when it has left this one.
    tiny::draw(sdxl, tiny::request(32, 1, 1))?;
    tiny::synchronize(device);
    let idle = left.elapsed();
    let last = *seen.lock().unwrap();
    Ok((last - LEAVES_AFTER, idle))
}
