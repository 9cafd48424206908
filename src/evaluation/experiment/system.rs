//! [`System`]: prompts to pictures, by whatever is a row of a table: a generator, a pipeline, a program of
//! one's own.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::hash::hash_of;
use crate::evaluation::dataset::Dataset;
use crate::generator::{Drawn, GenerateRequest, Generator, GeneratorExt};
use crate::pipeline::{Mode, Parts, RagTrace, Record, Stage, StageTrace, StopReason, TracedImage};
use crate::reference::Reference;
use crate::{Error, Image, RagError, RagOutcome, RagPipeline, RagRequest, Result, Usage};

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

/// Draws one picture for one request: what a [`System`] is made of.
#[async_trait]
pub trait Draw: Debug + Send + Sync + 'static {
    /// Everything that its pictures depend on, in words, a line each: parts, versions, settings. Pictures
    /// are drawn again where it changes, and only there.
    fn settings(&self) -> String;

    /// How many questions to a service one picture takes, as far as that can be known before.
    fn calls_per_picture(&self) -> u64 {
        0
    }

    /// Draws. The request has the prompt, the seed, the system's drawing options, and as its draft the
    /// picture of the base system, where there is one.
    ///
    /// # Errors
    /// What failed, with the trace of what was done before, where there is one.
    async fn draw(&self, request: RagRequest) -> Result<SystemOutcome, SystemError>;

    /// Says that nothing more is drawn in this run, so that a model may be unloaded.
    fn finished(&self) {}
}

/// A picture with what it was made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SystemOutcome {
    /// The picture.
    pub image: Image,
    /// The draft, where there was one.
    pub draft: Option<Image>,
    /// The references that it was drawn with.
    pub references: Vec<Reference>,
    /// Why the loop stopped.
    pub stop: Option<StopReason>,
    /// What happened.
    pub trace: Option<RagTrace>,
    /// What each part used. Of a picture with a trace it is in the trace.
    pub usage: BTreeMap<String, Usage>,
}

/// Why there is no picture.
#[derive(Debug)]
pub struct SystemError {
    /// What failed.
    pub source: Arc<Error>,
    /// What was done before.
    pub trace: Option<Box<RagTrace>>,
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
    /// [`Error::InvalidInput`] when it is to draw a data set that is not one of `datasets`.
    pub(super) fn check_datasets(&self, datasets: &[Arc<Dataset>]) -> Result<()> {
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

#[async_trait]
impl Draw for Arc<dyn Generator> {
    fn settings(&self) -> String {
        format!("generator: {self:#}")
    }

    async fn draw(&self, request: RagRequest) -> Result<SystemOutcome, SystemError> {
        drawn_by(&**self, request).await
    }
}

#[async_trait]
impl<D: Draw + ?Sized> Draw for Box<D> {
    fn settings(&self) -> String {
        (**self).settings()
    }

    fn calls_per_picture(&self) -> u64 {
        (**self).calls_per_picture()
    }

    async fn draw(&self, request: RagRequest) -> Result<SystemOutcome, SystemError> {
        (**self).draw(request).await
    }

    fn finished(&self) {
        (**self).finished();
    }
}

#[async_trait]
impl Draw for RagPipeline {
    fn settings(&self) -> String {
        let Parts { generator, critic, retriever, conditioner, editor, verifier, margin_embedder } =
            self.parts_in_full();
        let parts = [
            ("generator", Some(generator)),
            ("critic", critic),
            ("retriever", retriever),
            ("conditioner", conditioner),
            ("editor", editor),
            ("verifier", verifier),
            ("margin embedder", margin_embedder),
        ];
        let config = serde_json::to_string(self.config()).unwrap_or_default();
        let mut lines: Vec<String> = parts
            .into_iter()
            .filter_map(|(name, part)| Some(format!("{name}: {}", part?)))
            .collect();
        lines.push(format!("config: {config}"));
        if let Some(questions) = self.asked() {
            let questions = serde_json::to_string(questions).unwrap_or_default();
            lines.push(format!("questions: {}", hash_of([questions.as_str()])));
        }
        lines.join("\n")
    }

    fn calls_per_picture(&self) -> u64 {
        match (self.asked(), self.config().mode) {
            (None, _) => 0,
            (_, Mode::RephraseOnly) => 1,
            _ => PAPER_CALLS,
        }
    }

    async fn draw(&self, request: RagRequest) -> Result<SystemOutcome, SystemError> {
        Ok(self.run(request).await?.into())
    }
}

/// The questions for one picture: the decision, the concepts, the captions (appendix D of the paper).
const PAPER_CALLS: u64 = 3;

async fn drawn_by(
    generator: &dyn Generator,
    request: RagRequest,
) -> Result<SystemOutcome, SystemError> {
    let asked = GenerateRequest {
        negative_prompt: request.negative_prompt,
        width: request.width,
        height: request.height,
        steps: request.steps,
        guidance_scale: request.guidance_scale,
        ..GenerateRequest::new(request.prompt).with_seed(request.seed)
    };
    let began = std::time::Instant::now();
    let drawn: Drawn = generator.generate_one(&asked).await?;
    let elapsed = began.elapsed();
    let stage = StageTrace {
        stage: Stage::Draft,
        round: 0,
        elapsed,
        record: Some(Record::Image(TracedImage::new(generator, &asked, &drawn))),
        exchanges: Vec::new(),
    };
    let parts = Parts { generator: generator.to_string(), ..Parts::default() };
    let trace = RagTrace {
        prompt: asked.prompt,
        seed: asked.seed,
        parts,
        stages: vec![stage],
        elapsed,
        ..RagTrace::default()
    };
    Ok(SystemOutcome { trace: Some(trace), ..drawn.image.into() })
}

type Function =
    dyn Fn(RagRequest) -> BoxFuture<'static, Result<SystemOutcome, SystemError>> + Send + Sync;

struct ByFunction {
    settings: String,
    draw: Box<Function>,
}

#[async_trait]
impl Draw for ByFunction {
    fn settings(&self) -> String {
        self.settings.clone()
    }

    async fn draw(&self, request: RagRequest) -> Result<SystemOutcome, SystemError> {
        (self.draw)(request).await
    }
}

impl Debug for ByFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByFunction").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A picture of which nothing else is known.
impl From<Image> for SystemOutcome {
    fn from(image: Image) -> Self {
        let (references, usage) = (Vec::new(), BTreeMap::new());
        Self { image, draft: None, references, stop: None, trace: None, usage }
    }
}

impl From<RagOutcome> for SystemOutcome {
    fn from(outcome: RagOutcome) -> Self {
        let RagOutcome { image, draft, references, stop, trace } = outcome;
        let (stop, trace) = (Some(stop), Some(trace));
        Self { image, draft, references, stop, trace, usage: BTreeMap::new() }
    }
}

impl From<Error> for SystemError {
    fn from(error: Error) -> Self {
        Self { source: Arc::new(error), trace: None }
    }
}

impl From<RagError> for SystemError {
    fn from(error: RagError) -> Self {
        Self { source: error.source, trace: Some(error.trace) }
    }
}
