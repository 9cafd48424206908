//! A folder's image processor settings, or those of a checkpoint's authors, to a [`Preprocessor`].

use std::path::Path;

use serde_json::Value;

use super::{Margin, Preprocessing, Preprocessor, Size};
use crate::image::resample::Filter;
use crate::models::common::fields::{Fields, MAX_SIDE};
use crate::{Error, Result};

/// Mean and standard deviation of each channel, red first.
type Statistics = ([f32; 3], [f32; 3]);

/// `OPENAI_CLIP_MEAN` and `OPENAI_CLIP_STD` in transformers.
const OPENAI: Statistics =
    ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]);
/// `IMAGENET_STANDARD_MEAN` and `IMAGENET_STANDARD_STD` in transformers.
const HALF: Statistics = ([0.5; 3], [0.5; 3]);
/// `IMAGENET_DEFAULT_MEAN` and `IMAGENET_DEFAULT_STD` in transformers.
const IMAGENET: Statistics = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Whose preprocessing stands where a folder's settings say nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Family {
    Clip,
    Siglip,
    /// `ViTModel`: DINO.
    Vit,
    Dinov2,
}

/// The pictures that a network takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    /// Those of this height and width.
    Only(usize, usize),
    /// Those of any size; where nothing else is said, squares of this side.
    Any(usize),
}

/// What a class of image processors does where its settings say nothing, with squares of the network's
/// side in place of 224.
#[derive(Clone, Copy)]
struct Defaults {
    /// Whether the shorter side is resized and the middle cut out; else both sides are resized.
    crops: bool,
    /// Whether a number under `size` is both sides; else it is the shorter one.
    square: bool,
    filter: Filter,
    statistics: Statistics,
}

/// `BitImageProcessor` and `CLIPImageProcessor` in transformers.
const BIT: Defaults =
    Defaults { crops: true, square: false, filter: Filter::Bicubic, statistics: OPENAI };
/// `SiglipImageProcessor` in transformers.
const SIGLIP: Defaults = Defaults { crops: false, statistics: HALF, ..BIT };
/// `ViTImageProcessor` in transformers.
const VIT: Defaults =
    Defaults { crops: false, square: true, filter: Filter::Bilinear, statistics: HALF };

impl Defaults {
    /// Those of the class that `settings` name; where they name none, of the one that transformers
    /// takes for the `family`.
    fn of(settings: &Fields, family: Family) -> Result<Self> {
        let names = ["image_processor_type", "feature_extractor_type"];
        let Some(field) = names.into_iter().find(|field| settings.is_written(field)) else {
            return Ok(match family {
                Family::Clip | Family::Dinov2 => BIT,
                Family::Siglip => SIGLIP,
                Family::Vit => VIT,
            });
        };
        let name = settings.name(field)?;
        let class = ["Fast", "Pil"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        match class.replace("FeatureExtractor", "ImageProcessor").as_str() {
            "BitImageProcessor" | "CLIPImageProcessor" => Ok(BIT),
            "SiglipImageProcessor" => Ok(SIGLIP),
            "ViTImageProcessor" => Ok(VIT),
            _ => {
                let expected = "BitImageProcessor, CLIPImageProcessor, SiglipImageProcessor or \
                                ViTImageProcessor";
                Err(settings.invalid(field, expected, name))
            }
        }
    }
}

/// All that is done to a picture.
struct Steps {
    resize: Option<(Size, Filter)>,
    crop: Option<(usize, usize)>,
    margin: Margin,
    factor: Option<f64>,
    normal: Option<Statistics>,
}

impl Preprocessor {
    /// As in [`new`](Self::new), by the folder's files, for a network that takes pictures of `side` ×
    /// `side` pixels.
    pub(crate) fn open(folder: &Path, side: i64, family: Family) -> Result<Self> {
        let side = usize::try_from(side).unwrap_or(0);
        Self::new(folder, Input::Only(side, side), family, Preprocessing::File)
    }

    /// The preprocessing of the checkpoint in `folder`. Refuses one that does not end in the pictures
    /// that the network takes.
    pub(crate) fn new(
        folder: &Path,
        input: Input,
        family: Family,
        preprocessing: Preprocessing,
    ) -> Result<Self> {
        match preprocessing {
            Preprocessing::File => {
                let nothing = || Fields::parse(&folder.join("preprocessor_config.json"), "{}");
                let settings = settings(folder)?.map_or_else(nothing, Ok)?;
                Self::read(&settings.without_nulls(), input, family)
            }
            Preprocessing::Official => {
                let (official, found) = (Self::official(input, family), input.size());
                if official.fits(input) {
                    return Ok(official);
                }
                let expected = format!("{}, to which DINO's authors crop", official.found());
                let found = format!("{}x{}", found.1, found.0);
                Err(Error::invalid_file(folder.join("config.json"), "image_size", expected, found))
            }
        }
    }

    /// What the authors' programs do.
    pub(super) fn official(input: Input, family: Family) -> Self {
        let (height, width) = input.size();
        let (size, crop, statistics) = match family {
            Family::Clip => (Size::Shortest(height), Some((height, width)), OPENAI),
            Family::Siglip => (Size::Exact(height, width), None, HALF),
            Family::Vit | Family::Dinov2 => (Size::Shortest(256), Some((224, 224)), IMAGENET),
        };
        Self::of(Steps {
            resize: Some((size, Filter::Bicubic)),
            crop,
            margin: Margin::Even,
            factor: Some(1.0 / 255.0),
            normal: Some(statistics),
        })
    }

    /// What `settings` say, which have no field that is `null`.
    pub(super) fn read(settings: &Fields, input: Input, family: Family) -> Result<Self> {
        let defaults = Defaults::of(settings, family)?;
        let (height, width) = input.size();
        let square = |side| Size::Exact(side, side);
        let default = match defaults.crops {
            true => Size::Shortest(height),
            false => Size::Exact(height, width),
        };
        let number = match settings.flag("default_to_square", defaults.square)? {
            true => square,
            false => Size::Shortest,
        };
        let size = parse_size(settings, "size", number)?.unwrap_or(default);
        let number = settings.integer("resample", defaults.filter as i64, 0..=5)?;
        let filter = Filter::from_number(number as u64).unwrap_or(defaults.filter);
        let default = Size::Exact(height, width);
        let crop = match parse_size(settings, "crop_size", square)?.unwrap_or(default) {
            Size::Exact(height, width) => (height, width),
            Size::Shortest(_) => {
                return Err(settings.invalid("crop_size", "height and width", "shortest_edge"));
            }
        };
        if settings.is_written("pad_size") {
            settings.refuse(&["do_pad"])?;
        }
        let factor = settings.number("rescale_factor", 1.0 / 255.0)?;
        let mean = channels(settings, "image_mean", defaults.statistics.0)?;
        let std = channels(settings, "image_std", defaults.statistics.1)?;
        let usable = mean.iter().chain(&std).all(|v| v.is_finite()) && !std.contains(&0.0);
        let found = format!("{mean:?} and {std:?}");
        settings.require("image_mean and image_std", usable, "finite numbers, no std 0", found)?;
        let preprocessor = Self::of(Steps {
            resize: settings.flag("do_resize", true)?.then_some((size, filter)),
            crop: settings.flag("do_center_crop", defaults.crops)?.then_some(crop),
            margin: Margin::Down,
            factor: settings.flag("do_rescale", true)?.then_some(factor),
            normal: settings.flag("do_normalize", true)?.then_some((mean, std)),
        });
        let expected = format!("{width}x{height}, the network's image_size");
        let (field, fits) = ("size after resizing and cropping", preprocessor.fits(input));
        settings.require(field, fits, expected, preprocessor.found())?;
        Ok(preprocessor)
    }

    fn of(Steps { resize, crop, margin, factor, normal }: Steps) -> Self {
        let mut words = Vec::new();
        match resize {
            Some((Size::Shortest(side), filter)) => {
                words.push(format!("shorter side {side}, {filter:?}"));
            }
            Some((Size::Exact(height, width), filter)) => {
                words.push(format!("both sides {width}x{height}, {filter:?}"));
            }
            None => {}
        }
        if let Some((height, width)) = crop {
            let rounded = if margin == Margin::Even { ", margin rounded to even" } else { "" };
            words.push(format!("middle {width}x{height}{rounded}"));
        }
        words.extend(factor.map(|factor| format!("times {factor}")));
        words.extend(normal.map(|(mean, std)| format!("mean {mean:?}, std {std:?}")));
        let words = if words.is_empty() { "none".to_owned() } else { words.join("; ") };
        Self { resize, crop, margin, values: table(factor, normal), words }
    }

    fn fits(&self, input: Input) -> bool {
        match input {
            Input::Only(height, width) => self.ends() == Some((height, width)),
            Input::Any(_) => true,
        }
    }

    /// The pictures it ends in.
    fn found(&self) -> String {
        match self.ends() {
            Some((height, width)) => format!("{width}x{height}"),
            None => "pictures of any size".to_owned(),
        }
    }
}

impl Input {
    /// Height and width where nothing else is said.
    const fn size(self) -> (usize, usize) {
        match self {
            Self::Only(height, width) => (height, width),
            Self::Any(side) => (side, side),
        }
    }
}

/// The settings in `folder`, as transformers looks for them: `image_processor` in
/// `processor_config.json`, then `preprocessor_config.json`.
fn settings(folder: &Path) -> Result<Option<Fields>> {
    let path = folder.join("processor_config.json");
    if path.exists()
        && let Some(settings) = Fields::open(&path)?.object("image_processor")?
    {
        return Ok(Some(settings));
    }
    let path = folder.join("preprocessor_config.json");
    path.exists().then(|| Fields::open(&path)).transpose()
}

/// A number for each channel, or one for all.
fn channels(settings: &Fields, field: &str, default: [f32; 3]) -> Result<[f32; 3]> {
    match settings.value(field).as_f64() {
        Some(number) => Ok([number as f32; 3]),
        None => settings.typed(field, default, "a number or three numbers"),
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
