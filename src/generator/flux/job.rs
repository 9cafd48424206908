//! A request to a job: every value filled in and checked before any work begins.

use crate::conditioner::{ConditionImage, Conditioning, ConditioningKind};
use crate::generator::size::{bounded, checked_size, image_size};
use crate::generator::{GenerateRequest, Progress};
use crate::models::flux::latents::PATCH;
use crate::models::schedule::FlowMatchConfig;
use crate::{Error, Result};

/// What a request leaves open. See [`FluxBuilder`](super::FluxBuilder).
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) steps: usize,
    pub(super) guidance_scale: Option<f64>,
    pub(super) true_cfg_scale: f64,
    pub(super) negative_prompt: Option<String>,
}

/// What a loaded checkpoint can draw.
#[derive(Clone, Debug)]
pub(super) struct Abilities {
    /// Pixels for each latent, a side.
    pub(super) scale_factor: u32,
    /// Width and height where none are asked for, in pixels.
    pub(super) default_size: (u32, u32),
    /// Whether the network is told the guidance.
    pub(super) guidance_embeds: bool,
    pub(super) accepts: Vec<ConditioningKind>,
    pub(super) scheduler: FlowMatchConfig,
}

/// A checked request.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) prompt: String,
    /// The negative prompt, where it counts, and how far to go away from it.
    pub(super) negative: Option<(String, f64)>,
    pub(super) seed: u64,
    /// Rows and columns of patches.
    pub(super) patches: [i64; 2],
    pub(super) steps: usize,
    /// Counts only where the network is told it.
    pub(super) guidance: f64,
    /// The reference, where there is one that is seen.
    pub(super) condition: Option<ConditionImage>,
    pub(super) progress: Progress,
}

impl Abilities {
    /// Sides of images are multiples of this many pixels: those of a patch.
    pub(super) const fn size_multiple(&self) -> u32 {
        self.scale_factor * PATCH as u32
    }

    /// What the network is told where `asked` for is this guidance.
    fn guidance(&self, asked: Option<f64>) -> Result<f64> {
        let Some(scale) = asked else { return Ok(0.0) };
        if !scale.is_finite() || scale < 0.0 {
            let expected = "a finite number of at least 0";
            return Err(Error::invalid_input("guidance scale", expected, scale));
        }
        // Up to 1 it is off, which it is in any case.
        if !self.guidance_embeds && scale > 1.0 {
            let expected = "none, or at most 1: the checkpoint is not told its guidance";
            return Err(Error::invalid_input("guidance scale", expected, scale));
        }
        Ok(scale)
    }
}

impl Defaults {
    /// Checks them once the checkpoint is known.
    pub(super) fn validate(&self, abilities: &Abilities) -> Result<()> {
        checked_size(abilities.default_size, abilities.size_multiple())?;
        abilities.guidance(self.guidance_scale)?;
        if abilities.guidance_embeds && self.guidance_scale.is_none() {
            let expected = "a number: the checkpoint is told its guidance";
            return Err(Error::invalid_input("guidance scale", expected, "none"));
        }
        let scale = self.true_cfg_scale;
        if !scale.is_finite() || scale < 0.0 {
            let expected = "a finite number of at least 0";
            return Err(Error::invalid_input("true CFG scale", expected, scale));
        }
        abilities.scheduler.start(self.steps, 1).map(drop)
    }
}

impl Job {
    pub(super) fn new(
        request: &GenerateRequest,
        defaults: &Defaults,
        abilities: &Abilities,
    ) -> Result<Self> {
        request.validate()?;

        // 1. size
        let multiple = abilities.size_multiple();
        let (width, height) = image_size(request, abilities.default_size, multiple)?;
        let patches = [height, width].map(|side| i64::from(side / multiple));

        // 2. steps and guidance
        let steps = request.steps.unwrap_or(defaults.steps);
        abilities.scheduler.start(steps, patches[0] * patches[1])?;
        let guidance = abilities.guidance(request.guidance_scale.or(defaults.guidance_scale))?;
        let negative = request.negative_prompt.as_ref().or(defaults.negative_prompt.as_ref());
        if negative.is_some() && defaults.true_cfg_scale <= 1.0 {
            let expected = "none, or a true CFG scale above 1 on the builder";
            return Err(Error::invalid_input("negative prompt", expected, "one"));
        }
        let negative = negative.map(|prompt| (prompt.clone(), defaults.true_cfg_scale));

        // 3. references
        request.validate_conditioning(&abilities.accepts)?;
        Ok(Self {
            prompt: request.prompt.clone(),
            negative,
            seed: request.seed,
            patches,
            steps,
            guidance,
            condition: condition(&request.conditioning, multiple)?,
            progress: request.progress.clone(),
        })
    }
}

/// The condition image of a request; none where it has no strength. A token is `pixels` wide.
fn condition(conditioning: &Conditioning, pixels: u32) -> Result<Option<ConditionImage>> {
    let Conditioning::Condition(condition) = conditioning else { return Ok(None) };
    if condition.pixels_per_token != pixels {
        let (what, found) =
            ("pixels of a token of the condition image", condition.pixels_per_token);
        return Err(Error::invalid_input(what, format!("{pixels}, the generator's"), found));
    }
    bounded("size of the condition image", condition.image.width(), condition.image.height())?;
    Ok((condition.strength > 0.0).then(|| condition.clone()))
}
