//! [`GenerateRequest`]: one image to draw, and [`Progress`], which reports the steps.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Result;
use crate::conditioner::{Conditioning, ConditioningKind};
use crate::error::require;
use crate::image::Image;

/// The longest prompt, in characters. A longer text is a mistake and no prompt: encoders read far
/// less (77 tokens for CLIP).
///
/// ```
/// use imagerag::generator::{GenerateRequest, MAX_PROMPT_CHARS};
///
/// let essay = "a quetzal ".repeat(3_000);
/// assert!(GenerateRequest::new(essay.as_str()).validate().is_err());
/// let cut: String = essay.chars().take(MAX_PROMPT_CHARS).collect();
/// assert!(GenerateRequest::new(cut).validate().is_ok());
/// ```
pub const MAX_PROMPT_CHARS: usize = 24_000;
/// The largest side of an image, in pixels.
const MAX_SIDE: u32 = 16_384;
/// The most denoising steps.
const MAX_STEPS: usize = 10_000;

/// One image to draw. `None` leaves a setting to the generator's own default.
///
/// ```
/// use imagerag::generator::GenerateRequest;
///
/// let request = GenerateRequest::new("a quetzal at dawn").with_seed(7).with_size(1024, 768);
/// assert_eq!((request.seed, request.width), (7, Some(1024)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GenerateRequest {
    /// What to draw.
    pub prompt: String,
    /// What not to draw; used only where guidance is on.
    pub negative_prompt: Option<String>,
    /// The references, as a conditioner prepared them; with [`Conditioning::None`] the generator
    /// draws from the prompt alone.
    pub conditioning: Conditioning,
    /// Seed of the starting noise; the same seed gives the same image.
    pub seed: u64,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Number of denoising steps, at least 1.
    pub steps: Option<usize>,
    /// Strength of the prompt (classifier-free guidance); 1 and below turn guidance off. FLUX.1-dev
    /// takes it as its distilled guidance, a network input.
    pub guidance_scale: Option<f64>,
    /// The listener to the steps.
    pub progress: Progress,
}

/// The setters of what every request for an image has: negative prompt, seed, size, steps, guidance.
macro_rules! setters_of_an_image {
    () => {
        /// Sets what not to draw.
        #[must_use]
        pub fn with_negative_prompt(mut self, prompt: impl Into<String>) -> Self {
            self.negative_prompt = Some(prompt.into());
            self
        }

        /// Sets the seed.
        #[must_use]
        pub const fn with_seed(mut self, seed: u64) -> Self {
            self.seed = seed;
            self
        }

        /// Sets width and height, in pixels.
        #[must_use]
        pub const fn with_size(mut self, width: u32, height: u32) -> Self {
            (self.width, self.height) = (Some(width), Some(height));
            self
        }

        /// Sets the number of denoising steps.
        #[must_use]
        pub const fn with_steps(mut self, steps: usize) -> Self {
            self.steps = Some(steps);
            self
        }

        /// Sets the strength of the prompt.
        #[must_use]
        pub const fn with_guidance_scale(mut self, scale: f64) -> Self {
            self.guidance_scale = Some(scale);
            self
        }
    };
}

pub(crate) use setters_of_an_image;

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

    setters_of_an_image!();

    /// Sets the references, as a conditioner prepared them.
    #[must_use]
    pub fn with_conditioning(mut self, conditioning: Conditioning) -> Self {
        self.conditioning = conditioning;
        self
    }

    /// Has `progress` told of the steps.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// The same request, whose listener is told of a step once, however often it is taken.
    pub(crate) fn told_once(mut self) -> Self {
        self.progress = self.progress.once(None);
        self
    }

    /// Checks everything that can be checked without knowing the generator. Generators call it
    /// before they begin.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names the field: a prompt of more than
    /// 24,000 characters, 0 or more than 10,000 steps, a guidance that is negative or not finite, a
    /// side of 0 or more than 16,384 pixels, a conditioning with a number out of range.
    pub fn validate(&self) -> Result<()> {
        for (what, text) in
            [("prompt", Some(&self.prompt)), ("negative prompt", self.negative_prompt.as_ref())]
        {
            let chars = text.map_or(0, |text| text.chars().count());
            let (expected, found) =
                (format!("at most {MAX_PROMPT_CHARS} characters"), format!("{chars} characters"));
            require(chars <= MAX_PROMPT_CHARS, what, expected, found)?;
        }
        if let Some(steps) = self.steps {
            let fits = (1..=MAX_STEPS).contains(&steps);
            require(fits, "steps", format!("1 to {MAX_STEPS}"), steps)?;
        }
        if let Some(guidance) = self.guidance_scale {
            let fits = (0.0..f64::INFINITY).contains(&guidance);
            require(fits, "guidance scale", "a finite number of at least 0", guidance)?;
        }
        for (what, side) in [("width", self.width), ("height", self.height)] {
            let Some(side) = side else { continue };
            let fits = (1..=MAX_SIDE).contains(&side);
            require(fits, what, format!("1 to {MAX_SIDE} pixels"), side)?;
        }
        self.conditioning.validate()
    }

    /// Checks that a generator which `accepts` these kinds can take the conditioning.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names the kinds that are accepted and
    /// the one that was found.
    pub fn validate_conditioning(&self, accepts: &[ConditioningKind]) -> Result<()> {
        let kind = self.conditioning.kind();
        let accepted: Vec<String> = accepts.iter().map(ToString::to_string).collect();
        require(accepts.contains(&kind), "conditioning", accepted.join(" or "), kind)
    }
}

/// A denoising step that is done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Number of this step, from 1 to `total`.
    pub index: usize,
    /// How many steps there are.
    pub total: usize,
    /// The image so far, where previews were asked for.
    pub preview: Option<Image>,
    /// What [`Drawn::note`](super::Drawn::note) will say, such as the words of a prompt that are not
    /// read, where it is known by now. The first step alone has it.
    pub note: Option<String>,
}

impl Step {
    /// Step `index` of `total`, without a preview and a note.
    pub const fn new(index: usize, total: usize) -> Self {
        Self { index, total, preview: None, note: None }
    }
}

/// Somebody who is told, or nobody.
#[derive(Clone)]
pub(super) struct Listener<T>(Option<Arc<dyn Fn(T) + Send + Sync>>);

impl<T> Listener<T> {
    pub(super) fn new(listener: impl Fn(T) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(super) fn tell(&self, what: T) {
        if let Some(listener) = &self.0 {
            listener(what);
        }
    }
}

impl<T> Default for Listener<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.0.is_some())
    }
}

/// A listener to the steps of a generation. The default does nothing.
///
/// A generator of your own reports its steps so:
/// ```
/// use imagerag::Image;
/// use imagerag::generator::{GenerateRequest, Step};
///
/// fn denoise(request: &GenerateRequest, preview: impl Fn() -> Image) {
///     let total = request.steps.unwrap_or(4);
///     for index in 1..=total {
///         // … the step itself …
///         let mut step = Step::new(index, total);
///         step.preview = request.progress.wants_preview(index).then(&preview);
///         request.progress.report(step);
///     }
/// }
/// # let image = Image::new(1, 1, [0; 3])?;
/// # denoise(&GenerateRequest::new("a quetzal"), || image.clone());
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Progress {
    listener: Listener<Step>,
    preview_every: Option<usize>,
}

impl Progress {
    /// Calls `listener` after each step, on the model's thread, so it should return soon. A GPU
    /// works on the next step meanwhile.
    pub fn new(listener: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self { listener: Listener::new(listener), preview_every: None }
    }

    /// Asks for a preview image with every `steps`-th step; 0 asks for none. Each preview holds up
    /// the generation for a moment.
    #[must_use]
    pub fn with_previews_every(mut self, steps: usize) -> Self {
        self.preview_every = (steps > 0).then_some(steps);
        self
    }

    /// The same listener, told of a step once, however often the step is taken, and of this `note`
    /// with the first.
    pub(super) fn once(self, note: Option<String>) -> Self {
        let preview_every = self.preview_every.filter(|_| self.listener.0.is_some());
        let told = AtomicUsize::new(0);
        let tell = move |mut step: Step| {
            let last = told.fetch_max(step.index, Ordering::Relaxed);
            if last < step.index {
                step.note = step.note.or_else(|| note.clone().filter(|_| last == 0));
                self.report(step);
            }
        };
        Self { preview_every, ..Self::new(tell) }
    }

    /// Whether previews are wanted at all, of whichever steps.
    pub fn wants_previews(&self) -> bool {
        self.listener.0.is_some() && self.preview_every.is_some()
    }

    /// Whether a preview should be made for step `index` (from 1).
    pub fn wants_preview(&self, index: usize) -> bool {
        self.listener.0.is_some()
            && self.preview_every.is_some_and(|every| index.is_multiple_of(every))
    }

    /// Tells the listener, if there is one.
    pub fn report(&self, step: Step) {
        self.listener.tell(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_out_of_range_is_named() {
        type Change = fn(&mut GenerateRequest);
        let changes: [(&str, Change); 7] = [
            ("prompt", |r| r.prompt = "x".repeat(30_000)),
            ("negative prompt", |r| r.negative_prompt = Some("x".repeat(30_000))),
            ("steps", |r| r.steps = Some(0)),
            ("guidance scale", |r| r.guidance_scale = Some(f64::NAN)),
            ("guidance scale", |r| r.guidance_scale = Some(-1.0)),
            ("width", |r| r.width = Some(0)),
            ("height", |r| r.height = Some(1 << 20)),
        ];
        assert!(GenerateRequest::new("a cat").validate().is_ok());
        for (field, change) in changes {
            let mut request = GenerateRequest::new("a cat");
            change(&mut request);
            let error = request.validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field}: expected")), "{error}");
        }
    }
}
