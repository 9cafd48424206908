//! Checked requests to the parts of a denoising run: `OmniGenPipeline`.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::check::{Checks, RopePositions, images};
use super::checkpoint::Checkpoint;
use super::guidance::{Row, combine, rows};
use super::memory::Batch;
use super::room::{Place, Room};
use crate::conditioner::ConditionLatents;
use crate::generator::loading::Loader;
use crate::generator::local::{Job, Program, Run};
use crate::models::common::cuda;
use crate::models::common::free_memory::{free_memory, host_memory};
use crate::models::common::noise::Noise;
use crate::models::common::prefetch::PinnedPool;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;
use crate::models::omnigen::condition::Part;
use crate::models::omnigen::conditions::Conditions;
use crate::models::omnigen::picture::{MULTIPLE, prepare};
use crate::models::omnigen::prompt::Piece;
use crate::models::omnigen::rope::Positions;
use crate::models::omnigen::transformer::OmniGenTransformer;
use crate::models::schedule::Scheduler;
use crate::models::vae::{Vae, VaeTiling};
use crate::{Error, Result};

/// Everything that lives on the model's thread.
#[derive(Debug)]
pub(super) struct Model {
    transformer: OmniGenTransformer,
    vae: Vae,
    checks: Arc<Checks>,
    tiling: VaeTiling,
    device: Device,
    /// Where keys and values are kept that the device has no room for.
    pinned: PinnedPool,
}

impl Model {
    /// Parts of a checkpoint that are loaded: the transformer and the VAE.
    pub(super) const PARTS: usize = 2;

    /// The networks of `checkpoint`.
    pub(super) fn load(
        checkpoint: Checkpoint,
        checks: Arc<Checks>,
        tiling: VaeTiling,
        loader: &Loader,
    ) -> Result<Self> {
        let &Loader { device, kind, .. } = loader;
        let Checkpoint { transformer, transformer_weights, mut vae, vae_weights, .. } = checkpoint;
        let transformer = loader.part("transformer", || {
            OmniGenTransformer::new(
                &Weights::open(&transformer_weights, device, kind)?,
                &transformer,
            )
        })?;
        // `OmniGenPipeline` knows of one number alone.
        (vae.shift_factor, vae.latents_mean, vae.latents_std) = (None, None, None);
        let weights = || Weights::open(&vae_weights, device, kind);
        let vae = loader.part("vae", || Vae::new(vae, &weights()?))?;
        Ok(Self { transformer, vae, checks, tiling, device, pinned: PinnedPool::default() })
    }

    /// The latents of a job's references, in the order in which its rows read them: those of the
    /// prompt's row, and those of the row of images.
    fn references(&self, job: &Job, noise: &mut Noise) -> Result<[Vec<Tensor>; 2]> {
        let options = &self.checks.options;
        let encode = |image| {
            let image = prepare(image, options.max_input_image_size)?;
            self.vae.posterior(&image, self.tiling)
        };
        let posteriors = images(job).iter().map(encode).collect::<Result<Vec<_>>>()?;
        // diffusers encodes a picture wherever it stands, and draws a sample for each: also for rows
        // that are left out here, for the noise is drawn after them.
        let mut latents = |row| {
            let pieces =
                if posteriors.is_empty() { Vec::new() } else { self.checks.read(job, row)? };
            let numbers = pieces.iter().filter_map(|piece| match piece {
                Piece::Picture(number) => Some(*number),
                Piece::Text(_) => None,
            });
            let latents = numbers.map(|number| {
                let noise = match options.reference_latents {
                    ConditionLatents::Sample => Some(&mut *noise),
                    ConditionLatents::Mean => None,
                };
                self.vae.latents_of(&posteriors[number], noise)
            });
            Ok(latents.collect())
        };
        Ok([latents(Row::Prompt)?, latents(Row::Images)?])
    }

    /// What each of the rows of a job reads, and how many tokens that is.
    fn parts(&self, job: &Job, row: Row, latents: &[Tensor]) -> Result<(Vec<Part>, i64)> {
        let (mut latents, mut tokens) = (latents.iter(), 0);
        let patch = self.transformer.config().patch_size;
        let part = |piece| {
            let part = match piece {
                Piece::Text(ids) => Part::Text(ids),
                Piece::Picture(_) => Part::Picture(latents.next()?.shallow_clone()),
            };
            tokens += match &part {
                Part::Text(ids) => ids.len() as i64,
                Part::Picture(latents) => {
                    latents.size()[2..].iter().map(|side| side / patch).product()
                }
            };
            Some(part)
        };
        let parts = self.checks.read(job, row)?.into_iter().filter_map(part).collect();
        Ok((parts, tokens))
    }
}

impl Program for Model {
    type Config = Arc<Checks>;

    fn check(config: &Arc<Checks>, job: &mut Job) -> Result<()> {
        config.check(job)
    }

    fn start<'a>(&'a mut self, jobs: &'a [Arc<Job>], cancel: &Cancel) -> Result<Run<'a>> {
        // 1. room for all of it
        let options = &self.checks.options;
        let batch = Batch::of(&self.checks, jobs.iter().map(|job| &**job))?;
        let estimate = self.checks.footprint.estimate(&batch);
        let room = Room {
            on_device: |wanted| match options.memory_limit {
                Some(limit) => Ok(Some(limit)),
                None => free_memory(self.device, wanted),
            },
            on_host: host_memory().map(|free| free + self.pinned.bytes() as u64),
            are_apart: self.device != Device::Cpu,
        };
        let mut blocks = match room.place(options.kv_cache, &batch, &estimate)? {
            Place::Device => None,
            Place::Host => {
                let cuda = cuda::load().map_err(|error| Error::backend("CUDA", error))?;
                let bytes = usize::try_from(estimate.keys_and_values).unwrap_or(usize::MAX);
                Some((cuda, self.pinned.take(cuda, bytes)?))
            }
        };

        // 2. what every step has
        let first = &jobs[0];
        let [height, width] = [first.size.1, first.size.0].map(i64::from);
        let side = i64::from(MULTIPLE);
        let canvas = self.transformer.canvas(height / side, width / side)?;
        let scheduler = self.checks.scheduler.start(first.steps, canvas.tokens())?;
        let times = self.transformer.times(scheduler.timesteps());
        let has_images = !images(first).is_empty();
        let scale = has_images.then_some(options.image_guidance_scale);
        let weights = rows(first.guidance.unwrap_or(1.0), scale);

        // 3. references, and then noise
        let mut noise: Vec<_> = jobs.iter().map(|job| Noise::new(job.seed)).collect();
        let references = |(job, noise): (&Arc<Job>, &mut Noise)| {
            cancel.check()?;
            self.references(job, noise)
        };
        let references = jobs.iter().zip(&mut noise).map(references).collect::<Result<Vec<_>>>()?;
        let vae = &self.vae;
        let latents = i64::from(vae.config.scale_factor());
        let shape = [1, vae.config.latent_channels, height / latents, width / latents];
        let drawn = noise.iter_mut().map(|noise| noise.normal_of(&shape, Kind::Float));
        let latents = Tensor::cat(&drawn.collect::<Vec<_>>(), 0).to_device(self.device); // [n, c, h, w]

        // 4. keys and values of all that stands before the noise: every job's prompt, then every
        // job's images, and so on
        let mut conditions: Vec<_> = weights.iter().map(|_| Vec::new()).collect();
        for (job, [in_prompt, in_images]) in jobs.iter().zip(&references) {
            let read = |row| {
                let latents = if row == Row::Prompt { in_prompt } else { in_images };
                self.parts(job, row, latents)
            };
            // Those that are left out count too where rows stand by each other.
            let all = [Row::Prompt, Row::Images, Row::Negative];
            let all = all.into_iter().filter(|row| has_images || *row != Row::Images);
            let lengths = all.map(|row| Ok(read(row)?.1)).collect::<Result<Vec<_>>>()?;
            let longest = lengths.iter().copied().max().unwrap_or(0);
            for ((row, _), conditions) in weights.iter().zip(&mut conditions) {
                cancel.check()?;
                let (parts, tokens) = read(*row)?;
                let (shift, length) = match options.rope_positions {
                    RopePositions::Diffusers => (lengths[0] - tokens, longest),
                    RopePositions::Own => (0, tokens),
                };
                let positions = Positions { shift, length: length + 1 + canvas.tokens() };
                let condition = self.transformer.condition(
                    &parts,
                    positions,
                    canvas.tokens(),
                    &times,
                    cancel,
                )?;
                conditions.push(match &mut blocks {
                    Some((_, blocks)) => condition.in_host_memory(blocks)?,
                    None => condition.on_device(),
                });
            }
        }
        let conditions = conditions.into_iter().flatten().collect();
        let conditions = Conditions::new(conditions, blocks)?;

        // 5. the flow of latents
        let (transformer, tiling) = (&self.transformer, self.tiling);
        let predict = move |index: usize, latents: &Tensor| {
            let flows = transformer.forward(latents, index, &times, &canvas, &conditions)?;
            Ok(combine(&flows, &weights)) // [n, c, h, w]
        };
        Ok(Run {
            scheduler: Box::new(scheduler),
            latents,
            predict: Box::new(predict),
            preview: Box::new(move |latents| vae.preview(latents)),
            decode: Box::new(move |latents| vae.image(latents, tiling)),
        })
    }
}
