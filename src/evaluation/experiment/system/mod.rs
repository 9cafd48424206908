//! [`System`]: prompts to pictures, by whatever is a row of a table: a generator, a pipeline, a program of
//! one's own.

mod draw;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;

use super::hash::hash_of;
use crate::error::require;
use crate::evaluation::dataset::Dataset;
use crate::generator::Generator;
use crate::{Error, Image, RagPipeline, RagRequest, Result};

pub use draw::{Draw, SystemError, SystemOutcome};

use draw::ByFunction;

/// What draws the pictures of one row of a table.
///
/// A generator, a pipeline whose draft is the generator's picture of the same item and seed, and a program
/// of one's own:
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # use imagerag::conditioner::InPrompt;
/// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
/// use imagerag::RagRequest;
/// use imagerag::evaluation::experiment::{System, SystemOutcome};
///
/// # let generator = FakeGenerator::new();
/// # let pipeline = imagerag::RagPipeline::builder()
/// #     .generator(generator.clone())
/// #     .vlm(FakeVlm::new(["yes"]))
/// #     .retriever(FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]))
/// #     .conditioner(InPrompt::new(3)?)
/// #     .build()?;
/// let systems = [
///     System::generator("SDXL", generator).with_steps(50),
///     System::pipeline("ImageRAG-SD", pipeline).over("SDXL").with_steps(50),
///     System::function("grey", "version 1", |_: RagRequest| async {
///         Ok(SystemOutcome::from(solid(64, 64, [128; 3])))
///     }),
/// ];
/// assert_eq!(systems[1].base(), Some("SDXL"));
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct System {
    name: String,
    base: Option<String>,
    only: Option<Vec<String>>,
    draws: Arc<dyn Draw>,
    options: Options,
    settings: Vec<String>,
}

/// What applies to every picture of a system.
#[derive(Clone, Debug, Default)]
struct Options {
    negative_prompt: Option<String>,
    size: Option<(u32, u32)>,
    steps: Option<usize>,
    guidance_scale: Option<f64>,
}

impl System {
    /// A generator, which draws each prompt as it is.
    pub fn generator(name: impl Into<String>, generator: impl Generator) -> Self {
        let generator: Arc<dyn Generator> = Arc::new(generator);
        Self::new(name, generator)
    }

    /// A pipeline. Without [`over`](Self::over) it draws its drafts itself.
    pub fn pipeline(name: impl Into<String>, pipeline: RagPipeline) -> Self {
        Self::new(name, pipeline)
    }

    /// A function, and everything that its pictures depend on in words.
    pub fn function<F, R>(name: impl Into<String>, settings: impl Into<String>, draw: F) -> Self
    where
        F: Fn(RagRequest) -> R + Send + Sync + 'static,
        R: Future<Output = Result<SystemOutcome, SystemError>> + Send + 'static,
    {
        let draw = Box::new(move |request| Box::pin(draw(request)) as BoxFuture<'static, _>);
        Self::new(name, ByFunction { settings: settings.into(), draw })
    }

    /// Anything that draws.
    pub fn new(name: impl Into<String>, draws: impl Draw) -> Self {
        let (options, settings, draws) = (Options::default(), Vec::new(), Arc::new(draws));
        Self { name: name.into(), base: None, only: None, draws, options, settings }
    }

    /// Takes the pictures of the system `base` as drafts: one of the same item and seed for each picture.
    /// They are drawn once, and are what the picture is compared with.
    #[must_use]
    pub fn over(mut self, base: impl Into<String>) -> Self {
        self.base = Some(base.into());
        self
    }

    /// Draws these data sets alone. Several systems of one name, each on data sets of its own, are one row:
    /// so a row retrieves from another gallery for each data set.
    #[must_use]
    pub fn on<T: Into<String>>(mut self, datasets: impl IntoIterator<Item = T>) -> Self {
        self.only = Some(datasets.into_iter().map(Into::into).collect());
        self
    }

    /// What not to draw.
    #[must_use]
    pub fn with_negative_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.options.negative_prompt = Some(prompt.into());
        self
    }

    /// Width and height, in pixels.
    #[must_use]
    pub const fn with_size(mut self, width: u32, height: u32) -> Self {
        self.options.size = Some((width, height));
        self
    }

    /// The number of denoising steps, at least 1.
    #[must_use]
    pub const fn with_steps(mut self, steps: usize) -> Self {
        self.options.steps = Some(steps);
        self
    }

    /// Strength of the prompt (classifier-free guidance).
    #[must_use]
    pub const fn with_guidance_scale(mut self, scale: f64) -> Self {
        self.options.guidance_scale = Some(scale);
        self
    }

    /// Adds a line to what the system's pictures depend on: what its parts do not tell of themselves, such
    /// as which images a gallery holds.
    #[must_use]
    pub fn with_settings(mut self, line: impl Into<String>) -> Self {
        self.settings.push(line.into());
        self
    }

    /// Its name in tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The system whose pictures are its drafts.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// The data sets that it draws, where that is not all of them.
    pub(super) fn only(&self) -> Option<&[String]> {
        self.only.as_deref()
    }

    pub(super) fn is_on(&self, dataset: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|one| one == dataset))
    }

    /// # Errors
    /// [`Error::InvalidInput`] for drawing options with which nothing can draw, and when it is to draw no
    /// data set, or one that is not one of `datasets`.
    pub(super) fn check(&self, datasets: &[Arc<Dataset>]) -> Result<()> {
        let of = |what: &str| format!("{what} of system {}", self.name);
        let Options { size, steps, guidance_scale, .. } = &self.options;
        let (width, height) = size.unwrap_or((1, 1));
        require(
            width > 0 && height > 0,
            of("size"),
            "at least 1 x 1",
            format!("{width} x {height}"),
        )?;
        require(*steps != Some(0), of("steps"), "at least 1", 0)?;
        let scale = guidance_scale.unwrap_or(1.0);
        require(scale.is_finite(), of("guidance_scale"), "a finite number", scale)?;
        let is_any = self.only.as_ref().is_none_or(|only| !only.is_empty());
        require(is_any, of("data sets"), "at least one", 0)?;
        let known: Vec<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        match self.only.iter().flatten().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let what = format!("data sets of system {}", self.name);
                Err(Error::invalid_input(what, format!("some of {}", known.join(", ")), name))
            }
            None => Ok(()),
        }
    }

    /// Everything that its pictures depend on, in words, a line each; not what its base depends on.
    pub fn description(&self) -> String {
        let Options { negative_prompt, size, steps, guidance_scale } = &self.options;
        let size = size.map(|(width, height)| format!("{width} x {height} pixels"));
        let options = [
            ("negative prompt", negative_prompt.clone()),
            ("size", size),
            ("steps", steps.map(|steps| steps.to_string())),
            ("guidance scale", guidance_scale.map(|scale| scale.to_string())),
        ];
        let mut lines = vec![self.draws.settings()];
        lines.extend(self.settings.iter().cloned());
        lines.extend(
            options.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?))),
        );
        lines.join("\n")
    }

    /// The hash of [`description`](Self::description), and of that of the base.
    pub(super) fn settings_over(&self, base: Option<&str>) -> String {
        hash_of([self.description().as_str(), base.unwrap_or_default()])
    }

    pub(super) fn calls_per_picture(&self) -> u64 {
        self.draws.calls_per_picture()
    }

    pub(super) async fn prepare(&self) -> Result<()> {
        self.draws.prepare().await
    }

    pub(super) fn finished(&self) {
        self.draws.finished();
    }

    pub(super) async fn draw(
        &self,
        prompt: &str,
        seed: u64,
        draft: Option<Image>,
    ) -> Result<SystemOutcome, SystemError> {
        let mut request = RagRequest::new(prompt).with_seed(seed);
        let Options { negative_prompt, size, steps, guidance_scale } = &self.options;
        request.negative_prompt.clone_from(negative_prompt);
        (request.width, request.height) = (size.map(|size| size.0), size.map(|size| size.1));
        (request.steps, request.guidance_scale) = (*steps, *guidance_scale);
        request.draft = draft;
        self.draws.draw(request).await
    }
}
