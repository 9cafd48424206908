//! A checked job to an image: the denoising loop of `FluxPipeline`.

use tch::{Device, Kind};

use super::checkpoint::Checkpoint;
use super::job::Job;
use super::residency::{Part, Placing};
use super::text::TextEncoders;
use crate::generator::Step;
use crate::models::flux::config::FluxConfig;
use crate::models::flux::latents::{PATCH, pack, unpack};
use crate::models::flux::rope::image_positions;
use crate::models::flux::transformer::FluxTransformer;
use crate::models::noise::Noise;
use crate::models::schedule::{FlowMatchConfig, Scheduler};
use crate::models::vae::{Vae, VaeTiling};
use crate::models::weights::Weights;
use crate::models::worker::Cancel;
use crate::{Image, Result};

/// Everything that lives on the model's thread.
#[derive(Debug)]
pub(super) struct Model {
    text: TextEncoders,
    transformer: Part<FluxTransformer, FluxConfig>,
    vae: Vae,
    device: Device,
    kind: Kind,
}

impl Model {
    /// The networks of `checkpoint`. Of a prompt, T5 reads `max_sequence_length` tokens.
    pub(super) fn load(
        checkpoint: Checkpoint,
        max_sequence_length: usize,
        placing: Placing,
    ) -> Result<Self> {
        let text = TextEncoders::open(&checkpoint, max_sequence_length, placing)?;
        let Checkpoint { folder, transformer, vae, .. } = checkpoint;
        let place = folder.join("transformer");
        let transformer = Part::open(place, transformer, FluxTransformer::new, placing)?;
        let Placing { device, kind, .. } = placing;
        let vae = Vae::decoder(vae, &Weights::open(&folder.join("vae"), device, kind)?)?;
        Ok(Self { text, transformer, vae, device, kind })
    }

    /// Draws `job`, asking `cancel` between steps.
    pub(super) fn draw(
        &mut self,
        job: &Job,
        scheduler: &FlowMatchConfig,
        tiling: VaeTiling,
        cancel: &Cancel,
    ) -> Result<Image> {
        // 1. what the transformer reads at every step
        let negative = job.negative.as_ref().map(|(prompt, _)| prompt.as_str());
        let prompts: Vec<_> = [job.prompt.as_str()].into_iter().chain(negative).collect();
        if !prompts.iter().all(|prompt| self.text.knows(prompt)) {
            self.transformer.leave();
        }
        let encoded = prompts.iter().map(|prompt| self.text.encode(prompt));
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        let Self { transformer, vae, device, kind, .. } = self;
        let transformer = transformer.get()?;
        let [rows, columns] = job.patches;
        let text_tokens = encoded.first().map_or(0, |text| text.states().size()[1]);
        let places = transformer.places(text_tokens, &image_positions(rows, columns));
        let prompts: Vec<_> =
            encoded.iter().map(|text| transformer.prompt(text.states(), text.pooled())).collect();

        // 2. noise
        let shape = [1, vae.config.latent_channels, PATCH * rows, PATCH * columns];
        let noise = Noise::new(job.seed).normal_of(&shape, *kind).to_device(*device);
        let mut latents = pack(&noise); // [1, rows · columns, 4 c]

        // 3. step by step to latents
        let mut scheduler = scheduler.start(job.steps, rows * columns)?;
        let timesteps = scheduler.timesteps().to_vec();
        for (index, &timestep) in timesteps.iter().enumerate() {
            cancel.check()?;
            let flow =
                |prompt| transformer.forward(&latents, timestep, job.guidance, prompt, &places);
            let output = match (&prompts[..], &job.negative) {
                ([positive, negative], Some((_, scale))) => {
                    let (positive, negative) = (flow(positive), flow(negative));
                    &negative + (positive - &negative) * *scale
                }
                (prompts, _) => flow(&prompts[0]),
            };
            let stepped = scheduler.step(&output, index, &latents);
            latents = stepped.sample;
            let mut step = Step::new(index + 1, timesteps.len());
            if job.progress.wants_preview(step.index) {
                step.preview = Some(vae.preview(&unpack(&stepped.original, rows, columns))?);
            }
            job.progress.report(step);
        }

        // 4. pixels
        cancel.check()?;
        vae.image(&unpack(&latents, rows, columns), tiling)
    }
}
