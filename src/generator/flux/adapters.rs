//! OminiControl's files and a request's condition image to what the transformer reads beside text
//! and image.

use std::path::PathBuf;

use tch::Tensor;

use super::offload::Placing;
use crate::conditioner::{ConditionImage, ConditionLatents, ConditioningKind, adapter_name};
use crate::models::common::noise::Noise;
use crate::models::common::weights::Weights;
use crate::models::flux::condition::{Condition, Reference};
use crate::models::flux::config::FluxConfig;
use crate::models::flux::latents::{PATCH, pack};
use crate::models::flux::lora::Lora;
use crate::models::flux::rope::{Position, condition_positions};
use crate::models::flux::transformer::{FluxTransformer, Prompt};
use crate::models::vae::{Vae, VaeTiling};
use crate::{Error, Result};

/// The adapters of a generator, by name. They are small, and stay on the device.
#[derive(Debug)]
pub(super) struct Adapters(Vec<(String, Lora)>);

/// What a condition image is to the transformer.
#[derive(Debug)]
pub(super) struct Encoded<'a> {
    /// Packed, `[1, tokens, in_channels]`.
    latents: Tensor,
    positions: Vec<Position>,
    lora: &'a Lora,
    strength: f64,
    independent: bool,
}

/// What the adapters in `files` read.
pub(super) fn kinds(files: &[PathBuf]) -> Result<Vec<ConditioningKind>> {
    let mut kinds = Vec::new();
    for adapter in files.iter().map(|file| adapter_name(file)) {
        let kind = ConditioningKind::Condition { adapter };
        if kinds.contains(&kind) {
            return Err(Error::invalid_input("adapters", "one of each name", format!("2: {kind}")));
        }
        kinds.push(kind);
    }
    Ok(kinds)
}

impl Adapters {
    /// Those in `files`, for a transformer of these settings.
    pub(super) fn open(files: &[PathBuf], config: &FluxConfig, placing: Placing) -> Result<Self> {
        if files.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let transformer = FluxTransformer::new(&Weights::recording(), config)?;
        let open = |file: &PathBuf| {
            let lora = Lora::open(file, transformer.sites(), placing.device, placing.kind)?;
            Ok((adapter_name(file), lora))
        };
        Ok(Self(files.iter().map(open).collect::<Result<_>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encodes `image` for its adapter. A sample takes the next values of `noise`.
    pub(super) fn encode(
        &self,
        image: &ConditionImage,
        vae: &Vae,
        noise: &mut Noise,
        tiling: VaeTiling,
    ) -> Result<Encoded<'_>> {
        let found = self.0.iter().find(|(name, _)| *name == image.adapter);
        let (_, lora) =
            found.ok_or(Error::invalid_input("adapter", "a known one", &image.adapter))?;
        let noise = (image.latents == ConditionLatents::Sample).then_some(noise);
        let latents = vae.latents(&image.image, noise, tiling)?; // [1, c, h, w]
        let [rows, columns] = [2, 3].map(|side| latents.size()[side] / PATCH);
        let delta = [image.position_delta.0, image.position_delta.1].map(f64::from);
        Ok(Encoded {
            positions: condition_positions(rows, columns, delta, image.position_scale),
            latents: pack(&latents),
            lora,
            strength: image.strength,
            independent: image.independent,
        })
    }
}

impl Encoded<'_> {
    /// What every step reads of it beside `prompt` and `others` tokens of text and image.
    pub(super) fn condition(
        &self,
        transformer: &FluxTransformer,
        prompt: &Prompt,
        others: i64,
    ) -> Condition<'_> {
        let Self { latents, positions, lora, strength, independent } = self;
        let (strength, independent) = (*strength, *independent);
        let reference = Reference { latents, positions, strength, independent };
        transformer.condition(&reference, lora, prompt, others)
    }
}
