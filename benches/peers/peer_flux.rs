//! Turns one request into an image with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers flux` runs it in turn with `omini_peer.py`, which takes the same arguments.

#[path = "report.rs"]
mod report;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::executor::block_on;
use imagerag::conditioner::{ConditionFit, ConditionLatents, OminiControl};
use imagerag::generator::{Flux, GenerateRequest, Progress};
use imagerag::retriever::{Caption, Provenance, Reference, Source};
use imagerag::{Conditioner, Generator, Image};
use report::{Arguments, report};

fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::read();

    let start = Instant::now();
    let flux = Flux::builder(given.get("--model")?)
        .with_omini_control(given.get("--lora")?)
        .with_max_sequence_length(given.number("--max-sequence-length")?)
        .load()?;
    let load = start.elapsed();

    let adapter = OminiControl::builder(given.get("--lora")?)
        .with_condition_size(given.number("--condition-size")?)
        .with_position_delta(0, given.number("--position-delta")?)
        .with_fit(ConditionFit::Stretch)
        .with_latents(ConditionLatents::Mean)
        .build()?;
    let reference = Reference {
        image: Image::open(given.get("--reference")?)?,
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
        request.seed = given.number("--seed")?;
        let size = given.number("--size")?;
        (request.width, request.height) = (Some(size), Some(size));
        request.progress = Progress::new(move |_| listener.lock().unwrap().push(Instant::now()));
        let image = block_on(flux.generate(&[request]))?.swap_remove(0);
        images.push(start.elapsed());
        steps.extend(ends.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]));
        image.save(given.get("--out")?)?;
    }
    report(load, &images, &steps)
}
