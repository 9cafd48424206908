//! Turns one request into an image with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers flux` runs it in turn with `omini_peer.py`, which takes the same arguments.

#[path = "peer.rs"]
mod peer;

use std::error::Error;
use std::time::Instant;

use imagerag::conditioner::{ConditionFit, ConditionLatents, OminiControl};
use imagerag::generator::{Flux, Offload};
use imagerag::models::{DType, Device};
use peer::{Arguments, loaded, measure};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::read();
    let device: Device = given.number("--device")?;
    let dtype: DType = given.number("--dtype")?;
    let start = Instant::now();
    let flux = Flux::builder(given.get("--model")?)
        .device(device)
        .dtype(dtype)
        .omini_control(given.get("--lora")?)
        .offload(offload(given.get("--offload").ok())?)
        .max_sequence_length(given.number("--max-sequence-length")?)
        .load()?;
    let adapter = OminiControl::builder(given.get("--lora")?)
        .condition_size(given.number("--condition-size")?)
        .position_delta(0, given.number("--position-delta")?)
        .pixels_per_token(flux.size_multiple())
        .fit(ConditionFit::Stretch)
        .latents(ConditionLatents::Mean)
        .build()?;
    measure(&given, loaded(start, device), &flux, &adapter)
}

fn offload(name: Option<&str>) -> Result<Offload, String> {
    match name {
        None | Some("none") => Ok(Offload::None),
        Some("cpu") => Ok(Offload::Cpu),
        Some("disk") => Ok(Offload::Disk),
        Some(other) => Err(format!("--offload: expected none, cpu or disk, found {other}")),
    }
}
