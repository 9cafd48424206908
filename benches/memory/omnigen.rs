//! Compares what an OmniGen request is estimated to take of memory with what it takes on the CPU.
//!
//! ```text
//! MALLOC_MMAP_THRESHOLD_=65536 cargo xtask cargo -- run --release --features tch \
//!     --example omnigen_memory -- OmniGen-v1-diffusers/ SIDE STEPS [REFERENCE]...
//! ```
//!
//! draws an image of `SIDE` x `SIDE` pixels with the references, and prints what it takes beside the
//! weights. A small image is drawn before, so that the program itself and libtorch are there. With the
//! variable, glibc gives memory back to the system as soon as it is free. Linux only.

use std::error::Error;

use futures::executor::block_on;
use imagerag::Image;
use imagerag::conditioner::Conditioning;
use imagerag::generator::{GenerateRequest, GeneratorExt, OmniGen};
use imagerag::models::{DType, Device};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, side, steps, references @ ..] = arguments.as_slice() else {
        return Err("usage: omnigen_memory MODEL SIDE STEPS [REFERENCE]...".into());
    };
    let images = references.iter().map(Image::open).collect::<Result<Vec<_>, _>>()?;
    let marks: String = (1..=images.len()).map(|n| format!(" <img><|image_{n}|></img>")).collect();
    let side: u32 = side.parse()?;
    let request = GenerateRequest::new(format!("a bird's nest on a branch{marks}"))
        .with_conditioning(Conditioning::Images(images))
        .with_size(side, side)
        .with_steps(steps.parse()?);

    let omnigen = OmniGen::load(model, Device::Cpu, DType::F32)?;
    let small = GenerateRequest::new("a bird").with_size(16, 16).with_steps(1);
    let mut taken = Vec::new();
    for request in [&small, &request] {
        block_on(omnigen.generate_one(request))?;
        taken.push((peak()?, omnigen.estimate(request)?));
    }
    let [(first, small), (second, estimate)] = &taken[..] else { unreachable!("two requests") };
    let estimated = (estimate.with_device_cache - small.with_device_cache) as f64 / 1e6;
    let taken = second - first;
    println!("estimated {estimated:.0} MB, taken {taken:.0} MB: {:.2}", estimated / taken);
    println!("peak of the process {second:.0} MB; {estimate}");
    Ok(())
}

/// The most memory that this process has held, in MB.
fn peak() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0 / 1e6)
}
