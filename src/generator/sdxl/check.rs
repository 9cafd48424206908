//! A request to one that SDXL can draw, before any work begins.

use std::sync::Arc;

use super::tokens::Tokenizers;
use crate::Result;
use crate::conditioner::{Conditioning, ImageTokens, Strength};
use crate::error::require;
use crate::generator::local::Job;
use crate::models::schedule::SchedulerConfig;

/// What requests are checked with.
#[derive(Debug)]
pub(super) struct Checks {
    /// Width of the tokens of references.
    pub(super) token_dim: usize,
    /// Whether the network is told the guidance, and so needs no negative prompt.
    pub(super) guidance_embeds: bool,
    pub(super) scheduler: SchedulerConfig,
    pub(super) tokenizers: Arc<Tokenizers>,
}

impl Checks {
    pub(super) fn check(&self, job: &mut Job) -> Result<()> {
        // 1. steps and guidance, which is off up to 1
        self.scheduler.start(job.steps)?;
        let guidance = job.guidance.unwrap_or(0.0);
        require(guidance.is_finite(), "guidance scale", "a finite number", guidance)?;
        job.guidance = job.guidance.filter(|&guidance| guidance > 1.0 || self.guidance_embeds);
        if job.guidance.is_none() || self.guidance_embeds {
            job.negative_prompt = None;
        }

        // 2. texts
        let negative = job.negative_prompt.as_deref();
        job.note = self.tokenizers.note(&job.prompt, negative)?;
        let of = |text| self.tokenizers.count(text);
        job.tokens = of(&job.prompt)?.max(negative.map_or(Ok(0), of)?);

        // 3. references
        let Conditioning::Tokens(tokens) = &mut job.conditioning else { return Ok(()) };
        // The fields are public: what `ImageTokens::new` checked may have changed since.
        let &mut ImageTokens { tokens: count, dim, .. } = tokens;
        let expected = format!("at least 1 token of {} values", self.token_dim);
        let fits = dim == self.token_dim && count > 0;
        require(fits, "image tokens", expected, format!("{count} of {dim}"))?;
        let (data, negative) = (Arc::clone(&tokens.data), Arc::clone(&tokens.negative));
        ImageTokens::new(tokens.space.clone(), count, dim, data, negative)?;
        let Strength { scale, per_block, .. } = &tokens.strength;
        let weights = per_block.values().chain(per_block.is_empty().then_some(scale));
        if weights.into_iter().all(|&weight| weight == 0.0) {
            job.conditioning = Conditioning::None;
        }
        Ok(())
    }
}
