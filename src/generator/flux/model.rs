//! A checked job to an image: the denoising loop of `FluxPipeline`, and of OminiControl's `generate`.

use std::path::PathBuf;

use tch::{Device, Kind, Tensor};

use super::adapters::Adapters;
use super::checkpoint::Checkpoint;
use super::job::Job;
use super::offload::{Part, Placing};
use super::text::TextEncoders;
use crate::generator::denoise::{Watch, denoise};
use crate::models::common::noise::Noise;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;
use crate::models::flux::config::FluxConfig;
use crate::models::flux::latents::{PATCH, pack, unpack};
use crate::models::flux::rope::image_positions;
use crate::models::flux::transformer::FluxTransformer;
use crate::models::schedule::{FlowMatchConfig, Scheduler};
use crate::models::vae::{Vae, VaeTiling};
use crate::{Image, Result};

/// Everything that lives on the model's thread.
#[derive(Debug)]
pub(super) struct Model {
    text: TextEncoders,
    transformer: Part<FluxTransformer, FluxConfig>,
    adapters: Adapters,
    vae: Vae,
    tiling: VaeTiling,
    scheduler: FlowMatchConfig,
    device: Device,
    kind: Kind,
}

impl Model {
    /// The networks of `checkpoint`, with the adapters in `files`. Of a prompt, T5 reads `max_sequence_length` tokens.
    pub(super) fn load(
        checkpoint: Checkpoint,
        files: &[PathBuf],
        max_sequence_length: usize,
        tiling: VaeTiling,
        placing: Placing,
    ) -> Result<Self> {
        let adapters = Adapters::open(files, &checkpoint.transformer, placing)?;
        let text = TextEncoders::open(&checkpoint, max_sequence_length, placing)?;
        let Checkpoint { folder, scheduler, transformer, vae, .. } = checkpoint;
        let place = folder.join("transformer");
        let transformer = Part::open(place, transformer, FluxTransformer::new, placing)?;
        let Placing { device, kind, .. } = placing;
        let weights = Weights::open(&folder.join("vae"), device, kind)?;
        // Only references are encoded.
        let vae = if adapters.is_empty() { Vae::decoder } else { Vae::new }(vae, &weights)?;
        Ok(Self { text, transformer, adapters, vae, tiling, scheduler, device, kind })
    }

    /// Draws `job`, asking `cancel` between steps.
    pub(super) fn draw(&mut self, job: &Job, cancel: &Cancel) -> Result<Image> {
        // 1. what the transformer reads at every step
        let negative = job.negative.as_ref().map(|(prompt, _)| prompt.as_str());
        let prompts: Vec<_> = [job.prompt.as_str()].into_iter().chain(negative).collect();
        if !prompts.iter().all(|prompt| self.text.knows(prompt)) {
            self.transformer.leave();
        }
        let encoded = prompts.iter().map(|prompt| self.text.encode(prompt));
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        let Self { transformer, adapters, vae, tiling, device, kind, .. } = self;
        let transformer = transformer.get()?;
        let [rows, columns] = job.patches;
        let text_tokens = encoded.first().map_or(0, |text| text.states().size()[1]);
        let places = transformer.places(text_tokens, &image_positions(rows, columns));
        let prompts: Vec<_> =
            encoded.iter().map(|text| transformer.prompt(text.states(), text.pooled())).collect();

        // 2. noise
        let shape = [1, vae.config.latent_channels, PATCH * rows, PATCH * columns];
        let mut noise = Noise::new(job.seed);
        let latents = pack(&noise.normal_of(&shape, *kind).to_device(*device)); // [1, rows · columns, 4 c]

        // 3. the reference, which is the same at every step
        cancel.check()?;
        let encoded = job.condition.as_ref();
        let encoded = encoded.map(|image| adapters.encode(image, vae, &mut noise, *tiling));
        let encoded = encoded.transpose()?;
        let others = text_tokens + rows * columns;
        let conditions: Vec<_> = prompts
            .iter()
            .filter_map(|prompt| Some(encoded.as_ref()?.condition(transformer, prompt, others)))
            .collect();

        // 4. step by step to latents
        let mut scheduler = self.scheduler.start(job.steps, rows * columns)?;
        let times = |prompt| transformer.times(scheduler.timesteps(), job.guidance, prompt);
        let times: Vec<_> = prompts.iter().map(times).collect();
        let predict = |index: usize, latents: &Tensor| {
            let flow = |i: usize| {
                let (times, prompt, condition) = (&times[i], &prompts[i], conditions.get(i));
                transformer.forward(latents, times, index, prompt, &places, condition)
            };
            let positive = flow(0); // [1, rows · columns, 4 c]
            let Some((_, scale)) = job.negative else { return positive };
            let negative = flow(1);
            &negative + (positive - &negative) * scale
        };
        let watch = Watch { progress: &job.progress, cancel };
        let preview = |original: &Tensor| vae.preview(&unpack(original, rows, columns));
        let latents = denoise(&mut scheduler, latents, watch, predict, preview)?;

        // 5. pixels
        cancel.check()?;
        vae.image(&unpack(&latents, rows, columns), *tiling)
    }
}
