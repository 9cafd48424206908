//! [`OminiControl`]: prepares a reference as the condition image of FLUX with OminiControl.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use async_trait::async_trait;

use super::condition_image::{PIXELS_PER_TOKEN, adapter_name};
use super::{
    ConditionImage, ConditionLatents, ConditionRequest, Conditioned, Conditioner, Conditioning,
    ConditioningKind, PromptTemplate,
};
use crate::error::require;
use crate::image::resample::{Filter, resize};
use crate::{Image, Result, pool};

/// The largest condition, in pixels a side.
const MAX_SIZE: u32 = 4096;
/// What adapters are trained with where nothing else is known, in pixels a side.
const SIZE: u32 = 512;

/// Prepares one reference for FLUX with an OminiControl adapter: the picture in the size that the
/// adapter was trained with, and the position of its tokens. It takes one reference per image, as
/// in the paper, because the released adapters mix up several subjects.
///
/// The picture is cropped and resized as the adapter's authors do, with Pillow's results bit for
/// bit. The generator encodes it.
///
/// ```no_run
/// use imagerag::conditioner::{ConditionFit, OminiControl};
/// use imagerag::generator::Flux;
/// use imagerag::models::{DType, Device};
///
/// let adapter = "subject_512.safetensors";
/// let flux = Flux::builder("FLUX.1-schnell")
///     .device(Device::Cuda(0))
///     .dtype(DType::Bf16)
///     .size(512, 512)
///     .omini_control(adapter)
///     .load()?;
/// let conditioner = OminiControl::builder(adapter).fit(ConditionFit::Stretch).build()?;
/// # let builder = imagerag::RagPipeline::builder();
/// let builder = builder.generator(flux).conditioner(conditioner);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OminiControl {
    settings: OminiControlBuilder,
}

/// How a picture that is not square becomes the square condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConditionFit {
    /// Its center crop, resized, as the adapters' README asks for. Edges are lost.
    #[default]
    Crop,
    /// The whole picture, resized to a square, as the adapters' notebooks do. Proportions are lost.
    Stretch,
}

impl OminiControl {
    /// For `adapter`, with the defaults that [`builder`](Self::builder) describes.
    pub fn new(adapter: impl AsRef<Path>) -> Self {
        Self { settings: Self::builder(adapter) }
    }

    /// Settings for `adapter`: the file that the generator has loaded, or its name without
    /// extension.
    ///
    /// The default position is the one of the adapter's training. `subject_512` is to the right of
    /// an image of 512 pixels: its position delta is (0, 32). All others, such as
    /// `subject_1024_beta`, are to the left of the image: (0, -n) for a condition of n x n tokens.
    pub fn builder(adapter: impl AsRef<Path>) -> OminiControlBuilder {
        OminiControlBuilder {
            adapter: adapter_name(adapter.as_ref()),
            capacity: 1,
            size: SIZE,
            pixels_per_token: PIXELS_PER_TOKEN,
            fit: ConditionFit::default(),
            position_delta: None,
            position_scale: 1.0,
            strength: 1.0,
            latents: ConditionLatents::default(),
            independent: false,
            template: PromptTemplate::default(),
        }
    }
}

/// Settings of [`OminiControl`]; [`build`](Self::build) makes it.
///
/// ```no_run
/// use imagerag::conditioner::{OminiControl, OminiControlBuilder};
///
/// /// An adapter of your own, which was trained with the condition above the image.
/// fn trained_above(adapter: &str) -> OminiControlBuilder {
///     OminiControl::builder(adapter).condition_size(768).position_delta(-48, 0)
/// }
///
/// let conditioner = trained_above("chairs.safetensors").strength(1.2).build()?;
/// let exact = trained_above("sofas.safetensors").independent_condition().build()?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OminiControlBuilder {
    adapter: String,
    capacity: usize,
    size: u32,
    pixels_per_token: u32,
    fit: ConditionFit,
    position_delta: Option<(i32, i32)>,
    position_scale: f64,
    strength: f64,
    latents: ConditionLatents,
    independent: bool,
    template: PromptTemplate,
}

impl OminiControlBuilder {
    /// References per image. Only 1 is possible: [`build`](Self::build) refuses other values.
    pub const fn capacity(mut self, references: usize) -> Self {
        self.capacity = references;
        self
    }

    /// Width and height of the condition in pixels, a multiple of the token's side, up to 4,096;
    /// 512 by default. The number of tokens grows with the square: 1,024 for 512 pixels.
    pub const fn condition_size(mut self, pixels: u32) -> Self {
        self.size = pixels;
        self
    }

    /// The side of one token in pixels, for checkpoints with another VAE than FLUX.1's; 16 by
    /// default.
    pub const fn pixels_per_token(mut self, pixels: u32) -> Self {
        self.pixels_per_token = pixels;
        self
    }

    /// How a picture that is not square becomes the condition; [`ConditionFit`] names the default.
    pub const fn fit(mut self, fit: ConditionFit) -> Self {
        self.fit = fit;
        self
    }

    /// The offset of the condition's position ids, in tokens; see
    /// [`ConditionImage::position_delta`].
    pub const fn position_delta(mut self, rows: i32, columns: i32) -> Self {
        self.position_delta = Some((rows, columns));
        self
    }

    /// The factor of the condition's position ids; see [`ConditionImage::position_scale`].
    pub const fn position_scale(mut self, scale: f64) -> Self {
        self.position_scale = scale;
        self
    }

    /// How strongly condition and image attend to each other: 0 means not at all, 1 as trained; see
    /// [`ConditionImage::strength`].
    pub const fn strength(mut self, strength: f64) -> Self {
        self.strength = strength;
        self
    }

    /// Which latents the VAE makes of the picture; a sample by default.
    pub const fn latents(mut self, latents: ConditionLatents) -> Self {
        self.latents = latents;
        self
    }

    /// For an adapter that was trained with `independent_condition`: the condition attends only to
    /// itself, and is computed once for all steps. Other adapters give wrong images with it.
    pub const fn independent_condition(mut self) -> Self {
        self.independent = true;
        self
    }

    /// Another way to put the caption into the prompt.
    pub fn template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }

    /// The conditioner.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names what is out of range: a capacity
    /// other than 1, a size that is not of whole tokens or above 4,096 pixels, and what
    /// [`ConditionImage::validate`] and [`PromptTemplate::validate`] refuse.
    pub fn build(self) -> Result<OminiControl> {
        let what = format!("capacity of OminiControl({})", self.adapter);
        let expected = "1, for the adapters read one subject and mix several";
        require(self.capacity == 1, what, expected, self.capacity)?;
        let (size, pixels) = (self.size, self.pixels_per_token);
        let fits = (1..=MAX_SIZE).contains(&size) && (pixels == 0 || size.is_multiple_of(pixels));
        let expected = format!("a multiple of {pixels} up to {MAX_SIZE} pixels");
        require(fits, "condition size", expected, size)?;
        let blank = Image::new(size, size, vec![0; 3 * size.pow(2) as usize])?;
        self.condition(blank).validate()?;
        self.template.validate()?;
        Ok(OminiControl { settings: self })
    }

    /// `image`, which has its size, as the generator takes it.
    fn condition(&self, image: Image) -> ConditionImage {
        let side = i32::try_from(self.size / self.pixels_per_token.max(1)).unwrap_or(i32::MAX);
        // https://github.com/Yuanshi9815/OminiControl/issues/89, and its `train_subject.py`.
        let trained = if self.adapter == "subject_512" { (0, 32) } else { (0, -side) };
        let mut condition = ConditionImage::new(self.adapter.as_str(), image);
        condition.pixels_per_token = self.pixels_per_token;
        condition.position_delta = self.position_delta.unwrap_or(trained);
        condition.position_scale = self.position_scale;
        condition.strength = self.strength;
        condition.latents = self.latents;
        condition.independent = self.independent;
        condition
    }

    /// `image` as a square of the condition's size.
    fn fitted(&self, image: &Image) -> Result<Image> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let side = self.size as usize;
        let resized = |pixels: &[u8], from| {
            resize(pixels, from, (side, side), Filter::Bicubic, 0..side, 0..side)
        };
        let pixels = match self.fit {
            ConditionFit::Stretch => resized(image.pixels(), (width, height)),
            ConditionFit::Crop => {
                let short = width.min(height);
                let (left, top) = ((width - short) / 2, (height - short) / 2);
                let rows = image.pixels().chunks_exact(3 * width).skip(top).take(short);
                let middle: Vec<u8> =
                    rows.flat_map(|row| &row[3 * left..3 * (left + short)]).copied().collect();
                resized(&middle, (short, short))
            }
        };
        Image::new(self.size, self.size, pixels)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Conditioner for OminiControl {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Condition { adapter: self.settings.adapter.clone() }
    }

    fn capacity(&self) -> usize {
        self.settings.capacity
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        let references = &request.references;
        request.validate(self)?;
        let (image, part) = (references[0].image().await?, self.clone());
        let fit = move || part.settings.fitted(&image);
        let condition = self.settings.condition(pool::run("resampling a reference", fit).await?);
        Ok(Conditioned {
            prompt: self.settings.template.apply(&request.prompt, &references[..1], &[]),
            conditioning: Conditioning::Condition(condition),
        })
    }
}

impl fmt::Display for OminiControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => write!(f, "{:?}", self.settings),
            false => write!(f, "OminiControl({})", self.settings.adapter),
        }
    }
}
