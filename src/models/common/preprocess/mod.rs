//! Pictures to the pixel tensors that image towers were trained on, equal to transformers'
//! `CLIPImageProcessor` and `SiglipImageProcessor` over Pillow.

use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use tch::{Kind, Tensor};

use super::fields::{Fields, MAX_SIDE};
use crate::Result;
use crate::image::Image;
use crate::image::resample::{Filter, resize};

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

impl Preprocessor {
    /// From the `preprocessor_config.json` of `folder`, or the `image_processor` in its
    /// `processor_config.json`; without either, the settings of its `family`. Refuses settings that
    /// do not end in pictures of `side` × `side` pixels, which is what the network takes.
    pub(crate) fn open(folder: &Path, side: i64, family: Family) -> Result<Self> {
        let side = usize::try_from(side).unwrap_or(0);
        let path = folder.join("preprocessor_config.json");
        if path.exists() {
            return Self::new(&Fields::open(&path)?.without_nulls(), side, family);
        }
        let path = folder.join("processor_config.json");
        if path.exists()
            && let Some(settings) = Fields::open(&path)?.object("image_processor")?
        {
            return Self::new(&settings.without_nulls(), side, family);
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

    fn new(settings: &Fields, side: usize, family: Family) -> Result<Self> {
        let default = if family.crops { Size::Shortest(side) } else { Size::Exact(side, side) };
        let size = parse_size(settings, "size", Size::Shortest)?.unwrap_or(default);
        let number = settings.integer("resample", Filter::Bicubic as i64, 0..=5)?;
        let filter = Filter::from_number(number as u64).unwrap_or(Filter::Bicubic);
        let square = |side| Size::Exact(side, side);
        let crop = match parse_size(settings, "crop_size", square)?.unwrap_or(square(side)) {
            Size::Exact(height, width) => (height, width),
            Size::Shortest(_) => {
                return Err(settings.invalid("crop_size", "height and width", "shortest_edge"));
            }
        };
        let crop = settings.flag("do_center_crop", family.crops)?.then_some(crop);
        let resize = settings.flag("do_resize", true)?.then_some((size, filter));
        let factor = settings.number("rescale_factor", 1.0 / 255.0)?;
        let channels = "three numbers";
        let mean = settings.typed("image_mean", family.mean, channels)?;
        let std = settings.typed("image_std", family.std, channels)?;
        let usable = mean.iter().chain(&std).all(|v| v.is_finite()) && !std.contains(&0.0);
        let found = format!("{mean:?} and {std:?}");
        settings.require("image_mean and image_std", usable, "finite numbers, no std 0", found)?;
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
        let field = "size after resizing and cropping";
        settings.require(field, ends == Some((side, side)), expected, found)?;
        let values = table(
            settings.flag("do_rescale", true)?.then_some(factor),
            settings.flag("do_normalize", true)?.then_some((mean, std)),
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

/// The size in `field`: a number, `[height, width]`, or an object.
fn parse_size(
    fields: &Fields,
    field: &str,
    number: impl Fn(usize) -> Size,
) -> Result<Option<Size>> {
    let side = |value: &Value| {
        let side = value.as_i64().filter(|side| (1..=MAX_SIDE).contains(side))?;
        usize::try_from(side).ok()
    };
    let exact = |height, width| Some(Size::Exact(side(height)?, side(width)?));
    let value = fields.value(field);
    let size = match value {
        Value::Null => return Ok(None),
        Value::Number(_) => side(value).map(number),
        Value::Array(sides) => match sides.as_slice() {
            [height, width] => exact(height, width),
            _ => None,
        },
        Value::Object(fields) => {
            match (fields.get("shortest_edge"), fields.get("height"), fields.get("width")) {
                (Some(short), None, None) if fields.len() == 1 => side(short).map(Size::Shortest),
                (None, Some(height), Some(width)) if fields.len() == 2 => exact(height, width),
                _ => None,
            }
        }
        _ => None,
    };
    let expected =
        format!("a number, {{shortest_edge}} or {{height, width}}, from 1 to {MAX_SIDE} pixels");
    size.map(Some).ok_or_else(|| fields.invalid(field, expected, value))
}

#[cfg(test)]
mod tests;
