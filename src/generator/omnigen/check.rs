//! A request to one that OmniGen can draw, before any work begins.

use std::sync::Arc;

use crate::conditioner::{ConditionLatents, Conditioning};
use crate::error::require;
use crate::generator::local::{Job, LocalConfig};
use crate::generator::size::checked_size;
use crate::models::omnigen::picture::{MULTIPLE, prepared_size};
use crate::models::omnigen::prompt::{self, Piece};
use crate::models::schedule::FlowMatchConfig;
use crate::models::tokenizers::llama::Tokenizer;
use crate::named::named;
use crate::{Error, Image, Result};

use super::guidance::Row;
use super::memory::{Footprint, KvCache};

/// Where the rows of a batch stand, which turns their queries and keys.
///
/// A row is a prompt (or the negative prompt, or the references alone) before the noise. Rows of a
/// batch have different lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RopePositions {
    /// As diffusers has it: the positions of the prompt's row count for every row. Where the prompt is
    /// shorter than the negative prompt, as in most drafts without references, the first tokens of the
    /// negative prompt share one position, and the image is another one than with
    /// [`Own`](Self::Own).
    #[default]
    Diffusers,
    /// As OmniGen's authors have it: each row counts its own tokens, from 0.
    Own,
}

named!(RopePositions, "rope positions", { Diffusers: "diffusers", Own: "own" });

/// What the builder was told of every image.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) image_guidance_scale: f64,
    pub(super) max_input_image_size: u32,
    pub(super) use_input_image_size_as_output: bool,
    pub(super) reference_latents: ConditionLatents,
    pub(super) rope_positions: RopePositions,
    pub(super) kv_cache: KvCache,
    pub(super) memory_limit: Option<u64>,
}

/// What requests are checked with, and read.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) options: Options,
    pub(super) tokenizer: Tokenizer,
    pub(super) scheduler: FlowMatchConfig,
    /// Tokens that the network knows.
    pub(super) vocab_size: i64,
    /// The most tokens of a picture, a side.
    pub(super) max_side: u32,
    pub(super) footprint: Footprint,
}

impl Checks {
    /// Checks what the builder was told, once the checkpoint is known.
    pub(super) fn check_config(config: &LocalConfig<Arc<Self>>) -> Result<()> {
        let checks = &config.family;
        checked_size(config.default_size, config.size_multiple)?;
        checks.check_side("size of the image", config.default_size)?;
        let expected = "a finite number of at least 0";
        for (what, scale) in [
            ("guidance scale", config.guidance_scale.unwrap_or(1.0)),
            ("image guidance scale", checks.options.image_guidance_scale),
        ] {
            require((0.0..f64::INFINITY).contains(&scale), what, expected, scale)?;
        }
        let most = checks.options.max_input_image_size;
        require(most > 0, "largest side of a reference image", "at least 1 pixel", most)?;
        checks.scheduler.start(config.steps, 1).map(drop)
    }

    pub(super) fn check(&self, job: &mut Job) -> Result<()> {
        // 1. texts
        if images(job).is_empty() {
            job.conditioning = Conditioning::None;
        }
        let pieces = self.read(job, Row::Prompt)?;
        self.read(job, Row::Negative)?;

        // 2. references
        let pictures = images(job);
        let most = self.options.max_input_image_size;
        let size = |image: &Image| prepared_size((image.width(), image.height()), most);
        let sizes = pictures.iter().map(size).collect::<Result<Vec<_>>>()?;
        sizes.iter().try_for_each(|size| self.check_side("size of a reference image", *size))?;

        // 3. the image
        if self.options.use_input_image_size_as_output
            && let Some(first) = pieces.iter().find_map(Piece::picture)
        {
            job.size = sizes[first];
        }
        self.check_side("size of the image", job.size)?;
        let tokens = |side: u32| i64::from(side / MULTIPLE);
        self.scheduler.start(job.steps, tokens(job.size.0) * tokens(job.size.1)).map(drop)
    }

    /// What a row of the job reads.
    pub(super) fn read(&self, job: &Job, row: Row) -> Result<Vec<Piece>> {
        let pictures = images(job).len();
        let negative = job.negative_prompt.as_deref().unwrap_or_default();
        let pieces = match row {
            Row::Prompt => prompt::instruction(&self.tokenizer, &job.prompt, pictures),
            Row::Images => prompt::images_only(&self.tokenizer, pictures),
            Row::Negative => prompt::text_only(&self.tokenizer, negative),
        }?;
        for piece in &pieces {
            let Piece::Text(ids) = piece else { continue };
            if let Some(id) = ids.iter().find(|id| !(0..self.vocab_size).contains(*id)) {
                let expected = format!("0 to {}, the network's vocabulary", self.vocab_size - 1);
                return Err(Error::invalid_input("token number", expected, id));
            }
        }
        Ok(pieces)
    }

    /// Refuses a picture that is longer than the table of positions.
    fn check_side(&self, what: &str, (width, height): (u32, u32)) -> Result<()> {
        let most = self.max_side.saturating_mul(MULTIPLE);
        let expected = format!("sides of at most {most} pixels");
        require(width.max(height) <= most, what, expected, format!("{width}x{height}"))
    }
}

/// The references of a job.
pub(super) fn images(job: &Job) -> &[Image] {
    if let Conditioning::Images(images) = &job.conditioning { images } else { &[] }
}
