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
use crate::models::common::cuda::{self, Cuda};
use crate::models::common::free_memory::{free_memory, host_memory};
use crate::models::common::noise::Noise;
use crate::models::common::prefetch::{Blocks, PinnedPool};
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
            let latents = pieces.iter().filter_map(Piece::picture).map(|number| {
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

    /// What the rows of a job that `weights` name read, and where they stand before `noise` tokens.
    fn rows(
        &self,
        job: &Job,
        [in_prompt, in_images]: &[Vec<Tensor>; 2],
        weights: &[(Row, f64)],
        noise: i64,
    ) -> Result<Vec<(Vec<Part>, Positions)>> {
        // 1. all rows: those that are left out count too where rows stand by each other
        let read = |row| {
            let mut latents = if row == Row::Prompt { in_prompt } else { in_images }.iter();
            let part = |piece| match piece {
                Piece::Text(ids) => Some(Part::Text(ids)),
                Piece::Picture(_) => Some(Part::Picture(latents.next()?.shallow_clone())),
            };
            let parts: Vec<_> = self.checks.read(job, row)?.into_iter().filter_map(part).collect();
            let tokens = parts.iter().map(|part| self.transformer.tokens_of(part)).sum::<i64>();
            Ok((row, parts, tokens))
        };
        let all = match images(job).is_empty() {
            true => &[Row::Prompt, Row::Negative][..],
            false => &[Row::Prompt, Row::Images, Row::Negative],
        };
        let all = all.iter().map(|&row| read(row)).collect::<Result<Vec<_>>>()?;
        let longest = all.iter().map(|(.., tokens)| *tokens).max().unwrap_or(0);
        let first = all.first().map_or(0, |(.., tokens)| *tokens);

        // 2. those that count
        let positions = |tokens: i64| {
            let (shift, length) = match self.checks.options.rope_positions {
                RopePositions::Diffusers => (first - tokens, longest),
                RopePositions::Own => (0, tokens),
            };
            Positions { shift, length: length + 1 + noise }
        };
        let counts = |row: &Row| weights.iter().any(|(weighed, _)| weighed == row);
        let all = all.into_iter().filter(|(row, ..)| counts(row));
        Ok(all.map(|(_, parts, tokens)| (parts, positions(tokens))).collect())
    }

    /// Host memory for the keys and values of `jobs`; `None` where they stay on the device.
    fn host_memory(&mut self, jobs: &[Arc<Job>]) -> Result<Option<(&'static Cuda, Blocks)>> {
        let Checks { options, footprint, .. } = &*self.checks;
        let batch = Batch::of(&self.checks, jobs.iter().map(|job| &**job))?;
        let estimate = footprint.estimate(&batch);
        let room = Room {
            on_device: |wanted| match options.memory_limit {
                Some(limit) => Ok(Some(limit)),
                None => free_memory(self.device, wanted),
            },
            on_host: host_memory().map(|free| free + self.pinned.bytes() as u64),
            are_apart: self.device != Device::Cpu,
        };
        if room.place(options.kv_cache, &batch, &estimate)? == Place::Device {
            return Ok(None);
        }
        let cuda = cuda::load().map_err(|error| Error::backend("CUDA", error))?;
        let bytes = usize::try_from(estimate.keys_and_values).unwrap_or(usize::MAX);
        Ok(Some((cuda, self.pinned.take(cuda, bytes)?)))
    }
}

impl Program for Model {
    type Config = Arc<Checks>;

    fn check(config: &Arc<Checks>, job: &mut Job) -> Result<()> {
        config.check(job)
    }

    fn start<'a>(&'a mut self, jobs: &'a [Arc<Job>], cancel: &Cancel) -> Result<Run<'a>> {
        // 1. room for all of it
        let mut blocks = self.host_memory(jobs)?;

        // 2. what every step has
        let Self { transformer, vae, checks, tiling, device, .. } = &*self;
        let (first, side) = (&jobs[0], i64::from(MULTIPLE));
        let [height, width] = [first.size.1, first.size.0].map(i64::from);
        let canvas = transformer.canvas(height / side, width / side)?;
        let scheduler = checks.scheduler.start(first.steps, canvas.tokens())?;
        let times = transformer.times(scheduler.timesteps());
        let scale = (!images(first).is_empty()).then_some(checks.options.image_guidance_scale);
        let weights = rows(first.guidance.unwrap_or(1.0), scale);

        // 3. references, and then noise
        let mut noise: Vec<_> = jobs.iter().map(|job| Noise::new(job.seed)).collect();
        let references = |(job, noise): (&Arc<Job>, &mut Noise)| {
            cancel.check()?;
            self.references(job, noise)
        };
        let references = jobs.iter().zip(&mut noise).map(references).collect::<Result<Vec<_>>>()?;
        let factor = i64::from(vae.config.scale_factor());
        let shape = [1, vae.config.latent_channels, height / factor, width / factor];
        let drawn = noise.iter_mut().map(|noise| noise.normal_of(&shape, Kind::Float));
        let latents = Tensor::cat(&drawn.collect::<Vec<_>>(), 0).to_device(*device); // [n, c, h, w]

        // 4. keys and values of all that stands before the noise: every job's prompt, then every
        // job's images, and so on
        let mut conditions: Vec<_> = weights.iter().map(|_| Vec::new()).collect();
        for (job, references) in jobs.iter().zip(&references) {
            let rows = self.rows(job, references, &weights, canvas.tokens())?;
            for ((parts, positions), conditions) in rows.into_iter().zip(&mut conditions) {
                let condition =
                    transformer.condition(&parts, positions, canvas.tokens(), &times, cancel)?;
                conditions.push(match &mut blocks {
                    Some((_, blocks)) => condition.in_host_memory(blocks)?,
                    None => condition.on_device(),
                });
            }
        }
        let conditions = conditions.into_iter().flatten().collect();
        let conditions = Conditions::new(conditions, blocks)?;

        // 5. the flow of latents
        let tiling = *tiling;
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
