//! A folder and settings to a loaded [`PixArtSigma`].

use std::path::Path;
use std::sync::Arc;

use super::PixArtSigma;
use super::binning::Bins;
use super::check::Checks;
use super::checkpoint::Checkpoint;
use super::model::{Model, Options};
use super::prompt::PromptReader;
use crate::Result;
use crate::conditioner::ConditioningKind;
use crate::error::require;
use crate::generator::local::{Local, LocalConfig};
use crate::generator::offload::Offload;
use crate::generator::settings::{Settings, shared_setters};
use crate::models::SchedulerKind;

/// Steps, guidance and tokens of a prompt where nobody asks for any. diffusers,
/// `PixArtSigmaPipeline.__call__`.
const DEFAULTS: (usize, f64, usize) = (20, 4.5, 300);

/// Settings of [`PixArtSigma`]; [`load`](Self::load) makes it.
///
/// ```no_run
/// use imagerag::generator::{Offload, PixArtSigma};
/// use imagerag::models::{DType, Device};
///
/// let pixart = PixArtSigma::builder("PixArt-Sigma-XL-2-1024-MS")
///     .device(Device::Cuda(0))
///     .dtype(DType::Bf16)
///     .offload(Offload::Cpu)
///     .negative_prompt("blurry, cropped")
///     .load()?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PixArtSigmaBuilder {
    settings: Settings,
    scheduler: Option<SchedulerKind>,
    max_sequence_length: usize,
    clean_caption: bool,
    resolution_binning: bool,
    offload: Offload,
}

impl PixArtSigma {
    /// Settings to load the checkpoint in `folder` with.
    pub fn builder(folder: impl AsRef<Path>) -> PixArtSigmaBuilder {
        PixArtSigmaBuilder {
            settings: Settings::new(folder.as_ref()),
            scheduler: None,
            max_sequence_length: DEFAULTS.2,
            clean_caption: true,
            resolution_binning: true,
            offload: Offload::default(),
        }
    }
}

impl PixArtSigmaBuilder {
    shared_setters! {
        steps: "20 where nothing is said.",
        guidance: "4.5 where nothing is said. 1 and below is off.",
        negative: "; the empty prompt where nothing is said."
    }

    /// Another scheduler than the checkpoint's, with the settings of the checkpoint's scheduler.
    pub const fn scheduler(mut self, kind: SchedulerKind) -> Self {
        self.scheduler = Some(kind);
        self
    }

    /// The most tokens of a prompt that are read, end token included, at least 1; 300 by default. The
    /// image does not depend on it unless a prompt has more.
    pub const fn max_sequence_length(mut self, tokens: usize) -> Self {
        self.max_sequence_length = tokens;
        self
    }

    /// Whether prompts are cleaned as the captions were that PixArt-Σ was trained on; on by default.
    /// Off, a prompt is only made lower case and trimmed.
    ///
    /// Cleaning takes out addresses of the web, HTML, names that begin with `@`, Chinese characters,
    /// file names, long numbers, brackets and more. It is done twice, as by diffusers'
    /// `PixArtSigmaPipeline`, and like that one it cuts off what a prompt may need: "AT&T" becomes
    /// "att". diffusers cleans only where `beautifulsoup4` and `ftfy` are installed, so that its image
    /// depends on the machine; where they are not, it draws as with `clean_caption(false)`.
    ///
    /// The result is that of diffusers 0.42 on Python 3.11 with `beautifulsoup4` 4.15 and `ftfy` 6.3, but
    /// for two kinds of prompts: text that was decoded in another encoding than it was written in ("â€™"
    /// for "’") is not repaired here, and broken HTML that Beautiful Soup refuses, so that diffusers
    /// fails ("<![x"), is left as it is.
    pub const fn clean_caption(mut self, yes: bool) -> Self {
        self.clean_caption = yes;
        self
    }

    /// Whether the size that is drawn is the nearest one, by the ratio of height to width, that the
    /// network was trained on; on by default. The picture is then scaled and cut to the size that was
    /// asked for, which may be any. Off, the size that is asked for is drawn, and its sides must be
    /// multiples of [`size_multiple`](PixArtSigma::size_multiple), 16 pixels for PixArt-Σ.
    ///
    /// diffusers, `use_resolution_binning`. For some sizes, such as 88 x 232, diffusers returns an
    /// image of a single row or column; here it has the size that was asked for.
    pub const fn resolution_binning(mut self, yes: bool) -> Self {
        self.resolution_binning = yes;
        self
    }

    /// Where the large networks are while they are not needed; on the device by default.
    pub const fn offload(mut self, offload: Offload) -> Self {
        self.offload = offload;
        self
    }

    /// Loads the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) for
    /// files that are missing or do not fit, [`Error::InvalidInput`](crate::Error::InvalidInput)
    /// for settings out of range or that do not fit the checkpoint,
    /// [`Error::Unavailable`](crate::Error::Unavailable) for a device that is not there, and
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn load(self) -> Result<PixArtSigma> {
        let Self { settings, max_sequence_length, clean_caption, offload, .. } = self;
        // 1. what is small, and the settings
        let variant = settings.variant.as_deref();
        let checkpoint = Checkpoint::open(&settings.folder, variant, self.scheduler)?;
        let (field, fits) = ("max sequence length", max_sequence_length >= 1);
        require(fits, field, "at least 1 token", max_sequence_length)?;
        let reader = PromptReader::open(&checkpoint, max_sequence_length, clean_caption)?;
        let reader = Arc::new(reader);
        let bins = self.resolution_binning.then(|| Bins::new(checkpoint.transformer.sample_size));
        let bins = bins.transpose()?;
        let (side, pixels_per_token) = (checkpoint.default_side(), checkpoint.pixels_per_token());
        let (folder, scheduler) = (checkpoint.index.name(), checkpoint.scheduler.kind());
        let config = LocalConfig {
            name: format!("PixArt-Sigma({folder}, {scheduler})"),
            default_size: (side, side),
            size_multiple: if bins.is_some() { 1 } else { pixels_per_token },
            accepts: vec![ConditioningKind::None],
            steps: settings.steps.unwrap_or(DEFAULTS.0),
            guidance_scale: settings.guidance_scale.or(Some(DEFAULTS.1)),
            negative_prompt: settings.negative_prompt.clone().or(Some(String::new())),
            family: Checks {
                pixels_per_token,
                bins,
                scheduler: checkpoint.scheduler.clone(),
                reader: Arc::clone(&reader),
            },
        };
        Checks::check_config(&config)?;
        // 2. the networks
        let options = Options { reader, offload, tiling: settings.tiling };
        let load = move |loader: &_| Model::load(checkpoint, options, loader);
        Local::load(config, settings, Model::PARTS, load).map(PixArtSigma)
    }
}
