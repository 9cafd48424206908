//! A folder and settings to a loaded [`OmniGen`].

use std::path::Path;
use std::sync::Arc;

use super::OmniGen;
use super::check::{Checks, Options, RopePositions};
use super::checkpoint::Checkpoint;
use super::memory::{Footprint, KvCache};
use super::model::Model;
use crate::Result;
use crate::conditioner::{ConditionLatents, ConditioningKind};
use crate::generator::local::{Local, LocalConfig};
use crate::generator::settings::{Settings, shared_setters};
use crate::models::TokenizerReading;
use crate::models::omnigen::picture::MULTIPLE;
use crate::models::omnigen::prompt::NEGATIVE_PROMPT;
use crate::models::tokenizers::llama::Tokenizer;

/// Latents a side where nobody asks for a size. diffusers, `OmniGenPipeline.default_sample_size`.
const DEFAULT_LATENTS: u32 = 128;
/// Those of `OmniGenPipeline.__call__`.
const STEPS: usize = 50;
const GUIDANCE_SCALE: f64 = 2.5;
const IMAGE_GUIDANCE_SCALE: f64 = 1.6;
const MAX_INPUT_IMAGE_SIZE: u32 = 1024;

/// Settings of [`OmniGen`]; [`load`](Self::load) makes it.
///
/// ```no_run
/// use imagerag::generator::OmniGen;
/// use imagerag::models::{DType, Device};
///
/// // Small references are read much faster, and edits keep the size of what they edit.
/// let editor = OmniGen::builder("OmniGen-v1-diffusers")
///     .device(Device::Cuda(0))
///     .dtype(DType::Bf16)
///     .guidance_scale(2.0)
///     .max_input_image_size(512)
///     .use_input_image_size_as_output(true)
///     .load()?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OmniGenBuilder {
    settings: Settings,
    size: Option<(u32, u32)>,
    tokenizer_reading: TokenizerReading,
    options: Options,
}

impl OmniGen {
    /// Settings to load the checkpoint in `folder` with: diffusers' layout
    /// (`Shitao/OmniGen-v1-diffusers`), or that of OmniGen's authors (`Shitao/OmniGen-v1`).
    pub fn builder(folder: impl AsRef<Path>) -> OmniGenBuilder {
        OmniGenBuilder {
            settings: Settings::new(folder.as_ref()),
            size: None,
            tokenizer_reading: TokenizerReading::default(),
            options: Options {
                image_guidance_scale: IMAGE_GUIDANCE_SCALE,
                max_input_image_size: MAX_INPUT_IMAGE_SIZE,
                use_input_image_size_as_output: false,
                reference_latents: ConditionLatents::default(),
                rope_positions: RopePositions::default(),
                kv_cache: KvCache::default(),
                memory_limit: None,
            },
        }
    }
}

impl OmniGenBuilder {
    shared_setters! {
        steps: "50 where nothing is said.",
        guidance: "2.5 where nothing is said. 1 is off; diffusers' documentation takes 2 for edits.",
        negative: "; OmniGen's own by default, which lists flaws of pictures: `low quality, jpeg \
                   artifacts, …`."
    }

    /// Width and height in pixels if a request names none; by default 1,024 each for OmniGen.
    pub const fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width, height));
        self
    }

    /// How strongly references count (diffusers' `img_guidance_scale`), at least 0; 1.6 by default, as
    /// in the paper. Without references it has no effect.
    ///
    /// With three rows a step takes three passes: prompt, references alone, negative prompt. A scale
    /// equal to the guidance scale makes the row of references alone needless, a scale of 1 that of the
    /// negative prompt; each saves a third of the time.
    pub const fn image_guidance_scale(mut self, scale: f64) -> Self {
        self.options.image_guidance_scale = scale;
        self
    }

    /// The longest side of a reference in pixels; 1,024 by default. Larger ones are made smaller before
    /// they are encoded. Time and memory grow with the square of this number: with 512 a reference
    /// has at most 1,024 tokens in place of 4,096.
    pub const fn max_input_image_size(mut self, pixels: u32) -> Self {
        self.options.max_input_image_size = pixels;
        self
    }

    /// Whether the image gets the size of the reference that the prompt names first, as it is encoded,
    /// whatever size was asked for, be it one that cannot be drawn. A request without references has
    /// the size that it asks for. False by default.
    pub const fn use_input_image_size_as_output(mut self, use_it: bool) -> Self {
        self.options.use_input_image_size_as_output = use_it;
        self
    }

    /// Which latents stand for a reference; a sample by default, as in diffusers. Samples are drawn
    /// with the request's seed, before the starting noise.
    pub const fn reference_latents(mut self, latents: ConditionLatents) -> Self {
        self.options.reference_latents = latents;
        self
    }

    /// How the tokenizer's file is understood; as it says by default.
    pub const fn tokenizer_reading(mut self, reading: TokenizerReading) -> Self {
        self.tokenizer_reading = reading;
        self
    }

    /// Where the rows of a batch stand; as in diffusers by default.
    pub const fn rope_positions(mut self, positions: RopePositions) -> Self {
        self.options.rope_positions = positions;
        self
    }

    /// Where keys and values of prompt and references are kept; where there is room by default.
    pub const fn kv_cache(mut self, kv_cache: KvCache) -> Self {
        self.options.kv_cache = kv_cache;
        self
    }

    /// The most bytes that a batch may take on the device beside the weights; by default what is free
    /// when the batch begins, as the device says. A batch of several images that takes more is drawn in
    /// parts; an image that does is [`Error::OutOfMemory`](crate::Error::OutOfMemory) before any work
    /// begins. What a batch takes is estimated, as
    /// [`OmniGen::estimate`] tells. A limit of [`u64::MAX`] lets everything begin.
    pub const fn memory_limit(mut self, bytes: u64) -> Self {
        self.options.memory_limit = Some(bytes);
        self
    }

    /// Loads the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) for
    /// files that are missing or do not fit, [`Error::InvalidInput`](crate::Error::InvalidInput)
    /// for settings that do not fit the checkpoint,
    /// [`Error::Unavailable`](crate::Error::Unavailable) for a device that is not there, and
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn load(self) -> Result<OmniGen> {
        let Self { settings, size, tokenizer_reading, options } = self;
        // 1. what is small, and the settings
        let checkpoint = Checkpoint::open(&settings.folder, settings.variant.as_deref())?;
        let transformer = &checkpoint.transformer;
        let class = checkpoint.tokenizer_class.as_deref();
        let reading = class.map_or(tokenizer_reading, |class| tokenizer_reading.of_class(class));
        let checks = Arc::new(Checks {
            options,
            tokenizer: Tokenizer::open(&checkpoint.tokenizer, reading)?,
            scheduler: checkpoint.scheduler.clone(),
            vocab_size: transformer.vocab_size,
            max_side: u32::try_from(transformer.pos_embed_max_size).unwrap_or(u32::MAX),
            footprint: Footprint::new(
                transformer,
                &checkpoint.vae,
                settings.dtype.kind(),
                settings.tiling,
            )?,
        });
        let side = DEFAULT_LATENTS.saturating_mul(checkpoint.vae.scale_factor());
        // A checkpoint may know no pictures as large.
        let side = side.min(checks.max_side.saturating_mul(MULTIPLE));
        let negative = settings.negative_prompt.as_deref().unwrap_or(NEGATIVE_PROMPT);
        let config = LocalConfig {
            name: format!("OmniGen({})", checkpoint.name),
            default_size: size.unwrap_or((side, side)),
            size_multiple: MULTIPLE,
            accepts: vec![ConditioningKind::None, ConditioningKind::Images],
            steps: settings.steps.unwrap_or(STEPS),
            guidance_scale: settings.guidance_scale.or(Some(GUIDANCE_SCALE)),
            negative_prompt: Some(negative.to_owned()),
            family: Arc::clone(&checks),
        };
        Checks::check_config(&config)?;
        // 2. the networks
        let tiling = settings.tiling;
        let load = move |loader: &_| Model::load(checkpoint, checks, tiling, loader);
        Local::load(config, settings, Model::PARTS, load).map(OmniGen)
    }
}
