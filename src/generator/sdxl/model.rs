//! A checked job to an image: the denoising loop of `StableDiffusionXLPipeline`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lru::LruCache;
use tch::{Device, Kind, Tensor};

use crate::generator::denoise::{Watch, denoise};
use crate::generator::encoded::Encoded;
use crate::models::common::json::require;
use crate::models::common::noise::Noise;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;
use crate::models::ip_adapter::ImageAttention;
use crate::models::schedule::SchedulerConfig;
use crate::models::sdxl::config::UNetConfig;
use crate::models::sdxl::unet::{ImageContext, TextContext, UNet};
use crate::models::vae::{Vae, VaeConfig, VaeTiling};
use crate::{Image, Result};

use super::index::ModelIndex;
use super::job::Job;
use super::text::TextEncoders;

/// Sets of text keys and values that are kept: those of a draft and of its final image.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(2).unwrap();
/// Latents a side where a UNet's config names none. diffusers, `default_sample_size`.
const DEFAULT_LATENTS: i64 = 128;

/// Everything that lives on the model's thread.
#[derive(Debug)]
pub(super) struct Model {
    text: TextEncoders,
    unet: UNet,
    adapter: Option<ImageAttention>,
    vae: Vae,
    tiling: VaeTiling,
    scheduler: SchedulerConfig,
    force_zeros: bool,
    contexts: LruCache<ContextKey, Rc<TextContext>>,
    device: Device,
    kind: Kind,
}

/// Prompt, and the negative prompt (which may be none) where guidance is on.
type ContextKey = (String, Option<Option<String>>);

/// What the rest of the program must know of a loaded model.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) scale_factor: u32,
    /// Width and height in pixels.
    pub(super) default_size: (u32, u32),
    pub(super) token_dim: usize,
    /// The space of the tokens that the adapter reads, where there is one.
    pub(super) space: Option<String>,
}

impl Model {
    /// The checkpoint in `folder`, with the adapter in the file `adapter`. Small files are read and
    /// compared before large ones.
    pub(super) fn load(
        folder: &Path,
        adapter: Option<&PathBuf>,
        scheduler: SchedulerConfig,
        tiling: VaeTiling,
        (device, kind): (Device, Kind),
    ) -> Result<Self> {
        let index = ModelIndex::open(folder)?;
        let unet_path = folder.join("unet").join("config.json");
        let unet = UNetConfig::read(&unet_path)?;
        let vae = VaeConfig::open(&folder.join("vae").join("config.json"))?;
        for (field, channels) in
            [("in_channels", unet.in_channels), ("out_channels", unet.out_channels)]
        {
            let expected = format!("{}, the VAE's latent_channels", vae.latent_channels);
            require(&unet_path, field, channels == vae.latent_channels, expected, channels)?;
        }
        let text = TextEncoders::open(&index, device, kind)?;
        let width = unet.cross_attention_dim;
        let expected = format!("{}, the text encoders' widths together", text.width());
        require(&unet_path, "cross_attention_dim", width == text.width(), expected, width)?;
        if let Some(added) = unet.added {
            // Six numbers tell the sizes: see `Job::time_ids`.
            let expected = text.pooled_width() + 6 * added.time_embed_dim;
            let what = "projection_class_embeddings_input_dim";
            let reason = format!("{expected}, as text_encoder_2's projection_dim asks for");
            require(&unet_path, what, added.input_dim == expected, reason, added.input_dim)?;
        }
        let unet = UNet::load(&folder.join("unet"), device, kind)?;
        let adapter =
            adapter.map(|file| ImageAttention::open(file, &unet, device, kind)).transpose()?;
        let vae = Vae::decoder(vae, &Weights::open(&folder.join("vae"), device, kind)?)?;
        let force_zeros = index.force_zeros_for_empty_prompt;
        let contexts = LruCache::new(REMEMBERED);
        Ok(Self {
            text,
            unet,
            adapter,
            vae,
            tiling,
            scheduler,
            force_zeros,
            contexts,
            device,
            kind,
        })
    }

    pub(super) fn facts(&self) -> Facts {
        let scale_factor = self.vae.config.scale_factor();
        let config = self.unet.config();
        let [height, width] = config.sample_size.unwrap_or([DEFAULT_LATENTS; 2]);
        let pixels =
            |latents: i64| u32::try_from(latents).unwrap_or(u32::MAX).saturating_mul(scale_factor);
        Facts {
            scale_factor,
            default_size: (pixels(width), pixels(height)),
            token_dim: usize::try_from(config.cross_attention_dim).unwrap_or(0),
            space: self.adapter.as_ref().map(|adapter| adapter.space().to_owned()),
        }
    }

    /// Draws `job`, asking `cancel` between steps.
    pub(super) fn draw(&mut self, job: &Job, cancel: &Cancel) -> Result<Image> {
        // 1. what the UNet reads at every step
        let mut scheduler = self.scheduler.start(job.steps)?;
        let (text, pooled) = self.read(job)?;
        let ids = Tensor::from_slice(&job.time_ids.map(i64::from)).to_kind(self.kind);
        let added = self.unet.added(&pooled, &ids.unsqueeze(0).repeat([pooled.size()[0], 1]));
        let times = self.unet.times(scheduler.timesteps(), &added);
        let image = self.references(job);

        // 2. noise
        let [height, width] = job.latents;
        let shape = [1, self.vae.config.latent_channels, height, width];
        let noise = Noise::new(job.seed).normal_of(&shape, self.kind).to_device(self.device);
        let latents = noise * scheduler.init_noise_sigma();

        // 3. step by step to latents
        let total = scheduler.timesteps().len();
        let strength = job.references.as_ref().map(|tokens| &tokens.strength);
        let predict = |index: usize, sample: &Tensor| {
            let (time, image) = (times.at(index), image.as_ref());
            let image = image.filter(|_| strength.is_some_and(|s| s.acts_in(index, total)));
            let Some(scale) = job.guidance else {
                return self.unet.forward(sample, time, &text, image);
            };
            let both = self.unet.forward(&sample.repeat([2, 1, 1, 1]), time, &text, image);
            let parts = both.chunk(2, 0);
            &parts[0] + (&parts[1] - &parts[0]) * scale // [1, latent_channels, h, w]
        };
        let watch = Watch { progress: &job.progress, cancel };
        let preview = |original: &Tensor| self.vae.preview(original);
        let latents = denoise(scheduler.as_mut(), latents, watch, predict, preview)?;

        // 4. pixels
        cancel.check()?;
        self.vae.image(&latents, self.tiling)
    }

    /// The prompts as the UNet reads them: keys and values of the states, and the pooled vectors
    /// `[b, projection]`. With guidance the negative one comes first in the batch.
    fn read(&mut self, job: &Job) -> Result<(Rc<TextContext>, Tensor)> {
        let positive = self.text.encode(&job.prompt)?;
        let negative = match (job.guidance, &job.negative_prompt) {
            (None, _) => None,
            (Some(_), None) if self.force_zeros => Some(positive.zeros_like()),
            (Some(_), prompt) => Some(self.text.encode(prompt.as_deref().unwrap_or(""))?),
        };
        let batch: Vec<&Encoded> = negative.iter().chain([&positive]).collect();
        let negative_prompt = negative.is_some().then(|| job.negative_prompt.clone());
        let unet = &self.unet;
        let text = self.contexts.get_or_insert((job.prompt.clone(), negative_prompt), || {
            let states: Vec<_> = batch.iter().map(|encoded| encoded.states()).collect();
            Rc::new(unet.text_context(&Tensor::cat(&states, 0))) // [b, tokens, width]
        });
        let pooled: Vec<_> = batch.iter().map(|encoded| encoded.pooled()).collect();
        Ok((Rc::clone(text), Tensor::cat(&pooled, 0)))
    }

    /// Keys and values of the references; none where they have no weight.
    fn references(&self, job: &Job) -> Option<ImageContext> {
        let (adapter, references) = (self.adapter.as_ref()?, job.references.as_ref()?);
        let shape = [1, references.tokens as i64, references.dim as i64];
        let tokens = |data: &[f32]| Tensor::from_slice(data).reshape(shape); // [1, tokens, dim]
        let positive = tokens(&references.data);
        let batch = match job.guidance {
            Some(_) => Tensor::cat(&[tokens(&references.negative), positive], 0), // [2, tokens, dim]
            None => positive,
        };
        adapter.context(&batch, |layer| references.strength.scale_of(layer))
    }
}
