//! [`RagPipelineBuilder`]: makes a [`RagPipeline`] from parts and settings that fit together.

use std::sync::Arc;

use super::{Fallback, Mode, RagConfig, RagPipeline, Unclear, missing};
use crate::conditioner::Conditioner;
use crate::critic::{Critic, GuidedCot, Query};
use crate::embedder::Embedder;
use crate::error::require;
use crate::generator::Generator;
use crate::retriever::Retriever;
use crate::vlm::{Questions, Vlm};
use crate::{Error, Result};

/// Collects the parts of a [`RagPipeline`].
///
/// `build()` fails when a part is missing or two do not fit each other.
#[derive(Debug, Default)]
#[must_use]
pub struct RagPipelineBuilder {
    generator: Option<Arc<dyn Generator>>,
    critic: Option<Arc<dyn Critic>>,
    vlm: Option<Arc<dyn Vlm>>,
    retriever: Option<Arc<dyn Retriever>>,
    conditioner: Option<Arc<dyn Conditioner>>,
    verifier: Option<Arc<dyn Vlm>>,
    margin_embedder: Option<Arc<dyn Embedder>>,
    questions: Questions,
    config: RagConfig,
}

impl RagPipelineBuilder {
    /// What draws the images.
    pub fn generator(mut self, generator: impl Generator) -> Self {
        self.generator = Some(Arc::new(generator));
        self
    }

    /// What judges them.
    pub fn critic(mut self, critic: impl Critic) -> Self {
        self.critic = Some(Arc::new(critic));
        self
    }

    /// The model behind the paper's critic: short for `critic(GuidedCot::new(vlm))`, with the
    /// [`questions`](Self::questions) of the pipeline. It also rephrases in [`Mode::RephraseOnly`].
    pub fn vlm(mut self, vlm: impl Vlm) -> Self {
        self.critic = None;
        self.vlm = Some(Arc::new(vlm));
        self
    }

    /// Other sentences than the paper's, or those of another language, for the models of
    /// [`vlm`](Self::vlm) and [`verifier`](Self::verifier). A critic of your own has its own
    /// questions.
    pub fn questions(mut self, questions: Questions) -> Self {
        self.questions = questions;
        self
    }

    /// Where references come from.
    pub fn retriever(mut self, retriever: impl Retriever) -> Self {
        self.retriever = Some(Arc::new(retriever));
        self
    }

    /// What prepares references for the generator.
    pub fn conditioner(mut self, conditioner: impl Conditioner) -> Self {
        self.conditioner = Some(Arc::new(conditioner));
        self
    }

    /// A VLM that looks at each reference before it is used, and says whether it shows the concept
    /// that it was found for. It sees references that passed all other checks, one after the other,
    /// until there are enough; [`RagConfig::candidates`] bounds the questions per caption. If the
    /// prompt itself is looked for ([`Fallback::RetrieveByPrompt`]), it is asked for the prompt.
    pub fn verifier(mut self, vlm: impl Vlm) -> Self {
        self.verifier = Some(Arc::new(vlm));
        self
    }

    /// Refuses a reference unless its cosine similarity to its caption exceeds that of the draft by
    /// at least `margin`, in [-2, 2]. Other references show hardly more of the concept than what
    /// the generator can draw already. Without a draft ([`Mode::AllConcepts`]) it refuses none.
    pub fn margin(mut self, embedder: impl Embedder, margin: f32) -> Self {
        self.margin_embedder = Some(Arc::new(embedder));
        self.config.margin = Some(margin);
        self
    }

    /// Every setting at once.
    pub fn config(mut self, config: RagConfig) -> Self {
        self.config = config;
        self
    }

    /// When references are looked for.
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.config.mode = mode;
        self
    }

    /// What images are retrieved by: caption, concept or prompt.
    pub const fn query(mut self, query: Query) -> Self {
        self.config.query = query;
        self
    }

    /// What happens when the critic cannot say what is missing.
    pub const fn fallback(mut self, fallback: Fallback) -> Self {
        self.config.fallback = fallback;
        self
    }

    /// The most rounds of retrieval and generation, 1 to 100.
    pub const fn max_rounds(mut self, rounds: usize) -> Self {
        self.config.max_rounds = rounds;
        self
    }

    /// The lowest score of a reference that is used, in the retriever's unit.
    pub const fn threshold(mut self, score: f32) -> Self {
        self.config.threshold = Some(score);
        self
    }

    /// Whether a reference is used if the verifier says neither yes nor no.
    pub const fn unclear(mut self, unclear: Unclear) -> Self {
        self.config.unclear = unclear;
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// - [`Error::MissingPart`] names the part that is missing and the call that provides it.
    /// - [`Error::Incompatible`] when the generator does not accept what the conditioner produces.
    /// - [`Error::InvalidInput`] when a setting is out of range, or a question is not
    ///   [valid](Questions::validate).
    pub fn build(self) -> Result<RagPipeline> {
        let config = self.config;
        config.validate()?;
        self.questions.validate()?;
        let guided = |vlm| GuidedCot::new(vlm).with_questions(self.questions.clone());
        let critic: Option<Arc<dyn Critic>> = match (self.critic, &self.vlm) {
            (None, Some(vlm)) => Some(Arc::new(guided(Arc::clone(vlm))?)),
            (critic, _) => critic,
        };
        let generator =
            self.generator.ok_or(missing("generator", "call .generator(…) on the builder"))?;
        let need = |is_there, part, hint| if is_there { Ok(()) } else { Err(missing(part, hint)) };
        if config.mode == Mode::RephraseOnly {
            need(self.vlm.is_some(), "VLM to rephrase with", "call .vlm(…) on the builder")?;
        } else {
            let is_judged = !config.needs_critic() || critic.is_some();
            need(is_judged, "critic", "call .critic(…) or .vlm(…) on the builder")?;
            need(self.retriever.is_some(), "retriever", "call .retriever(…) on the builder")?;
            need(self.conditioner.is_some(), "conditioner", "call .conditioner(…) on the builder")?;
            let is_compared = config.margin.is_none() || self.margin_embedder.is_some();
            need(is_compared, "margin embedder", "call .margin(…) on the builder")?;
        }
        if let Some(conditioner) = &self.conditioner {
            let what = format!("capacity of {conditioner}");
            require(conditioner.capacity() > 0, what, "at least 1", 0)?;
            let produced = conditioner.produces();
            if !generator.accepts().contains(&produced) {
                let accepted: Vec<String> =
                    generator.accepts().iter().map(ToString::to_string).collect();
                return Err(Error::Incompatible {
                    left: generator.to_string(),
                    right: conditioner.to_string(),
                    expected: accepted.join(" or "),
                    found: produced.to_string(),
                });
            }
        }
        Ok(RagPipeline {
            generator,
            critic,
            vlm: self.vlm,
            retriever: self.retriever,
            conditioner: self.conditioner,
            verifier: self.verifier,
            margin_embedder: self.margin_embedder,
            questions: Arc::new(self.questions),
            config,
        })
    }
}
