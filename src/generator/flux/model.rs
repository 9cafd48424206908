//! Checked requests to the parts of a denoising run: `FluxPipeline`, and OminiControl's `generate`.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::adapters::Adapters;
use super::check::Checks;
use super::checkpoint::Checkpoint;
use super::text::TextEncoders;
use super::tokens::Tokenizers;
use crate::Result;
use crate::conditioner::Conditioning;
use crate::generator::encoded::Encoded;
use crate::generator::loading::Loader;
use crate::generator::local::{Job, Program, Run};
use crate::generator::offload::{Offload, Part, Placing};
use crate::models::common::noise::Noise;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;
use crate::models::flux::config::FluxConfig;
use crate::models::flux::latents::{PATCH, pack, unpack};
use crate::models::flux::rope::image_positions;
use crate::models::flux::transformer::{FluxTransformer, Prompt};
use crate::models::schedule::{FlowMatchConfig, Scheduler};
use crate::models::vae::{Vae, VaeTiling};

/// Everything that lives on the model's thread.
#[derive(Debug)]
pub(super) struct Model {
    text: TextEncoders,
    transformer: Part<FluxTransformer, FluxConfig>,
    adapters: Adapters,
    vae: Vae,
    scheduler: FlowMatchConfig,
    options: Options,
    device: Device,
    kind: Kind,
}

/// What the model is loaded with beside its checkpoint.
#[derive(Debug)]
pub(super) struct Options {
    /// Files of OminiControl's.
    pub(super) adapters: Vec<PathBuf>,
    pub(super) tokenizers: Arc<Tokenizers>,
    pub(super) true_cfg_scale: f64,
    pub(super) offload: Offload,
    pub(super) tiling: VaeTiling,
}

impl Model {
    /// Parts of a checkpoint that are loaded: two text encoders, the transformer and the VAE.
    pub(super) const PARTS: usize = 4;

    /// The networks of `checkpoint`.
    pub(super) fn load(checkpoint: Checkpoint, options: Options, loader: &Loader) -> Result<Self> {
        let &Loader { device, kind, .. } = loader;
        let placing = Placing { device, kind, offload: options.offload };
        let adapters = Adapters::open(&options.adapters, &checkpoint.transformer, placing, loader)?;
        let tokenizers = Arc::clone(&options.tokenizers);
        let text = TextEncoders::open(&checkpoint, tokenizers, placing, loader)?;
        let Checkpoint { index, scheduler, transformer, vae, .. } = checkpoint;
        let transformer = loader.part("transformer", || {
            Part::open(index.weights("transformer")?, transformer, FluxTransformer::new, placing)
        })?;
        let vae = loader.part("vae", || {
            let weights = Weights::open(&index.weights("vae")?, device, kind)?;
            // Only references are encoded.
            if adapters.is_empty() { Vae::decoder(vae, &weights) } else { Vae::new(vae, &weights) }
        })?;
        Ok(Self { text, transformer, adapters, vae, scheduler, options, device, kind })
    }

    /// The prompts and, where there are any, the negative prompts of `jobs`, a batch each.
    fn read(&mut self, jobs: &[Arc<Job>]) -> Result<Vec<[Tensor; 2]>> {
        let positive: Vec<_> = jobs.iter().map(|job| job.prompt.as_str()).collect();
        let negative: Vec<_> =
            jobs.iter().filter_map(|job| job.negative_prompt.as_deref()).collect();
        let prompts = [positive, negative].concat();
        if !prompts.iter().all(|prompt| self.text.knows(prompt)) {
            self.transformer.leave();
        }
        let encoded = self.text.encode(&prompts)?;
        let batch = |texts: &[Rc<Encoded>]| {
            let cat = |of: fn(&Rc<Encoded>) -> &Tensor| {
                Tensor::cat(&texts.iter().map(of).collect::<Vec<_>>(), 0) // [n, ..]
            };
            [cat(|text| &text.states), cat(|text| &text.pooled)]
        };
        Ok(encoded.chunks(jobs.len()).map(batch).collect())
    }
}

impl Program for Model {
    type Config = Checks;

    fn check(config: &Checks, job: &mut Job) -> Result<()> {
        config.check(job)
    }

    fn start<'a>(&'a mut self, jobs: &'a [Arc<Job>], cancel: &Cancel) -> Result<Run<'a>> {
        // 1. what the transformer reads at every step
        let first = &jobs[0];
        let texts = self.read(jobs)?;
        let Self { transformer, adapters, vae, options, device, kind, .. } = self;
        let &mut Options { true_cfg_scale, tiling, .. } = options;
        let transformer = transformer.get()?;
        let multiple = vae.config.scale_factor() * PATCH as u32;
        let [rows, columns] = [first.size.1, first.size.0].map(|side| i64::from(side / multiple));
        let text_tokens = texts[0][0].size()[1];
        let places = transformer.places(text_tokens, &image_positions(rows, columns));
        let prompt = |[states, pooled]: &[Tensor; 2]| transformer.prompt(states, pooled);
        let prompts: Vec<Prompt> = texts.iter().map(prompt).collect();

        // 2. noise
        let shape = [1, vae.config.latent_channels, PATCH * rows, PATCH * columns];
        let mut noise: Vec<_> = jobs.iter().map(|job| Noise::new(job.seed)).collect();
        let latents: Vec<_> =
            noise.iter_mut().map(|noise| noise.normal_of(&shape, *kind)).collect();
        let latents = pack(&Tensor::cat(&latents, 0).to_device(*device)); // [n, rows · columns, 4 c]

        // 3. the references, which are the same at every step
        cancel.check()?;
        let images = jobs.iter().filter_map(|job| match &job.conditioning {
            Conditioning::Condition(image) => Some(image),
            _ => None,
        });
        let images: Vec<_> = images.collect();
        let encoded = adapters.encode(&images, vae, &mut noise, tiling)?;
        let others = text_tokens + rows * columns;
        let conditions: Vec<_> = prompts
            .iter()
            .filter_map(|prompt| Some(encoded.as_ref()?.condition(transformer, prompt, others)))
            .collect();

        // 4. the flow of latents
        let scheduler = self.scheduler.start(first.steps, rows * columns)?;
        let guidance = first.guidance.unwrap_or(0.0);
        let times = |prompt| transformer.times(scheduler.timesteps(), guidance, prompt);
        let times: Vec<_> = prompts.iter().map(times).collect();
        let predict = move |index: usize, latents: &Tensor| {
            let flow = |i: usize| {
                let (times, prompt, condition) = (&times[i], &prompts[i], conditions.get(i));
                transformer.forward(latents, times, index, prompt, &places, condition)
            };
            let positive = flow(0); // [n, rows · columns, 4 c]
            if prompts.len() == 1 {
                return positive;
            }
            let negative = flow(1);
            &negative + (positive - &negative) * true_cfg_scale
        };
        let vae = &*vae;
        Ok(Run {
            scheduler: Box::new(scheduler),
            latents,
            predict: Box::new(move |index, latents| Ok(predict(index, latents))),
            preview: Box::new(move |latents| vae.preview(&unpack(latents, rows, columns))),
            decode: Box::new(move |latents| vae.image(&unpack(latents, rows, columns), tiling)),
        })
    }
}
