//! A request to one that FLUX can draw, before any work begins.

use std::sync::Arc;

use super::tokens::Tokenizers;
use crate::conditioner::Conditioning;
use crate::error::require;
use crate::generator::local::{Job, LocalConfig};
use crate::generator::size::{bounded, checked_size};
use crate::models::schedule::FlowMatchConfig;
use crate::{Error, Result};

/// What requests are checked with.
#[derive(Debug)]
pub(super) struct Checks {
    /// Pixels of a token, a side.
    pub(super) pixels_per_token: u32,
    /// Whether the network is told the guidance.
    pub(super) guidance_embeds: bool,
    pub(super) true_cfg_scale: f64,
    pub(super) scheduler: FlowMatchConfig,
    pub(super) tokenizers: Arc<Tokenizers>,
}

impl Checks {
    /// Checks what the builder was told, once the checkpoint is known.
    pub(super) fn check_config(config: &LocalConfig<Self>) -> Result<()> {
        let checks = &config.family;
        checked_size(config.default_size, config.size_multiple)?;
        checks.check_guidance(config.guidance_scale)?;
        let is_told = !checks.guidance_embeds || config.guidance_scale.is_some();
        let expected = "a number: the checkpoint is told its guidance";
        require(is_told, "guidance scale", expected, "none")?;
        let scale = checks.true_cfg_scale;
        let fits = (0.0..f64::INFINITY).contains(&scale);
        require(fits, "true CFG scale", "a finite number of at least 0", scale)?;
        checks.scheduler.start(config.steps, 1).map(drop)
    }

    pub(super) fn check(&self, job: &mut Job) -> Result<()> {
        // 1. steps and guidance
        let [rows, columns] = self.patches(job.size);
        self.scheduler.start(job.steps, rows * columns)?;
        self.check_guidance(job.guidance)?;
        let counts = job.negative_prompt.is_none() || self.true_cfg_scale > 1.0;
        let expected = "none, or a true CFG scale above 1 on the builder";
        require(counts, "negative prompt", expected, "one")?;

        // 2. texts
        job.note = self.tokenizers.note(&job.prompt, job.negative_prompt.as_deref())?;

        // 3. references
        let Conditioning::Condition(condition) = &job.conditioning else { return Ok(()) };
        let (what, found) =
            ("pixels of a token of the condition image", condition.pixels_per_token);
        let expected = format!("{}, the generator's", self.pixels_per_token);
        require(found == self.pixels_per_token, what, expected, found)?;
        bounded("size of the condition image", condition.image.width(), condition.image.height())?;
        if condition.strength == 0.0 {
            job.conditioning = Conditioning::None;
        }
        Ok(())
    }

    /// Rows and columns of patches of an image of `size`, width and height in pixels.
    fn patches(&self, size: (u32, u32)) -> [i64; 2] {
        [size.1, size.0].map(|side| i64::from(side / self.pixels_per_token))
    }

    /// Refuses a guidance that the network cannot be told.
    fn check_guidance(&self, scale: Option<f64>) -> Result<()> {
        let Some(scale) = scale else { return Ok(()) };
        // Up to 1 it is off, which it is in any case.
        let expected = match self.guidance_embeds || scale <= 1.0 {
            _ if !scale.is_finite() || scale < 0.0 => "a finite number of at least 0",
            false => "none, or at most 1: the checkpoint is not told its guidance",
            true => return Ok(()),
        };
        Err(Error::invalid_input("guidance scale", expected, scale))
    }
}
