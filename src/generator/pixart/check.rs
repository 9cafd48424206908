//! A request to one that PixArt-Σ can draw, before any work begins.

use std::sync::Arc;

use super::binning::Bins;
use super::prompt::PromptReader;
use crate::Result;
use crate::error::require;
use crate::generator::local::{Job, LocalConfig};
use crate::generator::size::checked_size;
use crate::models::schedule::SchedulerConfig;

/// What requests are checked with.
#[derive(Debug)]
pub(super) struct Checks {
    /// Pixels of a token, a side.
    pub(super) pixels_per_token: u32,
    /// The sizes that are drawn where not the size that is asked for is drawn itself.
    pub(super) bins: Option<Bins>,
    pub(super) scheduler: SchedulerConfig,
    pub(super) reader: Arc<PromptReader>,
}

impl Checks {
    /// Checks what the builder was told, once the checkpoint is known.
    pub(super) fn check_config(config: &LocalConfig<Self>) -> Result<()> {
        let guidance = config.guidance_scale.unwrap_or(0.0);
        let fits = (0.0..f64::INFINITY).contains(&guidance);
        require(fits, "guidance scale", "a finite number of at least 0", guidance)?;
        checked_size(config.default_size, config.size_multiple)?;
        config.family.scheduler.start(config.steps).map(drop)
    }

    pub(super) fn check(&self, job: &mut Job) -> Result<()> {
        // 1. steps and guidance, which is off up to 1
        self.scheduler.start(job.steps)?;
        job.guidance = job.guidance.filter(|&guidance| guidance > 1.0);
        if job.guidance.is_none() {
            job.negative_prompt = None;
        }

        // 2. the size
        if let Some(bins) = &self.bins {
            job.size = bins.nearest(job.asked);
            checked_size(job.size, self.pixels_per_token)?;
        }

        // 3. texts
        job.note = self.reader.note(&job.prompt, job.negative_prompt.as_deref())?;
        Ok(())
    }
}
