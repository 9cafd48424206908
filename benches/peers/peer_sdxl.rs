//! Turns one request into an image with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers` runs it in turn with `diffusers_peer.py`, which takes the same arguments.

#[path = "report.rs"]
mod report;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::executor::block_on;
use imagerag::conditioner::IpAdapter;
use imagerag::generator::{GenerateRequest, Progress, Sdxl};
use imagerag::models::{DType, Device};
use imagerag::retriever::{Caption, Provenance, Reference, Source};
use imagerag::{Conditioner, Generator, Image};
use report::{Arguments, report};

fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::read();

    let start = Instant::now();
    let (device, dtype) = (Device::Cpu, DType::F32);
    let sdxl =
        Sdxl::builder(given.get("--model")?).with_ip_adapter(given.get("--ip-adapter")?).load()?;
    let adapter =
        IpAdapter::load(given.get("--ip-adapter")?, given.get("--image-encoder")?, device, dtype)?
            .with_scale(given.number("--scale")?);
    let load = start.elapsed();

    let picture = Image::open(given.get("--reference")?)?;
    let reference = Reference {
        image: picture,
        caption: Caption::concept("the reference"),
        provenance: Provenance::new(Source::Caller(0), "caller", 1.0, 0),
    };
    let ends = Arc::new(Mutex::new(Vec::<Instant>::new()));
    let (mut images, mut steps) = (Vec::new(), Vec::new());
    for _ in 0..given.number("--images")? {
        ends.lock().unwrap().clear();
        let listener = Arc::clone(&ends);
        let start = Instant::now();
        let mut request = GenerateRequest::new(given.get("--prompt")?);
        // The same prompt as the peer's: the template that names the references is left out.
        request.conditioning =
            block_on(adapter.condition("", std::slice::from_ref(&reference)))?.conditioning;
        request.steps = Some(given.number("--steps")?);
        request.guidance_scale = Some(given.number("--guidance")?);
        request.seed = given.number("--seed")?;
        (request.width, request.height) =
            (Some(given.number("--size")?), Some(given.number("--size")?));
        request.progress = Progress::new(move |_| listener.lock().unwrap().push(Instant::now()));
        let image = block_on(sdxl.generate(&[request]))?.swap_remove(0);
        images.push(start.elapsed());
        steps.extend(ends.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]));
        image.save(given.get("--out")?)?;
    }
    report(load, &images, &steps)
}
