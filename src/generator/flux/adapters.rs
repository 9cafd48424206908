//! OminiControl's files and a request's condition image to what the transformer reads beside text
//! and image.

use std::path::PathBuf;

use tch::Tensor;

use crate::conditioner::{ConditionImage, ConditionLatents, ConditioningKind, adapter_name};
use crate::error::require;
use crate::generator::loading::Loader;
use crate::generator::offload::Placing;
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

/// What condition images, one for each of a batch, are to the transformer.
#[derive(Debug)]
pub(super) struct EncodedCondition<'a> {
    /// Packed, `[n, tokens, in_channels]`.
    latents: Tensor,
    positions: Vec<Position>,
    lora: &'a Lora,
    image: &'a ConditionImage,
}

/// What the adapters in `files` read.
pub(super) fn kinds(files: &[PathBuf]) -> Result<Vec<ConditioningKind>> {
    let mut kinds = Vec::new();
    for adapter in files.iter().map(|file| adapter_name(file)) {
        let kind = ConditioningKind::Condition { adapter };
        let is_new = !kinds.contains(&kind);
        require(is_new, "adapters", "one of each name", format!("2: {kind}"))?;
        kinds.push(kind);
    }
    Ok(kinds)
}

impl Adapters {
    /// Those in `files`, for a transformer of these settings.
    pub(super) fn open(
        files: &[PathBuf],
        config: &FluxConfig,
        placing: Placing,
        loader: &Loader,
    ) -> Result<Self> {
        if files.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let transformer = FluxTransformer::new(&Weights::recording(), config)?;
        let open = |file: &PathBuf| {
            let name = adapter_name(file);
            let Placing { device, kind, .. } = placing;
            let lora =
                loader.part(&name, || Lora::open(file, transformer.sites(), device, kind))?;
            Ok((name, lora))
        };
        Ok(Self(files.iter().map(open).collect::<Result<_>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encodes `images` for their adapter. They differ in nothing but their pictures; where there are
    /// none, neither is this. A sample takes the next values of its own `noise`.
    pub(super) fn encode<'a>(
        &'a self,
        images: &[&'a ConditionImage],
        vae: &Vae,
        noise: &mut [Noise],
        tiling: VaeTiling,
    ) -> Result<Option<EncodedCondition<'a>>> {
        let Some(first) = images.first() else { return Ok(None) };
        let found = self.0.iter().find(|(name, _)| *name == first.adapter);
        let (_, lora) =
            found.ok_or(Error::invalid_input("adapter", "a known one", &first.adapter))?;
        let latents = images.iter().zip(noise).map(|(image, noise)| {
            let noise = (image.latents == ConditionLatents::Sample).then_some(noise);
            vae.latents(&image.image, noise, tiling) // [1, c, h, w]
        });
        let latents = Tensor::cat(&latents.collect::<Result<Vec<_>>>()?, 0); // [n, c, h, w]
        let [rows, columns] = [2, 3].map(|side| latents.size()[side] / PATCH);
        let delta = [first.position_delta.0, first.position_delta.1].map(f64::from);
        Ok(Some(EncodedCondition {
            positions: condition_positions(rows, columns, delta, first.position_scale),
            latents: pack(&latents),
            lora,
            image: first,
        }))
    }
}

impl<'a> EncodedCondition<'a> {
    /// What every step reads of it beside `prompt` and `others` tokens of text and image.
    pub(super) fn condition(
        &self,
        transformer: &FluxTransformer,
        prompt: &Prompt,
        others: i64,
    ) -> Condition<'a> {
        let Self { latents, positions, lora, image } = self;
        let &ConditionImage { strength, independent, .. } = *image;
        let reference = Reference { latents, positions, strength, independent };
        transformer.condition(&reference, lora, prompt, others)
    }
}
