//! Two generators in one process that draw at the same time: each draws what it draws alone.

use std::thread;

use imagerag::Image;
use imagerag::generator::Sdxl;
use imagerag::models::{DType, Device};
use serde_json::json;

use crate::{Found, Result, tiny};

/// Images that each draws, and their sides in pixels.
const IMAGES: u64 = 4;
const SIZE: u32 = 64;

pub(crate) fn run(device: Device, dtype: DType) -> Result<Found> {
    let first = tiny::load(device, dtype)?;
    #[allow(clippy::disallowed_methods, reason = "the first model has loaded CUDA")]
    let other = match device {
        Device::Cuda(0) if tch::Cuda::device_count() > 1 => Device::Cuda(1),
        same => same,
    };
    let second = tiny::load(other, dtype)?;
    // Sizes that differ, so that what one caches is of no use to the other.
    let alone = [images(&first, SIZE)?, images(&second, 2 * SIZE)?];
    let together = thread::scope(|scope| {
        let first = scope.spawn(|| images(&first, SIZE).map_err(|error| error.to_string()));
        let second = scope.spawn(|| images(&second, 2 * SIZE).map_err(|error| error.to_string()));
        [first, second].map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned()))
    });
    let mut equal = 0;
    for (alone, together) in alone.iter().zip(together) {
        equal +=
            alone.iter().zip(together??).filter(|(alone, together)| *alone == together).count();
    }
    let all = 2 * IMAGES as usize;
    Ok(Found {
        passed: equal == all,
        line: format!("{device} and {other}: {equal} of {all} images equal those drawn alone"),
        figures: json!({ "devices": [device.to_string(), other.to_string()], "equal": equal, "of": all }),
    })
}

fn images(sdxl: &Sdxl, size: u32) -> Result<Vec<Image>> {
    (0..IMAGES).map(|seed| Ok(tiny::draw(sdxl, tiny::request(size, 6, seed))?.0)).collect()
}
