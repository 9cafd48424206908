//! A request to the JSON of `generateContent`, and to what is noted of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::model::Model;
use crate::Result;
use crate::conditioner::Conditioning;
use crate::error::require;
use crate::generator::GenerateRequest;
use crate::generator::remote::asked::{self, not_sent};
use crate::generator::remote::merge;
use crate::generator::remote::reference::{pixels, scaled};
use crate::image::Image;

/// What every request of a generator is sent with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) model: String,
    pub(super) known: Model,
    pub(super) max_references: usize,
    pub(super) aspect_ratio: Option<String>,
    pub(super) image_size: Option<String>,
    pub(super) max_reference_pixels: u64,
    pub(super) jpeg_quality: u8,
    pub(super) fields: Map<String, Value>,
}

/// The most that references may take in base64, in bytes: Gemini takes requests of 20 MB, from its
/// guide of image understanding, and the prompt needs room too.
const MAX_INLINE: usize = 19_000_000;
/// References are not made smaller than this, in pixels.
const LEAST: u64 = 64 * 64;

/// The body for `request`, and what is not as it asked.
pub(super) fn body(
    settings: &Settings,
    request: &GenerateRequest,
) -> Result<(String, Vec<String>)> {
    let mut notes = Vec::new();
    let mut parts = vec![json!({ "text": request.prompt })];
    if let Conditioning::Images(images) = &request.conditioning {
        let (most, quality) = (settings.max_reference_pixels, settings.jpeg_quality);
        let (encoded, most) = within(MAX_INLINE, images, most, quality)?;
        let scaled = images.iter().filter(|image| pixels(image) > most).count();
        if scaled > 0 {
            notes.push(format!("references scaled to {most} pixels: {scaled} of {}", images.len()));
        }
        let part = |data| json!({ "inlineData": { "mimeType": "image/jpeg", "data": data } });
        parts.extend(encoded.into_iter().map(part));
    }
    let mut generation = json!({ "responseModalities": ["IMAGE"] });
    let config = image_config(settings, request);
    if !config.is_empty() {
        generation["imageConfig"] = config.into();
    }
    let mut body = json!({
        "contents": [{ "role": "user", "parts": parts }],
        "generationConfig": generation,
    });
    merge(&mut body, &settings.fields);
    notes.extend(not_sent(&[
        ("the negative prompt", request.negative_prompt.is_some()),
        ("steps", request.steps.is_some()),
        ("the guidance scale", request.guidance_scale.is_some()),
    ]));
    Ok((body.to_string(), notes))
}

/// What the image should be like, as far as that is said.
fn image_config(settings: &Settings, request: &GenerateRequest) -> Map<String, Value> {
    let known = &settings.known;
    let asked = asked::size(request.width, request.height);
    let ratio = || asked.map(|(width, height)| known.nearest_ratio(width, height).to_owned());
    let size =
        || asked.and_then(|(width, height)| Some(known.nearest_size(width, height)?.to_owned()));
    let fields = [
        ("aspectRatio", settings.aspect_ratio.clone().or_else(ratio)),
        ("imageSize", settings.image_size.clone().or_else(size)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

/// `images` as JPEG in base64, together of at most `bytes`, and how many pixels each has at most
/// for that, which are not more than `most`.
fn within(
    bytes: usize,
    images: &[Image],
    mut most: u64,
    quality: u8,
) -> Result<(Vec<String>, u64)> {
    let encode =
        |image: &Image, most| Ok(STANDARD.encode(scaled(image, most)?.encode_jpeg(quality)?));
    loop {
        let encoded = images.iter().map(|image| encode(image, most)).collect::<Result<Vec<_>>>()?;
        let found: usize = encoded.iter().map(String::len).sum();
        if found <= bytes {
            return Ok((encoded, most));
        }
        let largest = images.iter().map(pixels).max().unwrap_or(most).min(most);
        let expected = format!("at most {bytes} bytes in a request");
        require(largest > LEAST, "references", expected, format!("{found} at {largest} pixels"))?;
        // A little less than in proportion, so that it comes to an end.
        most = ((largest as f64 * 0.9 * bytes as f64 / found as f64) as u64).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels that no encoder makes small.
    fn noise(width: u32, height: u32) -> Image {
        let mut state = 1_u32;
        let pixels = (0..3 * width * height).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Image::new(width, height, pixels.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn references_are_scaled_until_they_fit() {
        let images = [noise(300, 150), noise(100, 200)];
        let sizes = |encoded: &[String]| -> Vec<(u32, u32)> {
            let decoded =
                encoded.iter().map(|one| Image::decode(&STANDARD.decode(one).unwrap()).unwrap());
            decoded.map(|image| (image.width(), image.height())).collect()
        };
        let (encoded, most) = within(1 << 20, &images, 50_000, 90).unwrap();
        assert_eq!((sizes(&encoded), most), (vec![(300, 150), (100, 200)], 50_000));

        let (encoded, most) = within(30_000, &images, 50_000, 90).unwrap();
        assert!((LEAST..45_000).contains(&most), "{most}");
        assert!(encoded.iter().map(String::len).sum::<usize>() <= 30_000);
        let (width, height) = sizes(&encoded)[0];
        assert!(u64::from(width * height) <= most && width.abs_diff(2 * height) <= 2);

        let error = within(1_000, &images, 50_000, 90).unwrap_err().to_string();
        assert!(error.starts_with("references: expected at most 1000 bytes"), "{error}");
        assert_eq!(within(10, &[], 64, 90).unwrap(), (vec![], 64));
    }
}
