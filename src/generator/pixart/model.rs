//! Checked requests to the parts of a denoising run: `PixArtSigmaPipeline`.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::binning::resize_and_crop;
use super::check::Checks;
use super::checkpoint::Checkpoint;
use super::prompt::PromptReader;
use super::text::TextEncoder;
use crate::Result;
use crate::generator::loading::Loader;
use crate::generator::local::{Job, Program, Run};
use crate::generator::offload::{Offload, Part, Placing};
use crate::models::common::noise::Noise;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;
use crate::models::pixart::config::PixArtConfig;
use crate::models::pixart::transformer::{Caption, PixArtTransformer};
use crate::models::schedule::SchedulerConfig;
use crate::models::vae::{Vae, VaeTiling, image_of};

/// Everything that lives on the model's thread.
#[derive(Debug)]
pub(super) struct Model {
    text: TextEncoder,
    transformer: Part<PixArtTransformer, PixArtConfig>,
    vae: Vae,
    scheduler: SchedulerConfig,
    tiling: VaeTiling,
    pixels_per_token: u32,
    device: Device,
    kind: Kind,
}

/// What the model is loaded with beside its checkpoint.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) reader: Arc<PromptReader>,
    pub(super) offload: Offload,
    pub(super) tiling: VaeTiling,
}

impl Model {
    /// Parts of a checkpoint that are loaded: the text encoder, the transformer and the VAE.
    pub(super) const PARTS: usize = 3;

    /// The networks of `checkpoint`.
    pub(super) fn load(checkpoint: Checkpoint, options: Options, loader: &Loader) -> Result<Self> {
        let &Loader { device, kind, .. } = loader;
        let placing = Placing { device, kind, offload: options.offload };
        let text = TextEncoder::open(&checkpoint, options.reader, placing, loader)?;
        let pixels_per_token = checkpoint.pixels_per_token();
        let Checkpoint { index, scheduler, transformer, vae, .. } = checkpoint;
        let transformer = loader.part("transformer", || {
            Part::open(index.weights("transformer")?, transformer, PixArtTransformer::new, placing)
        })?;
        let vae = loader.part("vae", || {
            Vae::decoder(vae, &Weights::open(&index.weights("vae")?, device, kind)?)
        })?;
        let tiling = options.tiling;
        Ok(Self { text, transformer, vae, scheduler, tiling, pixels_per_token, device, kind })
    }

    /// The captions of a batch: the negative ones of all `jobs`, where there are any, and then the
    /// others.
    fn read(&mut self, jobs: &[Arc<Job>]) -> Result<Vec<Caption>> {
        let negative = jobs.iter().filter_map(|job| job.negative_prompt.as_deref());
        let prompts: Vec<_> = negative.chain(jobs.iter().map(|job| job.prompt.as_str())).collect();
        if !prompts.iter().all(|prompt| self.text.knows(prompt)) {
            self.transformer.leave();
        }
        let encoded = self.text.encode(&prompts)?;
        let transformer = self.transformer.get()?;
        Ok(encoded.iter().map(|states| transformer.caption(states)).collect())
    }
}

impl Program for Model {
    type Config = Checks;

    fn check(config: &Checks, job: &mut Job) -> Result<()> {
        config.check(job)
    }

    fn start<'a>(&'a mut self, jobs: &'a [Arc<Job>], _: &Cancel) -> Result<Run<'a>> {
        // 1. what the transformer reads at every step
        let first = &jobs[0];
        let mut scheduler = self.scheduler.start(first.steps)?;
        let captions = self.read(jobs)?;
        let Self { transformer, vae, tiling, pixels_per_token, device, kind, .. } = self;
        let transformer = transformer.get()?;
        let times = transformer.times(scheduler.timesteps());
        let [rows, columns] =
            [first.size.1, first.size.0].map(|side| i64::from(side / *pixels_per_token));
        let positions = transformer.positions(rows, columns);

        // 2. noise
        let config = &transformer.config;
        let (channels, patch) = (config.in_channels, config.patch_size);
        let shape = [1, channels, patch * rows, patch * columns];
        let mut noise: Vec<_> = jobs.iter().map(|job| Noise::new(job.seed)).collect();
        let latents: Vec<_> =
            noise.iter_mut().map(|noise| noise.normal_of(&shape, *kind)).collect();
        let latents = Tensor::cat(&latents, 0).to_device(*device) * scheduler.init_noise_sigma(); // [n, channels, h, w]
        scheduler.take_noise(&mut noise, &latents);

        // 3. the noise in a sample
        let guidance = first.guidance;
        let predict = move |index: usize, sample: &Tensor| {
            let captions: Vec<_> = captions.iter().collect();
            let of =
                |sample: &Tensor| transformer.forward(sample, &times, index, &captions, &positions);
            let guided = match guidance {
                None => of(sample),
                Some(scale) => {
                    let parts = of(&sample.repeat([2, 1, 1, 1])).chunk(2, 0);
                    &parts[0] + (&parts[1] - &parts[0]) * scale
                }
            };
            // The second half of the channels, where there is one, is a variance that was learned.
            Ok(guided.narrow(1, 0, channels)) // [n, channels, h, w]
        };
        let (vae, tiling, asked) = (&*vae, *tiling, first.asked);
        Ok(Run {
            scheduler,
            latents,
            predict: Box::new(predict),
            preview: Box::new(move |latents| vae.preview(latents)),
            decode: Box::new(move |latents| {
                image_of(&resize_and_crop(&vae.pixels(latents, tiling)?, asked))
            }),
        })
    }
}
