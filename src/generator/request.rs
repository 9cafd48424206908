//! What a [`Generator`](super::Generator) is asked for, and how it tells of its progress.

use std::fmt;
use std::sync::Arc;

use crate::conditioner::Conditioning;
use crate::image::Image;

/// One image to draw. `None` leaves a setting to the generator's own default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GenerateRequest {
    /// What to draw.
    pub prompt: String,
    /// What not to draw; used only where guidance is on.
    pub negative_prompt: Option<String>,
    /// What the references became; [`Conditioning::None`] draws from the prompt alone.
    pub conditioning: Conditioning,
    /// Seed of the starting noise; the same seed gives the same image.
    pub seed: u64,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Number of denoising steps, at least 1.
    pub steps: Option<usize>,
    /// Strength of the prompt (classifier-free guidance); 1 and below turn guidance off.
    pub guidance_scale: Option<f64>,
    /// Is told of each step.
    pub progress: Progress,
}

impl GenerateRequest {
    /// A request for `prompt` with seed 0, no conditioning, and the generator's defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            negative_prompt: None,
            conditioning: Conditioning::None,
            seed: 0,
            width: None,
            height: None,
            steps: None,
            guidance_scale: None,
            progress: Progress::default(),
        }
    }
}

/// One denoising step that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Number of this step, from 1 to `total`.
    pub index: usize,
    /// How many steps there are.
    pub total: usize,
    /// The image so far, where previews were asked for.
    pub preview: Option<Image>,
}

impl Step {
    /// Step `index` of `total`, without a preview.
    pub const fn new(index: usize, total: usize) -> Self {
        Self { index, total, preview: None }
    }
}

/// A listener to the steps of a generation. The default one listens to nothing.
#[derive(Clone, Default)]
pub struct Progress {
    listener: Option<Arc<dyn Fn(Step) + Send + Sync>>,
    preview_every: Option<usize>,
}

impl Progress {
    /// Calls `listener` after each step, on the model's own thread: it should return soon.
    pub fn new(listener: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Arc::new(listener)), preview_every: None }
    }

    /// Asks for a preview image with every `steps`-th step; 0 asks for none.
    #[must_use]
    pub fn with_previews_every(mut self, steps: usize) -> Self {
        self.preview_every = (steps > 0).then_some(steps);
        self
    }

    /// Whether a preview should be made for step `index` (from 1).
    pub fn wants_preview(&self, index: usize) -> bool {
        self.listener.is_some() && self.preview_every.is_some_and(|every| index.is_multiple_of(every))
    }

    /// Tells the listener, if there is one.
    pub fn report(&self, step: Step) {
        if let Some(listener) = &self.listener {
            listener(step);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("listens", &self.listener.is_some())
            .field("preview_every", &self.preview_every)
            .finish()
    }
}
