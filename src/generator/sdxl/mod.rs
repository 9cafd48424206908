//! Prompts, with or without reference tokens, to images: SDXL from a diffusers folder, with
//! IP-Adapter-plus.

mod index;
mod job;
mod model;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::conditioner::ConditioningKind;
use crate::generator::drawing::draw_each;
use crate::generator::{GenerateRequest, Generator};
use crate::models::common::worker::Worker;
use crate::models::schedule::SchedulerConfig;
use crate::models::{DType, Device, SchedulerKind, VaeTiling};
use crate::{Image, Result};

use index::ModelIndex;
use job::{Abilities, Defaults, Job, Sizes};
use model::{Facts, Model};

/// Stable Diffusion XL on libtorch. One model is resident, on a thread of its own, and draws one
/// image at a time: with references and without.
///
/// In f32 on the CPU a seed gives the image that diffusers' `StableDiffusionXLPipeline` gives with
/// `torch.Generator("cpu").manual_seed(seed)`. No watermark is added.
///
/// Of a prompt that is longer than the text encoders read (77 tokens), the rest is left out. The
/// states of the latest prompts are kept, so that a draft and its final image share them.
///
/// ```no_run
/// # async fn draw() -> imagerag::Result<()> {
/// use imagerag::generator::{GenerateRequest, Generator, Sdxl};
/// use imagerag::models::{DType, Device};
///
/// let sdxl = Sdxl::load("stable-diffusion-xl-base-1.0", Device::Cuda(0), DType::F16)?;
/// let images = sdxl.generate(&[GenerateRequest::new("a cassowary in the snow")]).await?;
/// images[0].save("cassowary.png")
/// # }
/// ```
pub struct Sdxl {
    name: String,
    worker: Worker<Model>,
    defaults: Defaults,
    abilities: Abilities,
}

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
        SdxlBuilder {
            folder: folder.as_ref().to_owned(),
            device: Device::default(),
            dtype: DType::default(),
            ip_adapter: None,
            scheduler: None,
            // Steps and guidance: the defaults of diffusers' `StableDiffusionXLPipeline`.
            defaults: Defaults {
                steps: 50,
                guidance_scale: 5.0,
                negative_prompt: None,
                sizes: Sizes::default(),
            },
            tiling: VaeTiling::default(),
        }
    }

    /// Width and height of an image where a request asks for none, in pixels.
    pub const fn default_size(&self) -> (u32, u32) {
        self.abilities.default_size
    }

    /// Sides of images are multiples of this many pixels.
    pub const fn size_multiple(&self) -> u32 {
        self.abilities.scale_factor
    }
}

/// Settings of [`Sdxl`]; [`load`](Self::load) ends them.
#[derive(Clone, Debug)]
#[must_use]
pub struct SdxlBuilder {
    folder: PathBuf,
    device: Device,
    dtype: DType,
    ip_adapter: Option<PathBuf>,
    scheduler: Option<SchedulerKind>,
    defaults: Defaults,
    tiling: VaeTiling,
}

impl SdxlBuilder {
    /// Where to compute; the CPU where nothing is said.
    pub const fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The format to compute in; f32 where nothing is said. The VAE is run in f32 in place of f16
    /// where the checkpoint asks for it (`force_upcast`).
    pub const fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// Reads references through the IP-Adapter-plus in `file`.
    pub fn with_ip_adapter(mut self, file: impl AsRef<Path>) -> Self {
        self.ip_adapter = Some(file.as_ref().to_owned());
        self
    }

    /// Another scheduler than the checkpoint's own, with the checkpoint's settings.
    pub const fn with_scheduler(mut self, kind: SchedulerKind) -> Self {
        self.scheduler = Some(kind);
        self
    }

    /// Denoising steps where a request asks for none, at least 1; 50 where nothing is said.
    pub const fn with_steps(mut self, steps: usize) -> Self {
        self.defaults.steps = steps;
        self
    }

    /// Guidance where a request asks for none; 5 where nothing is said, 1 and below is off.
    pub const fn with_guidance_scale(mut self, scale: f64) -> Self {
        self.defaults.guidance_scale = scale;
        self
    }

    /// The negative prompt where a request has none.
    pub fn with_negative_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.defaults.negative_prompt = Some(prompt.into());
        self
    }

    /// Draws as if for a training image of this size in pixels, before it was scaled and cropped;
    /// the size of the image where nothing is said. Small ones make blurred images.
    pub const fn with_original_size(mut self, width: u32, height: u32) -> Self {
        self.defaults.sizes.original = Some((width, height));
        self
    }

    /// Draws as if this many pixels of the training image were cut off; 0 and 0, for objects in the
    /// middle, where nothing is said.
    pub const fn with_crop(mut self, left: u32, top: u32) -> Self {
        self.defaults.sizes.crop = (left, top);
        self
    }

    /// The size in pixels that the network is told to draw; the size of the image where nothing is
    /// said.
    pub const fn with_target_size(mut self, width: u32, height: u32) -> Self {
        self.defaults.sizes.target = Some((width, height));
        self
    }

    /// When to decode in tiles.
    pub const fn with_vae_tiling(mut self, tiling: VaeTiling) -> Self {
        self.tiling = tiling;
        self
    }

    /// Loads the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) for
    /// files that are missing or do not fit, [`Error::Unavailable`](crate::Error::Unavailable) for a
    /// device that is not there, and [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn load(self) -> Result<Sdxl> {
        let Self { folder, device, dtype, ip_adapter, scheduler, defaults, tiling } = self;
        let index = ModelIndex::open(&folder)?;
        let path = folder.join("scheduler").join("scheduler_config.json");
        let scheduler = SchedulerConfig::open(&path, index.scheduler.as_deref(), scheduler)?;
        let named = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let named = named.file_name().unwrap_or(named.as_os_str()).to_string_lossy();
        let name = format!("SDXL({named}, {})", scheduler.kind());
        let (told, facts) = std::sync::mpsc::channel();
        let scheduling = scheduler.clone();
        let worker = Worker::spawn(name.clone(), device, move |device| {
            let place = (device, dtype.kind());
            let model = Model::load(&folder, ip_adapter.as_ref(), scheduling, tiling, place)?;
            // The receiver waits below.
            drop(told.send(model.facts()));
            Ok(model)
        })?;
        let facts = facts.recv().map_err(|error| crate::Error::backend(name.clone(), error))?;
        let Facts { scale_factor, default_size, token_dim, space } = facts;
        let tokens = space.map(|space| ConditioningKind::Tokens { space });
        let accepts = std::iter::once(ConditioningKind::None).chain(tokens).collect();
        let abilities = Abilities { scale_factor, default_size, token_dim, accepts, scheduler };
        Ok(Sdxl { name, worker, defaults, abilities })
    }
}

#[async_trait]
impl Generator for Sdxl {
    fn accepts(&self) -> &[ConditioningKind] {
        &self.abilities.accepts
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Image>> {
        let jobs = requests
            .iter()
            .map(|request| Job::new(request, &self.defaults, &self.abilities))
            .collect::<Result<Vec<_>>>()?;
        draw_each(&self.worker, jobs, Model::draw).await
    }
}

impl fmt::Display for Sdxl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Sdxl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sdxl")
            .field("name", &self.name)
            .field("defaults", &self.defaults)
            .field("abilities", &self.abilities)
            .finish_non_exhaustive()
    }
}
