//! [`Draw`]: one request to one picture, by generators, pipelines and functions.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::evaluation::experiment::hash::hash_of;
use crate::generator::{Drawn, GenerateRequest, Generator, GeneratorExt};
use crate::pipeline::{Mode, Parts, RagTrace, Record, Stage, StageTrace, StopReason, TracedImage};
use crate::reference::Reference;
use crate::{Error, Image, RagError, RagOutcome, RagPipeline, RagRequest, Result, Usage};

/// Draws one picture for one request: what a [`System`](super::System) is made of.
#[async_trait]
pub trait Draw: Debug + Send + Sync + 'static {
    /// Everything that its pictures depend on, in words, a line each: parts, versions, settings. Pictures
    /// are drawn again where it changes, and only there.
    fn settings(&self) -> String;

    /// How many questions to a service one picture takes, as far as that can be known before.
    fn calls_per_picture(&self) -> u64 {
        0
    }

    /// Makes ready to draw, such as by loading models: before the first picture of a run, and only where
    /// one is missing. Nothing is done by default.
    ///
    /// # Errors
    /// Why nothing can be drawn. The system is then given up, and no picture is recorded as failed.
    async fn prepare(&self) -> Result<()> {
        Ok(())
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

    async fn prepare(&self) -> Result<()> {
        (**self).prepare().await
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

pub(super) struct ByFunction {
    pub(super) settings: String,
    pub(super) draw: Box<Function>,
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
