//! The size of an image to whether it is in whole patches, and bounded.

use crate::Result;
use crate::error::require;

/// The most pixels of an image: eight times the side that SDXL and FLUX are trained for, squared.
const MAX_PIXELS: u64 = 8192 * 8192;

/// Refuses sizes that are not in whole patches, or too large.
pub(super) fn checked_size((width, height): (u32, u32), multiple: u32) -> Result<()> {
    for (what, side) in [("width", width), ("height", height)] {
        let fits = side > 0 && side.is_multiple_of(multiple);
        require(fits, what, format!("a multiple of {multiple}"), side)?;
    }
    bounded("image size", width, height)
}

/// Refuses sizes that no memory holds.
pub(super) fn bounded(what: &str, width: u32, height: u32) -> Result<()> {
    let fits = u64::from(width) * u64::from(height) <= MAX_PIXELS;
    require(fits, what, format!("at most {MAX_PIXELS} pixels"), format!("{width}x{height}"))
}
