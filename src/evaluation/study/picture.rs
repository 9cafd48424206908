//! Pictures to files that do not tell where they come from.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fastrand::Rng;

use crate::image::resample::{Filter, resize};
use crate::{Error, Image, Result};

/// JPEG's quality: pictures of all systems lose the same, and nothing that is seen.
const QUALITY: u8 = 95;

/// The picture with its longest side of `side` pixels, as a JPEG file without metadata.
pub(super) fn encoded(image: &Image, side: u32) -> Result<Vec<u8>> {
    scaled(image, side)?.encode_jpeg(QUALITY)
}

fn scaled(image: &Image, side: u32) -> Result<Image> {
    let (width, height) = (image.width(), image.height());
    let longest = width.max(height);
    if longest == side {
        return Ok(image.clone());
    }
    let scale = |length: u32| {
        let scaled =
            (u64::from(length) * u64::from(side) + u64::from(longest) / 2) / u64::from(longest);
        (scaled as u32).max(1)
    };
    let to = (scale(width), scale(height));
    let (from, size) = ((width as usize, height as usize), (to.0 as usize, to.1 as usize));
    let pixels = resize(image.pixels(), from, size, Filter::Lanczos, 0..size.0, 0..size.1);
    Image::new(to.0, to.1, pixels)
}

/// Makes the JPEG files equally long, by comments behind their first segment, also where they are packed:
/// what is in the comments is `random`. Each has one, so that equal pictures are different files.
pub(super) fn equally_long(files: &mut [Vec<u8>], random: &mut Rng) {
    /// Marker, length and content of the longest comment, and of the shortest.
    const LONGEST: usize = 2 + 0xffff;
    const SHORTEST: usize = 4 + 16;
    let longest = files.iter().map(Vec::len).max().unwrap_or(0);
    for file in files {
        let mut missing = longest + SHORTEST - file.len();
        let mut comments = Vec::with_capacity(missing);
        while missing > 0 {
            // What is left must be long enough for a comment of its own.
            let size = match missing {
                ..=LONGEST => missing,
                _ => LONGEST.min(missing - SHORTEST),
            };
            comments.extend([0xff, 0xfe]);
            comments.extend(((size - 2) as u16).to_be_bytes());
            comments.extend(std::iter::repeat_with(|| random.u8(..)).take(size - 4));
            missing -= size;
        }
        let behind = behind_first_segment(file);
        file.splice(behind..behind, comments);
    }
}

/// Behind the start of the image and the segment that names the format, JFIF.
fn behind_first_segment(file: &[u8]) -> usize {
    match file {
        [0xff, 0xd8, 0xff, 0xe0, high, low, ..] => {
            (4 + usize::from(u16::from_be_bytes([*high, *low]))).min(file.len())
        }
        _ => 2.min(file.len()),
    }
}

/// Writes a file whose time tells nothing: 1 January 2000.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.set_modified(time)?;
        file.sync_all()
    });
    written.map_err(|source| Error::io(path, source))
}
