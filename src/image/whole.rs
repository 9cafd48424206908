//! The bytes of a picture file to whether all of it is there, where its decoder does not say so.

use image::ImageFormat;

/// Whether the file is as long as its format says. Decoders refuse the other formats themselves
/// where pixels are missing.
pub(super) fn is_whole(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::Jpeg => has_end_of_image(bytes),
        ImageFormat::WebP => has_length(bytes),
        _ => true,
    }
}

/// Whether a JPEG has its end-of-image marker (ITU-T T.81, annex B). What lies behind it, such as
/// the second picture of an MPO file, does not count, and neither does a thumbnail inside a segment.
///
/// The decoder fills what is missing with grey. libjpeg, and so Pillow, refuses a file that ends
/// before this marker, and takes one with damage before it.
fn has_end_of_image(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // Entropy-coded data lie between markers, and have no 0xFF that is not followed by 0.
    while let Some(marker) = rest.iter().position(|&byte| byte == 0xff) {
        rest = &rest[marker + 1..];
        let length = match rest {
            [0xd9, ..] => return true,
            // Bytes that fill up, which may be many, are looked at one by one.
            [0xff, ..] => 0,
            // Stuffing, restarts, start of image, and what has no meaning have no length.
            [..0xc0 | 0xd0..=0xd8, ..] => 1,
            [_, high, low, ..] => 1 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => return false,
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Whether a WebP is as long as the header of its RIFF container says, as libwebp demands.
fn has_length(bytes: &[u8]) -> bool {
    let length = bytes.get(4..).and_then(<[u8]>::first_chunk).copied().map(u32::from_le_bytes);
    length.is_some_and(|length| bytes.len() as u64 >= u64::from(length) + 8)
}
