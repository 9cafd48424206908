//! Turns one request into an image with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers omnigen` runs it in turn with `omnigen_peer.py`, which takes the same arguments.

#[path = "peer.rs"]
mod peer;

use std::error::Error;
use std::time::Instant;

use imagerag::conditioner::{ConditionLatents, InPrompt};
use imagerag::generator::OmniGen;
use imagerag::models::{DType, Device};
use peer::{Arguments, loaded, measure};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::read();
    let device: Device = given.number("--device")?;
    let dtype: DType = given.number("--dtype")?;
    let latents: ConditionLatents = given.number("--reference-latents")?;
    let start = Instant::now();
    let omnigen = OmniGen::builder(given.get("--model")?)
        .device(device)
        .dtype(dtype)
        .image_guidance_scale(given.number("--image-guidance")?)
        .max_input_image_size(given.number("--max-input-image-size")?)
        .reference_latents(latents)
        .load()?;
    measure(&given, loaded(start, device), &omnigen, &InPrompt::new(3)?)
}
