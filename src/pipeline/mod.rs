//! [`RagPipeline`]: draws an image that shows what the prompt asks for. One file per stage of the
//! paper.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::RagRequest;
//! use imagerag::conditioner::InPrompt;
//! use imagerag::pipeline::{RagConfig, RagOutcome, RagPipeline, StopReason};
//! use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
//!
//! let gallery = [("a red car", solid(64, 64, [200, 0, 0])),
//!                ("a quetzal on a branch", solid(64, 64, [0, 140, 70]))];
//! let pipeline = RagPipeline::builder()
//!     .generator(FakeGenerator::new())
//!     // The draft lacks the bird; the image of the first round has it.
//!     .vlm(FakeVlm::new(["no", "a quetzal", "a quetzal on a branch", "yes"]))
//!     .retriever(FakeRetriever::new(gallery))
//!     .conditioner(InPrompt::new(3)?)
//!     .config(RagConfig::default().with_max_rounds(3))
//!     .build()?;
//! assert_eq!(pipeline.config().max_rounds, 3);
//!
//! let request = RagRequest::new("a quetzal at dawn").with_seed(7).with_size(64, 48);
//! let outcome: RagOutcome = block_on(pipeline.run(request))?;
//! assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
//! assert_eq!(outcome.references[0].caption.concept, "a quetzal");
//! println!("{}", outcome.trace); // Everything that happened, stage by stage.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod caption;
mod condition;
mod config;
mod critique;
mod draft;
mod generate;
mod hit;
#[cfg(feature = "serde")]
mod json;
mod many;
mod margin;
mod mode;
#[cfg(all(feature = "image", feature = "serde"))]
pub(crate) mod page;
mod plan_edit;
mod prompt;
mod rephrase;
mod request;
mod retrieve;
mod run;
mod stream;
mod summary;
mod trace;
mod verify;

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use crate::conditioner::Conditioner;
use crate::critic::{Critic, Verdict};
use crate::embedder::Embedder;
use crate::generator::Generator;
use crate::image::Image;
use crate::reference::Reference;
use crate::retriever::Retriever;
use crate::vlm::{Questions, Vlm};
use crate::{Chain, Error, Result};

pub use builder::RagPipelineBuilder;
pub use config::{Fallback, RagConfig, Unclear};
pub use hit::{Hit, Refusal};
pub use many::{RunMany, StreamMany};
pub use mode::Mode;
#[cfg(all(feature = "image", feature = "serde"))]
pub use page::TracePage;
pub use request::RagRequest;
pub use stream::{Event, RagStream};
pub use trace::{Parts, RagTrace, Record, Stage, StageTrace, StopReason, TracedImage};

use run::Run;

/// The loop of the paper: draft, critique, captions, retrieval, conditioned generation. Clones
/// share the parts.
#[derive(Clone, Debug)]
pub struct RagPipeline {
    generator: Arc<dyn Generator>,
    critic: Option<Arc<dyn Critic>>,
    vlm: Option<Arc<dyn Vlm>>,
    retriever: Option<Arc<dyn Retriever>>,
    conditioner: Option<Arc<dyn Conditioner>>,
    verifier: Option<Arc<dyn Vlm>>,
    margin_embedder: Option<Arc<dyn Embedder>>,
    editor: Option<Arc<dyn Generator>>,
    questions: Arc<Questions>,
    config: RagConfig,
}

impl RagPipeline {
    /// Returns a builder, which collects the parts.
    pub fn builder() -> RagPipelineBuilder {
        RagPipelineBuilder::default()
    }

    /// The settings.
    pub const fn config(&self) -> &RagConfig {
        &self.config
    }

    /// The parts, by their `Display` in the form `{:#}`, which says the most.
    #[cfg(feature = "evaluation")]
    pub(crate) fn parts_in_full(&self) -> Parts {
        fn full<T: fmt::Display + ?Sized>(part: &Option<Arc<T>>) -> Option<String> {
            part.as_ref().map(|part| format!("{part:#}"))
        }
        Parts {
            generator: format!("{:#}", self.generator),
            critic: full(&self.critic),
            retriever: full(&self.retriever),
            conditioner: full(&self.conditioner),
            editor: full(&self.editor),
            verifier: full(&self.verifier),
            margin_embedder: full(&self.margin_embedder),
        }
    }

    /// What a vision-language model is asked, where there is one.
    #[cfg(feature = "evaluation")]
    pub(crate) fn asked(&self) -> Option<&Questions> {
        self.vlm.as_ref().map(|_| &*self.questions)
    }

    /// The same parts with other settings.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// # use imagerag::conditioner::InPrompt;
    /// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm};
    /// use imagerag::pipeline::RagConfig;
    ///
    /// # let pipeline = imagerag::RagPipeline::builder()
    /// #     .generator(FakeGenerator::new())
    /// #     .vlm(FakeVlm::new(["yes"]))
    /// #     .retriever(FakeRetriever::new(Vec::<(String, _)>::new()))
    /// #     .conditioner(InPrompt::new(3)?)
    /// #     .build()?;
    /// // The same models, loaded once, with and without a threshold.
    /// let strict = pipeline.with_config(pipeline.config().clone().with_threshold(0.3))?;
    /// assert_eq!((pipeline.config().threshold, strict.config().threshold), (None, Some(0.3)));
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`RagPipelineBuilder::build`].
    pub fn with_config(&self, config: RagConfig) -> Result<Self> {
        self.fits(&config)?;
        Ok(Self { config, ..self.clone() })
    }

    /// Makes one image. A part that panics ends the request as one that fails.
    ///
    /// # Errors
    /// [`RagError`], with the stage that failed, the trace up to there and the best image so far.
    pub async fn run(&self, request: impl Into<RagRequest> + Send) -> Result<RagOutcome, RagError> {
        let request = request.into();
        Run::new(self, &request, None).work(pending::<()>()).await
    }
}

/// The error of a pipeline without `part`; the `hint` says what to call for one.
const fn missing(part: &'static str, hint: &'static str) -> Error {
    Error::MissingPart { part, hint }
}

impl Run<'_> {
    /// The whole loop.
    async fn drive(&mut self) -> Result<StopReason> {
        self.validate()?;
        match self.config().mode {
            Mode::OnDemand | Mode::EditDraft => self.draft().await?,
            Mode::AllConcepts => {}
            Mode::RephraseOnly => {
                self.draft().await?;
                let prompt = self.rephrase().await?;
                self.round += 1;
                let conditioned = self.condition(&prompt, &[]).await?;
                self.generate(conditioned, Vec::new()).await?;
                return Ok(StopReason::Rephrased);
            }
            Mode::PlanEdit => {
                self.draft().await?;
                return self.plan_and_edit().await;
            }
        }
        let stop = self.rounds().await?;
        if self.image().is_none() {
            self.draft().await?; // No draft was wanted, and nothing else came of it.
        }
        Ok(stop)
    }

    async fn rounds(&mut self) -> Result<StopReason> {
        let config = self.config();
        if self.room() == 0 {
            return Ok(StopReason::NoRoom);
        }
        loop {
            let verdict = self.critique().await?;
            if verdict == Verdict::Match {
                return Ok(StopReason::Matched { round: self.round });
            }
            if self.round == config.max_rounds {
                return Ok(StopReason::RoundLimit);
            }
            self.round += 1;
            let Some(captions) = self.caption(verdict) else {
                return Ok(StopReason::Undetermined);
            };
            let references = self.retrieve(&captions).await?;
            if references.is_empty() {
                return Ok(StopReason::NoUsefulReference);
            }
            let conditioned = self.condition(&self.request.prompt, &references).await?;
            self.generate(conditioned, references).await?;
            if self.round == config.max_rounds && !config.judges_last() {
                return Ok(StopReason::RoundLimit);
            }
        }
    }
}

/// The result of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RagOutcome {
    /// The best image: one that matches the prompt, or else the one that misses the fewest
    /// concepts, or the latest of several such. An image that was not judged, and that others followed,
    /// comes after all that were.
    pub image: Image,
    /// The draft, if there is one: it was drawn, or the caller gave it.
    pub draft: Option<Image>,
    /// The references that `image` was generated with, and those that the image was generated with
    /// that it was edited from. A draft has the caller's own at most.
    pub references: Vec<Reference>,
    /// Why the loop stopped.
    pub stop: StopReason,
    /// The record of everything that happened.
    pub trace: RagTrace,
}

/// A request that failed, with everything that was done before.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::RagError;
/// use imagerag::pipeline::Stage;
/// # use imagerag::conditioner::InPrompt;
/// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
///
/// # let pipeline = imagerag::RagPipeline::builder()
/// #     .generator(FakeGenerator::new().failing_at(1))
/// #     .vlm(FakeVlm::new(["no", "a quetzal", "a quetzal on a branch"]))
/// #     .retriever(FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]))
/// #     .conditioner(InPrompt::new(3)?)
/// #     .build()?;
/// // A generator that runs out of memory when it draws its second image.
/// let error: RagError = block_on(pipeline.run("a quetzal at dawn")).unwrap_err();
/// assert_eq!(error.stage, Stage::Generate);
/// assert_eq!(error.chain().to_string(), "generate failed: FakeGenerator failed: out of memory");
/// assert_eq!(format!("{error:?}"), format!("RagError({})", error.chain()));
/// // What was done before is not lost.
/// assert!(error.best.is_some(), "the draft");
/// assert_eq!(error.trace.hits().count(), 1);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, thiserror::Error)]
#[error("{stage} {}", if self.is_cancelled() { "was cut off" } else { "failed" })]
#[non_exhaustive]
pub struct RagError {
    /// The stage that failed.
    pub stage: Stage,
    /// Why.
    pub source: Arc<Error>,
    /// The record of everything that happened before the failure.
    pub trace: Box<RagTrace>,
    /// The best image so far, if there is one.
    pub best: Option<Image>,
}

impl fmt::Debug for RagError {
    /// One line, without the trace: a `main` that returns the error prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RagError({})", self.chain())
    }
}

impl RagError {
    /// Writes the stage, the error and all its causes in one line: `critique failed: a: b`.
    pub fn chain(&self) -> Chain<'_> {
        Chain::new(self)
    }

    /// Whether the request was cancelled, and did not fail.
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.source, Error::Cancelled)
    }
}
