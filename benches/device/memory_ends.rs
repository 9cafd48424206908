//! A device that is full: the error says so, and the generator lives on.

use imagerag::models::{DType, Device};
use serde_json::json;
use tch::{Kind, Tensor};

use crate::{Found, Result, tiny};

/// What the memory is filled with at a time, and how many of these are given back.
const BLOCK: i64 = 64 << 20;
const LEFT: usize = 3;
/// The first convolution of an image of this size asks for more than what is left.
const TOO_LARGE: u32 = 2048;

pub(crate) fn run(device: Device, dtype: DType) -> Result<Found> {
    let sdxl = tiny::load(device, dtype)?;
    let before = tiny::draw(&sdxl, tiny::request(64, 2, 1))?.0;
    let mut filled = Vec::new();
    while let Ok(block) = Tensor::f_empty([BLOCK], (Kind::Uint8, tiny::in_libtorch(device))) {
        filled.push(block);
    }
    let blocks = filled.len();
    filled.truncate(blocks.saturating_sub(LEFT));
    let (error, requested) = match tiny::draw(&sdxl, tiny::request(TOO_LARGE, 1, 1)) {
        Ok(_) => ("none: the image was drawn".to_owned(), None),
        Err(error) => (first_line(&error.to_string()), requested(error.as_ref())),
    };
    let after = tiny::draw(&sdxl, tiny::request(64, 2, 1));
    let lives = after.as_ref().is_ok_and(|(image, _)| *image == before);
    let next = match after {
        Ok(_) if lives => "the next image is right".to_owned(),
        Ok(_) => "the next image is wrong".to_owned(),
        Err(error) => format!("the next image fails: {error}"),
    };
    Ok(Found {
        passed: requested.is_some() && lives,
        line: format!("{error}; {next}"),
        figures: json!({ "error": error, "requested": requested, "next_image_right": lives,
            "filled_mb": blocks as i64 * (BLOCK >> 20) }),
    })
}

/// The bytes that were asked for, where the error is one of memory that says so.
fn requested(error: &(dyn std::error::Error + 'static)) -> Option<u64> {
    match error.downcast_ref() {
        Some(imagerag::Error::OutOfMemory { requested, .. }) => *requested,
        _ => None,
    }
}

/// What an error says before the places in libtorch that it came through.
fn first_line(text: &str) -> String {
    let ends = ["\n", "\\nframe", " Including non-PyTorch memory"];
    let end = ends.iter().filter_map(|end| text.find(end)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}
