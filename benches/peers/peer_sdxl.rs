//! Turns one request into an image with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers` runs it in turn with `diffusers_peer.py`, which takes the same arguments.

#[path = "peer.rs"]
mod peer;

use std::error::Error;
use std::time::Instant;

use imagerag::conditioner::IpAdapter;
use imagerag::generator::Sdxl;
use imagerag::models::{DType, Device};
use peer::{Arguments, loaded, measure};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::read();
    let device: Device = given.number("--device")?;
    let dtype: DType = given.number("--dtype")?;
    let start = Instant::now();
    let (file, encoder) = (given.get("--ip-adapter")?, given.get("--image-encoder")?);
    let sdxl =
        Sdxl::builder(given.get("--model")?).device(device).dtype(dtype).ip_adapter(file).load()?;
    let adapter =
        IpAdapter::load(file, encoder, device, dtype)?.with_scale(given.number("--scale")?);
    measure(&given, loaded(start, device), &sdxl, &adapter)
}
