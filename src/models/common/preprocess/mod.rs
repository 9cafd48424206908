//! Pictures to the pixel tensors that image encoders were trained on, equal to transformers' image
//! processors over Pillow.

mod preprocessing;
mod settings;

use std::fmt;
use std::ops::Range;

use tch::{Kind, Tensor};

use super::fields::MAX_SIDE;
use crate::image::Image;
use crate::image::resample::{Filter, resize};
use crate::{Error, Result};

pub use preprocessing::Preprocessing;
pub(crate) use settings::{Family, Input};

/// Turns pictures into `[b, 3, height, width]`.
#[derive(Debug)]
pub(crate) struct Preprocessor {
    resize: Option<(Size, Filter)>,
    /// Height and width that are cut out of the middle.
    crop: Option<(usize, usize)>,
    /// What becomes of half a pixel beside the middle.
    margin: Margin,
    /// Byte to value, a channel.
    values: [[f32; 256]; 3],
    /// All of this in words.
    words: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    /// The shorter side; the longer keeps the proportions.
    Shortest(usize),
    /// Height and width.
    Exact(usize, usize),
}

/// How a margin of half a pixel is rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Margin {
    /// Down: transformers.
    Down,
    /// To the even number: torchvision's `CenterCrop`.
    Even,
}

impl Preprocessor {
    /// Whether all pictures become tensors of one shape.
    pub(crate) fn is_uniform(&self) -> bool {
        self.ends().is_some()
    }

    /// Height and width that every picture ends in.
    fn ends(&self) -> Option<(usize, usize)> {
        match (self.crop, self.resize) {
            (Some(crop), _) => Some(crop),
            (None, Some((Size::Exact(height, width), _))) => Some((height, width)),
            _ => None,
        }
    }

    /// Refuses a picture that becomes too large a tensor: without a crop, a thread of a picture grows
    /// with its proportions.
    pub(crate) fn check(&self, image: &Image) -> Result<()> {
        let ((width, height), _) = self.target((image.width() as usize, image.height() as usize));
        let most = usize::try_from(MAX_SIDE).unwrap_or(usize::MAX);
        if self.is_uniform() || width.max(height) <= most {
            return Ok(());
        }
        let expected = format!("at most {most} pixels a side");
        Err(Error::invalid_input("picture after resizing", expected, format!("{width}x{height}")))
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
        let (columns, rows) = (self.middle(to.0, width).0, self.middle(to.1, height).0);
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
        let (columns, left) = self.middle(to.0, width);
        let (rows, top) = self.middle(to.1, height);
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

    /// What of `from` pixels a crop to `to` keeps, and where that begins in the crop.
    fn middle(&self, from: usize, to: usize) -> (Range<usize>, usize) {
        if to > from {
            return (0..from, (to - from).div_ceil(2));
        }
        let (margin, half) = ((from - to) / 2, (from - to) % 2);
        let first = match self.margin {
            Margin::Down => margin,
            Margin::Even => margin + half * (margin % 2),
        };
        (first..first + to, 0)
    }
}

impl fmt::Display for Preprocessor {
    /// What is done to a picture, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
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

#[cfg(test)]
mod tests;
