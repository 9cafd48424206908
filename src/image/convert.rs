//! [`Image`] from and to the types of the `image` crate.

use image::{DynamicImage, RgbImage};

use super::{Image, over_white};
use crate::{Error, Result};

impl From<&Image> for RgbImage {
    fn from(image: &Image) -> Self {
        // There are as many pixels as the sides say.
        Self::from_raw(image.width, image.height, image.pixels.to_vec()).unwrap_or_default()
    }
}

impl From<Image> for RgbImage {
    fn from(image: Image) -> Self {
        Self::from(&image)
    }
}

impl From<&Image> for DynamicImage {
    fn from(image: &Image) -> Self {
        Self::ImageRgb8(image.into())
    }
}

impl From<Image> for DynamicImage {
    fn from(image: Image) -> Self {
        Self::from(&image)
    }
}

impl TryFrom<RgbImage> for Image {
    type Error = Error;

    fn try_from(image: RgbImage) -> Result<Self> {
        Self::new(image.width(), image.height(), image.into_raw())
    }
}

/// What is transparent shows white. The `image` crate does not keep the orientation of a file with
/// its pixels: a picture that it has read is not turned, as [`Image::decode`] turns it.
impl TryFrom<DynamicImage> for Image {
    type Error = Error;

    fn try_from(image: DynamicImage) -> Result<Self> {
        Self::new(image.width(), image.height(), over_white::rgb(image))
    }
}
