//! Turns one request into an image with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers` runs it in turn with `diffusers_peer.py`, which takes the same arguments.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use imagerag::conditioner::IpAdapter;
use imagerag::generator::{GenerateRequest, Progress, Sdxl};
use imagerag::models::{DType, Device};
use imagerag::retriever::{Caption, Provenance, Reference, Source};
use imagerag::{Conditioner, Generator, Image};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<&str, &str> =
        words.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let get = |name: &str| given.get(name).copied().ok_or(format!("{name} is missing"));

    let start = Instant::now();
    let (device, dtype) = (Device::Cpu, DType::F32);
    let sdxl = Sdxl::builder(get("--model")?).with_ip_adapter(get("--ip-adapter")?).load()?;
    let adapter = IpAdapter::load(get("--ip-adapter")?, get("--image-encoder")?, device, dtype)?
        .with_scale(get("--scale")?.parse()?);
    let load = start.elapsed();

    let picture = Image::open(get("--reference")?)?;
    let reference = Reference {
        image: picture,
        caption: Caption::concept("the reference"),
        provenance: Provenance::new(Source::Caller(0), "caller", 1.0, 0),
    };
    let ends = Arc::new(Mutex::new(Vec::<Instant>::new()));
    let (mut images, mut steps) = (Vec::new(), Vec::new());
    for _ in 0..get("--images")?.parse()? {
        ends.lock().unwrap().clear();
        let listener = Arc::clone(&ends);
        let start = Instant::now();
        let mut request = GenerateRequest::new(get("--prompt")?);
        // The same prompt as the peer's: the template that names the references is left out.
        request.conditioning =
            block_on(adapter.condition("", std::slice::from_ref(&reference)))?.conditioning;
        request.steps = Some(get("--steps")?.parse()?);
        request.guidance_scale = Some(get("--guidance")?.parse()?);
        request.seed = get("--seed")?.parse()?;
        (request.width, request.height) =
            (Some(get("--size")?.parse()?), Some(get("--size")?.parse()?));
        request.progress = Progress::new(move |_| listener.lock().unwrap().push(Instant::now()));
        let image = block_on(sdxl.generate(&[request]))?.swap_remove(0);
        images.push(start.elapsed());
        steps.extend(ends.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]));
        image.save(get("--out")?)?;
    }
    println!(
        "{{\"load\": {}, \"images\": {:?}, \"steps\": {:?}, \"peak_mb\": {}}}",
        load.as_secs_f64(),
        seconds(&images),
        seconds(&steps),
        peak_mb()?
    );
    Ok(())
}

fn seconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(Duration::as_secs_f64).collect()
}

/// The most memory that this process has held at once, in MB; Linux only.
fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
