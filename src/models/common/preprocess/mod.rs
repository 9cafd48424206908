//! Pictures to the pixel tensors that image towers were trained on, equal to transformers'
//! `CLIPImageProcessor` and `SiglipImageProcessor` over Pillow.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tch::{Kind, Tensor};

use super::json::{read_json, require};
use crate::image::Image;
use crate::image::resample::{Filter, resize};
use crate::{Error, Result};

/// CLIP's own statistics, for folders without settings
/// (`OPENAI_CLIP_MEAN` and `OPENAI_CLIP_STD` in transformers).
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// What stands where a folder's settings say nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// Whether the shorter side is resized and the middle cut out; else both sides are resized.
    crops: bool,
    mean: [f32; 3],
    std: [f32; 3],
}

impl Family {
    /// `CLIPImageProcessor` in transformers.
    pub(crate) const CLIP: Self = Self { crops: true, mean: CLIP_MEAN, std: CLIP_STD };
    /// `SiglipImageProcessor` in transformers.
    pub(crate) const SIGLIP: Self = Self { crops: false, mean: [0.5; 3], std: [0.5; 3] };
}

/// The largest side a picture is resized to, in pixels; the networks here take at most 336.
const MAX_SIDE: u64 = 8192;

/// Turns pictures into `[b, 3, side, side]`.
#[derive(Debug)]
pub(crate) struct Preprocessor {
    resize: Option<(Size, Filter)>,
    /// Height and width that are cut out of the middle.
    crop: Option<(usize, usize)>,
    /// Byte to value, a channel.
    values: [[f32; 256]; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    /// The shorter side; the longer keeps the proportions.
    Shortest(usize),
    /// Height and width.
    Exact(usize, usize),
}

#[derive(Deserialize)]
struct Settings {
    do_resize: Option<bool>,
    size: Option<Value>,
    resample: Option<u64>,
    do_center_crop: Option<bool>,
    crop_size: Option<Value>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

impl Preprocessor {
    /// From the `preprocessor_config.json` of `folder`, or the `image_processor` in its
    /// `processor_config.json`; without either, the settings of its `family`. Refuses settings that
    /// do not end in pictures of `side` × `side` pixels, which is what the network takes.
    pub(crate) fn open(folder: &Path, side: i64, family: Family) -> Result<Self> {
        #[derive(Deserialize)]
        struct Processor {
            image_processor: Option<Settings>,
        }
        let side = usize::try_from(side).unwrap_or(0);
        let path = folder.join("preprocessor_config.json");
        if path.exists() {
            let settings = read_json(&path)?;
            return Self::new(settings, path, side, family);
        }
        let path = folder.join("processor_config.json");
        if path.exists()
            && let Processor { image_processor: Some(settings) } = read_json(&path)?
        {
            return Self::new(settings, path, side, family);
        }
        Ok(Self::of(family, side))
    }

    /// The settings of a family for pictures of `side` × `side` pixels, with bicubic resizing.
    pub(crate) fn of(Family { crops, mean, std }: Family, side: usize) -> Self {
        let size = if crops { Size::Shortest(side) } else { Size::Exact(side, side) };
        Self {
            resize: Some((size, Filter::Bicubic)),
            crop: crops.then_some((side, side)),
            values: table(Some(1.0 / 255.0), Some((mean, std))),
        }
    }

    fn new(settings: Settings, path: PathBuf, side: usize, family: Family) -> Result<Self> {
        let default = if family.crops { Size::Shortest(side) } else { Size::Exact(side, side) };
        let size =
            parse_size(&path, "size", settings.size.as_ref(), Size::Shortest)?.unwrap_or(default);
        let number = settings.resample.unwrap_or(Filter::Bicubic as u64);
        let filter = Filter::from_number(number)
            .ok_or_else(|| Error::invalid_file(&path, "resample", "0 to 5", number))?;
        let square = |side| Size::Exact(side, side);
        let crop = parse_size(&path, "crop_size", settings.crop_size.as_ref(), square)?;
        let crop = match crop.unwrap_or(square(side)) {
            Size::Exact(height, width) => (height, width),
            Size::Shortest(_) => {
                return Err(Error::invalid_file(
                    &path,
                    "crop_size",
                    "height and width",
                    "shortest_edge",
                ));
            }
        };
        let crop = settings.do_center_crop.unwrap_or(family.crops).then_some(crop);
        let resize = settings.do_resize.unwrap_or(true).then_some((size, filter));
        let factor = settings.rescale_factor.unwrap_or(1.0 / 255.0);
        require(&path, "rescale_factor", factor.is_finite(), "a finite number", factor)?;
        let mean = settings.image_mean.unwrap_or(family.mean);
        let std = settings.image_std.unwrap_or(family.std);
        let usable = mean.iter().chain(&std).all(|v| v.is_finite()) && !std.contains(&0.0);
        let found = format!("{mean:?} and {std:?}");
        require(&path, "image_mean and image_std", usable, "finite numbers, no std 0", found)?;
        let ends = match (crop, resize) {
            (Some(crop), _) => Some(crop),
            (None, Some((Size::Exact(height, width), _))) => Some((height, width)),
            _ => None,
        };
        let found = match ends {
            Some((height, width)) => format!("{width}x{height}"),
            None => "pictures of any size".to_owned(),
        };
        let expected = format!("{side}x{side}, the network's image_size");
        require(
            &path,
            "size after resizing and cropping",
            ends == Some((side, side)),
            expected,
            found,
        )?;
        let values = table(
            settings.do_rescale.unwrap_or(true).then_some(factor),
            settings.do_normalize.unwrap_or(true).then_some((mean, std)),
        );
        Ok(Self { resize, crop, values })
    }

    /// The pixel tensor of `images`, on the CPU in `f32`.
    pub(crate) fn forward(&self, images: &[Image]) -> Tensor {
        let tensors: Vec<Tensor> = images.iter().map(|image| self.one(image)).collect();
        if tensors.is_empty() {
            return Tensor::zeros([0, 3, 0, 0], (Kind::Float, tch::Device::Cpu));
        }
        Tensor::stack(&tensors, 0) // [b, 3, h, w]
    }

    /// What of `image` the network sees, as a picture that gives the same tensor; the image itself
    /// where no smaller picture does.
    pub(crate) fn preprocess(&self, image: &Image) -> Image {
        let from = (image.width() as usize, image.height() as usize);
        let (to, filter) = self.target(from);
        let (height, width) = self.crop.unwrap_or((to.1, to.0));
        let (columns, rows) = (middle(to.0, width).0, middle(to.1, height).0);
        let kept = (columns.len(), rows.len());
        if self.target(kept).0 != kept {
            return image.clone();
        }
        let pixels = resize(image.pixels(), from, to, filter, columns, rows);
        Image::new(kept.0 as u32, kept.1 as u32, pixels).unwrap_or_else(|_| image.clone())
    }

    /// The size before cropping of a picture of `from`, width first, and how it gets there.
    fn target(&self, from: (usize, usize)) -> ((usize, usize), Filter) {
        match self.resize {
            Some((size, filter)) => (size.of(from), filter),
            None => (from, Filter::Nearest),
        }
    }

    fn one(&self, image: &Image) -> Tensor {
        // 1. The size before cropping, and the part of it that is kept.
        let from = (image.width() as usize, image.height() as usize);
        let (to, filter) = self.target(from);
        let (height, width) = self.crop.unwrap_or((to.1, to.0));
        let (columns, left) = middle(to.0, width);
        let (rows, top) = middle(to.1, height);
        // 2. Only that part is resized.
        let kept = resize(image.pixels(), from, to, filter, columns.clone(), rows);
        // 3. Bytes to values; what a small picture does not cover is black.
        let mut values = Vec::with_capacity(3 * height * width);
        for table in &self.values {
            values.extend(std::iter::repeat_n(table[0], height * width));
        }
        for (i, rgb) in kept.chunks_exact(3).enumerate() {
            let (row, column) = (top + i / columns.len(), left + i % columns.len());
            for (channel, &byte) in rgb.iter().enumerate() {
                values[(channel * height + row) * width + column] =
                    self.values[channel][usize::from(byte)];
            }
        }
        Tensor::from_slice(&values).view([3, height as i64, width as i64]) // [3, h, w]
    }
}

impl Size {
    /// Width and height that a picture of `width` × `height` is resized to.
    fn of(self, (width, height): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Exact(height, width) => (width, height),
            Self::Shortest(side) => {
                let (short, long) = (width.min(height), width.max(height));
                // Divided as Python divides whole numbers: in floating point, then cut.
                let long = ((side * long) as f64 / short as f64) as usize;
                if width <= height { (side, long) } else { (long, side) }
            }
        }
    }
}

/// What of `from` pixels a crop to `to` keeps, and where that begins in the crop.
fn middle(from: usize, to: usize) -> (Range<usize>, usize) {
    if to <= from {
        let first = (from - to) / 2;
        (first..first + to, 0)
    } else {
        (0..from, (to - from).div_ceil(2))
    }
}

/// The value of every byte: rescaled in double precision, then normalised in single.
fn table(factor: Option<f64>, normal: Option<([f32; 3], [f32; 3])>) -> [[f32; 256]; 3] {
    std::array::from_fn(|channel| {
        std::array::from_fn(|byte| {
            let value = factor.map_or(byte as f32, |factor| (byte as f64 * factor) as f32);
            normal.map_or(value, |(mean, std)| (value - mean[channel]) / std[channel])
        })
    })
}

/// The size in `value`: a number, `[height, width]`, or an object.
fn parse_size(
    path: &Path,
    field: &str,
    value: Option<&Value>,
    number: impl Fn(usize) -> Size,
) -> Result<Option<Size>> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let side = |value: &Value| {
        let side = value.as_u64().filter(|side| (1..=MAX_SIDE).contains(side))?;
        usize::try_from(side).ok()
    };
    let size = match value {
        Value::Number(_) => side(value).map(number),
        Value::Array(sides) => match sides.as_slice() {
            [height, width] => side(height).zip(side(width)).map(|(h, w)| Size::Exact(h, w)),
            _ => None,
        },
        Value::Object(fields) => {
            match (fields.get("shortest_edge"), fields.get("height"), fields.get("width")) {
                (Some(short), None, None) if fields.len() == 1 => side(short).map(Size::Shortest),
                (None, Some(height), Some(width)) if fields.len() == 2 => {
                    side(height).zip(side(width)).map(|(h, w)| Size::Exact(h, w))
                }
                _ => None,
            }
        }
        _ => None,
    };
    let expected =
        format!("a number, {{shortest_edge}} or {{height, width}}, from 1 to {MAX_SIDE} pixels");
    size.map(Some).ok_or_else(|| Error::invalid_file(path, field, expected, value))
}

#[cfg(test)]
mod tests;
