//! Prompts, with or without reference tokens, to images: SDXL from a diffusers folder, with
//! IP-Adapter-plus.

mod check;
mod checkpoint;
#[cfg(test)]
mod checkpoint_tests;
mod model;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::conditioner::ConditioningKind;
use crate::generator::local::{Local, LocalConfig, local_generator};
use crate::generator::settings::{Settings, shared_setters};
use crate::models::ip_adapter::space;
use crate::models::{DType, Device, SchedulerKind};

use check::Checks;
use checkpoint::Checkpoint;
use model::{Model, Options};

/// Steps and guidance where nobody asks for any. diffusers, `StableDiffusionXLPipeline.__call__`.
const DEFAULTS: (usize, f64) = (50, 5.0);

/// Stable Diffusion XL on libtorch. One model on a thread of its own draws with references and
/// without. Requests of one call that agree in size, steps, guidance and the strength of their
/// references are drawn as one batch; see [`batch_pixels`](SdxlBuilder::batch_pixels).
///
/// In f32 on the CPU a seed gives the image that diffusers' `StableDiffusionXLPipeline` gives with
/// `torch.Generator("cpu").manual_seed(seed)`. No watermark is added.
///
/// A prompt is cut to the 77 tokens that the text encoders read; [`Drawn::note`](super::Drawn::note)
/// and the first [`Step`](super::Step) then say which words were not read. With
/// [`long_prompts`](SdxlBuilder::long_prompts) it is read whole. The encodings of the latest prompts
/// are kept, so that a draft and its final image share them.
///
/// ```no_run
/// # async fn draw() -> imagerag::Result<()> {
/// use imagerag::generator::{GenerateRequest, GeneratorExt, Sdxl};
/// use imagerag::models::{DType, Device};
///
/// let sdxl = Sdxl::load("stable-diffusion-xl-base-1.0", Device::Cuda(0), DType::F16)?;
/// let request = GenerateRequest::new("a cassowary in the snow").with_seed(7);
/// sdxl.generate_one(&request).await?.image.save("cassowary.png")
/// # }
/// ```
#[derive(Debug)]
pub struct Sdxl(Local<Model>);

local_generator!(Sdxl);

impl Sdxl {
    /// The checkpoint in `folder`, a diffusers pipeline, with every setting at its default.
    ///
    /// # Errors
    /// Those of [`SdxlBuilder::load`].
    pub fn load(folder: impl AsRef<Path>, device: Device, dtype: DType) -> Result<Self> {
        Self::builder(folder).device(device).dtype(dtype).load()
    }

    /// Settings to load the checkpoint in `folder` with.
    pub fn builder(folder: impl AsRef<Path>) -> SdxlBuilder {
        SdxlBuilder { settings: Settings::new(folder.as_ref()), options: Options::default() }
    }
}

/// Settings of [`Sdxl`]; [`load`](Self::load) makes it.
///
/// One generator for each GPU, with the same settings:
/// ```no_run
/// use imagerag::generator::{Loading, Sdxl, SdxlBuilder};
/// use imagerag::models::{DType, Device, SchedulerKind};
///
/// fn on(gpu: usize) -> SdxlBuilder {
///     Sdxl::builder("stable-diffusion-xl-base-1.0")
///         .device(Device::Cuda(gpu))
///         .dtype(DType::F16)
///         .scheduler(SchedulerKind::DpmSolver)
///         .steps(25)
///         .guidance_scale(7.0)
///         .negative_prompt("blurry, cropped")
///         .ip_adapter("ip-adapter-plus_sdxl_vit-h.safetensors")
/// }
///
/// let tell = |Loading { part, done, total, .. }: Loading| match part {
///     Some(part) => println!("{done} of {total}, next {part}"),
///     None => println!("loaded"),
/// };
/// let generators = [on(0).load_listener(tell).load()?, on(1).load()?];
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SdxlBuilder {
    settings: Settings,
    options: Options,
}

impl SdxlBuilder {
    shared_setters! {
        steps: "50 where nothing is said.",
        guidance: "5 where nothing is said. 1 and below is off, unless the network is told its guidance \
            (`time_cond_proj_dim` in its config): then it has no use for a negative prompt.",
        negative: "."
    }

    /// Reads references through the IP-Adapter-plus in `file`.
    pub fn ip_adapter(mut self, file: impl AsRef<Path>) -> Self {
        self.options.ip_adapter = Some(file.as_ref().to_owned());
        self
    }

    /// Reads prompts of more than 77 tokens whole; off by default, as in diffusers. Each 75 tokens are
    /// encoded alone, between a begin and an end token, and their states are joined to one sequence,
    /// which ends where the longer of prompt and negative prompt does; the shorter one is filled up with
    /// end tokens. The pooled vector is that of the last row. This is what diffusers' community pipeline
    /// `lpw_stable_diffusion_xl` does, but for the weights that it reads in parentheses. A prompt of at most 75 tokens gives the same image with and without this, if its
    /// negative prompt has no more either.
    pub const fn long_prompts(mut self, yes: bool) -> Self {
        self.options.long_prompts = yes;
        self
    }

    /// Another scheduler than the checkpoint's, with the settings of the checkpoint's scheduler.
    pub const fn scheduler(mut self, kind: SchedulerKind) -> Self {
        self.options.scheduler = Some(kind);
        self
    }

    /// SDXL's micro-conditioning `original_size`, in pixels: the size of a training image before it
    /// was scaled. By default the size of the image. Small values make blurred images.
    pub const fn original_size(mut self, width: u32, height: u32) -> Self {
        self.options.sizes.original = Some((width, height));
        self
    }

    /// SDXL's micro-conditioning `crops_coords_top_left`, in pixels: how much of a training image
    /// was cropped. By default 0 and 0, which gives centered objects.
    pub const fn crop(mut self, left: u32, top: u32) -> Self {
        self.options.sizes.crop = (left, top);
        self
    }

    /// SDXL's micro-conditioning `target_size`, in pixels. By default the size of the image.
    pub const fn target_size(mut self, width: u32, height: u32) -> Self {
        self.options.sizes.target = Some((width, height));
        self
    }

    /// Loads the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) for
    /// files that are missing or do not fit, [`Error::Unavailable`](crate::Error::Unavailable) for a
    /// device that is not there, and [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn load(self) -> Result<Sdxl> {
        let Self { settings, mut options } = self;
        options.tiling = settings.tiling;
        let checkpoint = Checkpoint::open(&settings.folder, settings.variant.as_deref(), &options)?;
        let Checkpoint { index, scheduler, unet, vae, .. } = &checkpoint;
        let dim = unet.cross_attention_dim;
        let tokens = options.ip_adapter.as_ref().map(|file| space(file, dim));
        let tokens = tokens.map(|space| ConditioningKind::Tokens { space });
        let config = LocalConfig {
            name: format!("SDXL({}, {})", index.name(), scheduler.kind()),
            default_size: checkpoint.default_size(),
            size_multiple: vae.scale_factor(),
            accepts: std::iter::once(ConditioningKind::None).chain(tokens).collect(),
            steps: settings.steps.unwrap_or(DEFAULTS.0),
            guidance_scale: settings.guidance_scale.or(Some(DEFAULTS.1)),
            negative_prompt: settings.negative_prompt.clone(),
            family: Checks {
                token_dim: usize::try_from(dim).unwrap_or(0),
                guidance_embeds: unet.time.cond_proj_dim.is_some(),
                scheduler: scheduler.clone(),
                tokenizers: Arc::clone(&checkpoint.tokenizers),
            },
        };
        // The text encoders, the UNet, the VAE and the adapter.
        let adapters = usize::from(options.ip_adapter.is_some());
        let parts = checkpoint.text_encoders.len() + 2 + adapters;
        let load = move |loader: &_| Model::load(checkpoint, options, loader);
        Local::load(config, settings, parts, load).map(Sdxl)
    }
}
