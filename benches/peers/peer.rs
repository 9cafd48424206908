//! A request's words to images drawn one after the other, and what they took as one line of JSON.

use std::error::Error;
use std::ffi::{CStr, c_char};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use imagerag::conditioner::ConditionRequest;
use imagerag::generator::GenerateRequest;
use imagerag::models::Device;
use imagerag::reference::{Caption, Reference};
use imagerag::{Conditioner, Generator, GeneratorExt, Image};

#[path = "arguments.rs"]
mod arguments;

pub(crate) use arguments::Arguments;

/// Draws what is `given`: once to warm up, then as often as it says with few steps and with all, each
/// time anew. Prints how long each image took, what one more step added to a whole call, how long
/// `load` did, and the most memory held at once.
///
/// Whole calls are compared because they return an image, so that the device has done all of it.
pub(crate) fn measure(
    given: &Arguments,
    load: Duration,
    generator: &dyn Generator,
    conditioner: &dyn Conditioner,
) -> Result<(), Box<dyn Error>> {
    let references = references(given.get("--reference")?)?;
    let timed = |steps: usize, out: &str| -> Result<f64, Box<dyn Error>> {
        let start = Instant::now();
        let mut request = GenerateRequest::new(given.get("--prompt")?);
        if !references.is_empty() {
            // The same prompt as the peer's: the template that names the references is left out.
            let ask = ConditionRequest::new("", references.clone());
            request.conditioning = block_on(conditioner.condition(&ask))?.conditioning;
        }
        request.steps = Some(steps);
        request.guidance_scale = given.get("--guidance").ok().map(str::parse).transpose()?;
        request.seed = given.number("--seed")?;
        let size = given.number("--size")?;
        (request.width, request.height) = (Some(size), Some(size));
        let image = block_on(generator.generate_one(&request))?.image;
        let seconds = start.elapsed().as_secs_f64();
        image.save(given.get(out)?)?;
        Ok(seconds)
    };
    let (steps, few): (usize, usize) = (given.number("--steps")?, given.number("--short-steps")?);
    let first = timed(steps, "--out")?;
    phase_ends(c"first");
    let (mut short, mut images) = (Vec::new(), Vec::new());
    for _ in 0..given.number("--images")? {
        short.push(timed(few, "--short-out")?);
        phase_ends(c"short");
        images.push(timed(steps, "--out")?);
        phase_ends(c"long");
    }
    let more = (steps - few) as f64;
    let step = median(short.iter().zip(&images).map(|(brief, long)| (long - brief) / more));
    let (load, peak) = (load.as_secs_f64(), peak_mb()?);
    println!(
        "{{\"load\": {load}, \"first\": {first}, \"short\": {short:?}, \"images\": {images:?}, \
         \"step\": {step}, \"peak_mb\": {peak}}}"
    );
    Ok(())
}

/// The pictures in `paths`, which stand between colons.
fn references(paths: &str) -> Result<Vec<Reference>, imagerag::Error> {
    let named = std::env::split_paths(paths).filter(|path| !path.as_os_str().is_empty());
    let open = |path| Ok(Reference::new(Image::open(path)?, Caption::concept("the reference")));
    named.map(open).collect()
}

/// Tells the list of kernels, where one is made (`benches/device/kernels.cpp`), what to call those so far.
fn phase_ends(phase: &CStr) {
    let Some(path) = std::env::var_os("CUDA_INJECTION64_PATH") else { return };
    // SAFETY: CUDA has loaded the library already, and `kernels_mark` takes a C string.
    unsafe {
        if let Ok(library) = libloading::Library::new(path)
            && let Ok(mark) = library.get::<extern "C" fn(*const c_char)>("kernels_mark")
        {
            mark(phase.as_ptr());
        }
    }
}

/// The time since `start`, once `device` has everything that was copied to it.
pub(crate) fn loaded(start: Instant, device: Device) -> Duration {
    if let Device::Cuda(number) = device {
        tch::Cuda::synchronize(number as i64);
    }
    start.elapsed()
}

/// The middle of `values`, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        (values[middle - 1] + values[middle]) / 2.0
    } else {
        values[middle]
    }
}

/// The most memory that this process has held at once, in MB; Linux only.
fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
