//! A request to a job: every value filled in and checked before any work begins.

use std::sync::Arc;

use crate::conditioner::{Conditioning, ConditioningKind, ImageTokens};
use crate::generator::size::image_size;
use crate::generator::{GenerateRequest, Progress};
use crate::models::schedule::SchedulerConfig;
use crate::{Error, Result};

/// What a request leaves open. See [`SdxlBuilder`](super::SdxlBuilder).
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) steps: usize,
    pub(super) guidance_scale: f64,
    pub(super) negative_prompt: Option<String>,
    pub(super) sizes: Sizes,
}

/// The sizes that the network is told of, each (width, height) or (left, top) in pixels. `None` is
/// the size of the image that is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub(super) original: Option<(u32, u32)>,
    pub(super) crop: (u32, u32),
    pub(super) target: Option<(u32, u32)>,
}

/// What a loaded checkpoint can draw.
#[derive(Clone, Debug)]
pub(super) struct Abilities {
    /// Pixels for each latent, a side.
    pub(super) scale_factor: u32,
    /// Width and height where none are asked for.
    pub(super) default_size: (u32, u32),
    /// Width of the tokens of references.
    pub(super) token_dim: usize,
    pub(super) accepts: Vec<ConditioningKind>,
    pub(super) scheduler: SchedulerConfig,
}

/// A checked request.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) prompt: String,
    pub(super) negative_prompt: Option<String>,
    pub(super) seed: u64,
    /// Height and width of the latents.
    pub(super) latents: [i64; 2],
    pub(super) steps: usize,
    /// `None` where guidance is off.
    pub(super) guidance: Option<f64>,
    /// Original height and width, top and left of the crop, target height and width.
    pub(super) time_ids: [u32; 6],
    pub(super) references: Option<ImageTokens>,
    pub(super) progress: Progress,
}

impl Job {
    pub(super) fn new(
        request: &GenerateRequest,
        defaults: &Defaults,
        abilities: &Abilities,
    ) -> Result<Self> {
        request.validate()?;

        // 1. size
        let (width, height) = image_size(request, abilities.default_size, abilities.scale_factor)?;
        let Sizes { original, crop, target } = defaults.sizes;
        let (original, target) =
            (original.unwrap_or((width, height)), target.unwrap_or((width, height)));

        // 2. steps and guidance
        let steps = request.steps.unwrap_or(defaults.steps);
        abilities.scheduler.start(steps)?;
        let guidance = request.guidance_scale.unwrap_or(defaults.guidance_scale);
        if !guidance.is_finite() {
            return Err(Error::invalid_input("guidance scale", "a finite number", guidance));
        }

        // 3. references
        request.validate_conditioning(&abilities.accepts)?;
        Ok(Self {
            references: references(&request.conditioning, abilities)?,
            prompt: request.prompt.clone(),
            negative_prompt: request
                .negative_prompt
                .clone()
                .or_else(|| defaults.negative_prompt.clone()),
            seed: request.seed,
            latents: [height, width].map(|side| i64::from(side / abilities.scale_factor)),
            steps,
            guidance: (guidance > 1.0).then_some(guidance),
            time_ids: [original.1, original.0, crop.1, crop.0, target.1, target.0],
            progress: request.progress.clone(),
        })
    }
}

/// The tokens in `conditioning`; none where they have no weight.
fn references(conditioning: &Conditioning, abilities: &Abilities) -> Result<Option<ImageTokens>> {
    let Conditioning::Tokens(tokens) = conditioning else { return Ok(None) };
    // The fields are public: what `ImageTokens::new` checked may have changed since.
    let &ImageTokens { tokens: count, dim, .. } = tokens;
    if dim != abilities.token_dim || count == 0 {
        let expected = format!("at least 1 token of {} values", abilities.token_dim);
        return Err(Error::invalid_input("image tokens", expected, format!("{count} of {dim}")));
    }
    let (data, negative) = (Arc::clone(&tokens.data), Arc::clone(&tokens.negative));
    let mut checked = ImageTokens::new(tokens.space.clone(), count, dim, data, negative)?;
    checked.strength = tokens.strength.clone();
    Ok(Some(checked))
}
