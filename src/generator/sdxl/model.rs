//! Checked requests to the parts of a denoising run: `StableDiffusionXLPipeline`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;
use tch::{Device, Kind, Tensor};

use super::check::Checks;
use super::checkpoint::Checkpoint;
use super::text::TextEncoders;
use crate::Result;
use crate::conditioner::{Conditioning, ImageTokens};
use crate::generator::encoded::Encoded;
use crate::generator::loading::Loader;
use crate::generator::local::{Job, Program, Run};
use crate::models::SchedulerKind;
use crate::models::common::noise::Noise;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;
use crate::models::ip_adapter::ImageAttention;
use crate::models::schedule::SchedulerConfig;
use crate::models::sdxl::unet::{ImageContext, TextContext, UNet};
use crate::models::vae::{Vae, VaeTiling};

/// Batches whose text keys and values are kept: those of a draft and of its final image.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// What the model is loaded with beside its checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// The file of an IP-Adapter.
    pub(super) ip_adapter: Option<PathBuf>,
    /// In place of the checkpoint's own.
    pub(super) scheduler: Option<SchedulerKind>,
    /// Whether prompts are read whole.
    pub(super) long_prompts: bool,
    pub(super) sizes: Sizes,
    pub(super) tiling: VaeTiling,
}

/// The sizes that the network is told of, each (width, height) or (left, top) in pixels. `None` is
/// the size of the image that is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub(super) original: Option<(u32, u32)>,
    pub(super) crop: (u32, u32),
    pub(super) target: Option<(u32, u32)>,
}

impl Sizes {
    /// Original height and width, top and left of the crop, target height and width, of an image of
    /// `size`.
    fn time_ids(self, size: (u32, u32)) -> [i64; 6] {
        let (original, target) = (self.original.unwrap_or(size), self.target.unwrap_or(size));
        let crop = self.crop;
        [original.1, original.0, crop.1, crop.0, target.1, target.0].map(i64::from)
    }
}

/// Everything that lives on the model's thread.
#[derive(Debug)]
pub(super) struct Model {
    text: TextEncoders,
    unet: UNet,
    adapter: Option<ImageAttention>,
    vae: Vae,
    tiling: VaeTiling,
    scheduler: SchedulerConfig,
    sizes: Sizes,
    /// Whether a request without a negative prompt is guided away from zeros, and not from "".
    force_zeros: bool,
    contexts: LruCache<Vec<Text>, Rc<TextContext>>,
    device: Device,
    kind: Kind,
}

/// A row of the batch: a prompt, or what stands for none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Text {
    Prompt(String),
    Zeros,
}

impl Model {
    /// The networks of `checkpoint`.
    pub(super) fn load(checkpoint: Checkpoint, options: Options, loader: &Loader) -> Result<Self> {
        let &Loader { device, kind, .. } = loader;
        let text = TextEncoders::open(&checkpoint, loader)?;
        let Checkpoint { index, scheduler, unet, vae, .. } = checkpoint;
        let weights = |part: &str| Weights::open(&index.weights(part)?, device, kind);
        let unet = loader.part("unet", || UNet::new(unet, &weights("unet")?))?;
        let Options { ip_adapter, sizes, tiling, .. } = options;
        let adapter = ip_adapter.map(|file| {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            loader.part(&name, || ImageAttention::open(&file, &unet, device, kind))
        });
        Ok(Self {
            text,
            adapter: adapter.transpose()?,
            unet,
            vae: loader.part("vae", || Vae::decoder(vae, &weights("vae")?))?,
            tiling,
            scheduler,
            sizes,
            force_zeros: index.flag("force_zeros_for_empty_prompt").unwrap_or(true),
            contexts: LruCache::new(REMEMBERED),
            device,
            kind,
        })
    }

    /// The prompts as the UNet reads them: keys and values of the states, and the pooled vectors
    /// `[b, projection]`. With guidance the negative ones come first in the batch.
    fn read(&mut self, jobs: &[Arc<Job>]) -> Result<(Rc<TextContext>, Tensor)> {
        let tokens = jobs[0].tokens;
        let positive = jobs.iter().map(|job| Text::Prompt(job.prompt.clone()));
        let negative =
            jobs.iter().filter(|job| self.cfg_scale(job).is_some()).map(|job| {
                match &job.negative_prompt {
                    None if self.force_zeros => Text::Zeros,
                    prompt => Text::Prompt(prompt.clone().unwrap_or_default()),
                }
            });
        let rows: Vec<_> = negative.chain(positive).collect();
        let encode = |row: &Text| match row {
            Text::Prompt(prompt) => self.text.encode(prompt, tokens),
            Text::Zeros => {
                let Encoded { states, pooled } = &*self.text.encode(&jobs[0].prompt, tokens)?;
                Ok(Rc::new(Encoded { states: states.zeros_like(), pooled: pooled.zeros_like() }))
            }
        };
        let encoded = rows.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let pooled: Vec<_> = encoded.iter().map(|row| &row.pooled).collect();
        let unet = &self.unet;
        let text = self.contexts.get_or_insert(rows, || {
            let states: Vec<_> = encoded.iter().map(|row| &row.states).collect();
            Rc::new(unet.text_context(&Tensor::cat(&states, 0))) // [b, tokens, width]
        });
        Ok((Rc::clone(text), Tensor::cat(&pooled, 0)))
    }

    /// The scale of classifier-free guidance, which a network that is told its guidance does without.
    fn cfg_scale(&self, job: &Job) -> Option<f64> {
        let is_told = self.unet.config().time.cond_proj_dim.is_some();
        job.guidance.filter(|_| !is_told)
    }

    /// Keys and values of the references; none where they have no weight.
    fn references(&self, jobs: &[Arc<Job>]) -> Option<ImageContext> {
        let all: Vec<_> = jobs.iter().filter_map(|job| tokens(job)).collect();
        let first = all.first()?;
        let shape = [1, first.tokens as i64, first.dim as i64];
        let rows = |of: fn(&ImageTokens) -> &[f32]| {
            all.iter().map(move |one| Tensor::from_slice(of(one)).reshape(shape)) // [1, tokens, dim]
        };
        let guided = self.cfg_scale(&jobs[0]).is_some();
        let negative = rows(|one| &one.negative).filter(|_| guided);
        let batch: Vec<_> = negative.chain(rows(|one| &one.data)).collect();
        let batch = Tensor::cat(&batch, 0); // [b, tokens, dim]
        self.adapter.as_ref()?.context(&batch, |layer| first.strength.scale_of(layer))
    }
}

/// The tokens of a job's references.
fn tokens(job: &Job) -> Option<&ImageTokens> {
    if let Conditioning::Tokens(tokens) = &job.conditioning { Some(tokens) } else { None }
}

impl Program for Model {
    type Config = Checks;

    fn check(config: &Checks, job: &mut Job) -> Result<()> {
        config.check(job)
    }

    fn start<'a>(&'a mut self, jobs: &'a [Arc<Job>], _: &Cancel) -> Result<Run<'a>> {
        // 1. what the UNet reads at every step
        let first = &jobs[0];
        let mut scheduler = self.scheduler.start(first.steps)?;
        let (text, pooled) = self.read(jobs)?;
        let Self { unet, vae, tiling, device, kind, .. } = &*self;
        let ids = Tensor::from_slice(&self.sizes.time_ids(first.size)).to_kind(*kind);
        let added = unet.added(&pooled, &ids.unsqueeze(0).repeat([pooled.size()[0], 1]));
        let times = unet.times(scheduler.timesteps(), &added, first.guidance.unwrap_or(0.0));
        let image = self.references(jobs);

        // 2. noise
        let [height, width] =
            [first.size.1, first.size.0].map(|side| i64::from(side / vae.config.scale_factor()));
        let shape = [1, vae.config.latent_channels, height, width];
        let mut noise: Vec<_> = jobs.iter().map(|job| Noise::new(job.seed)).collect();
        let latents: Vec<_> =
            noise.iter_mut().map(|noise| noise.normal_of(&shape, *kind)).collect();
        let latents = Tensor::cat(&latents, 0).to_device(*device) * scheduler.init_noise_sigma(); // [n, latent_channels, h, w]
        scheduler.take_noise(&mut noise, &latents);

        // 3. the noise in a sample
        let total = scheduler.timesteps().len();
        let cfg_scale = self.cfg_scale(first);
        let strength = tokens(first).map(|tokens| &tokens.strength);
        let predict = move |index: usize, sample: &Tensor| {
            let (time, image) = (times.at(index), image.as_ref());
            let image = image.filter(|_| strength.is_some_and(|s| s.acts_in(index, total)));
            let Some(scale) = cfg_scale else {
                return unet.forward(sample, time, &text, image);
            };
            let both = unet.forward(&sample.repeat([2, 1, 1, 1]), time, &text, image);
            let parts = both.chunk(2, 0);
            &parts[0] + (&parts[1] - &parts[0]) * scale // [n, latent_channels, h, w]
        };
        Ok(Run {
            scheduler,
            latents,
            predict: Box::new(move |index, latents| Ok(predict(index, latents))),
            preview: Box::new(move |latents| vae.preview(latents)),
            decode: Box::new(move |latents| vae.image(latents, *tiling)),
        })
    }
}
