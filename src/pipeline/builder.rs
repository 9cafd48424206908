//! [`RagPipelineBuilder`]: makes a [`RagPipeline`] from parts and settings that fit together.

use std::sync::Arc;

use super::{Mode, RagConfig, RagPipeline, missing};
use crate::conditioner::{Conditioner, ConditioningKind};
use crate::critic::{Critic, GuidedCot};
use crate::embedder::Embedder;
use crate::error::require;
use crate::generator::Generator;
use crate::retriever::Retriever;
use crate::vlm::{Questions, Vlm};
use crate::{Error, Result};

/// Collects the parts of a [`RagPipeline`].
///
/// `build()` fails when a part is missing or two do not fit each other.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::Error;
/// use imagerag::conditioner::InPrompt;
/// use imagerag::pipeline::{RagConfig, RagPipeline, RagPipelineBuilder};
/// use imagerag::testing::{FakeCritic, FakeEmbedder, FakeGenerator, FakeRetriever, FakeVlm, solid};
///
/// /// What all pipelines of an application share.
/// fn common() -> imagerag::Result<RagPipelineBuilder> {
///     let gallery = [("a quetzal", solid(8, 8, [0, 140, 70]))];
///     Ok(RagPipeline::builder()
///         .generator(FakeGenerator::new())
///         .retriever(FakeRetriever::new(gallery))
///         .conditioner(InPrompt::new(3)?))
/// }
///
/// let by_the_paper = common()?.vlm(FakeVlm::new(["yes"])).build()?;
/// // A critic of one's own; a VLM that looks at each reference before it is used; and no reference
/// // that shows hardly more of its concept than the draft.
/// let careful = common()?
///     .critic(FakeCritic::new().missing(["a quetzal"]))
///     .verifier(FakeVlm::new(["yes"]))
///     .margin_embedder(FakeEmbedder)
///     .config(RagConfig::default().with_margin(0.05))
///     .build()?;
///
/// // A part that is missing is named, with the call that adds it.
/// let error = common()?.build().unwrap_err();
/// assert!(matches!(error, Error::MissingPart { part: "critic", .. }));
/// # Ok::<(), imagerag::Error>(())
/// ```
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
    editor: Option<Arc<dyn Generator>>,
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

    /// The model behind the paper's critic, [`GuidedCot`], unless there is a [`critic`](Self::critic)
    /// of your own. It asks the pipeline's [`questions`](Self::questions). It also rephrases in
    /// [`Mode::RephraseOnly`] and plans edits in [`Mode::PlanEdit`].
    pub fn vlm(mut self, vlm: impl Vlm) -> Self {
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
    /// prompt itself is looked for
    /// ([`Fallback::RetrieveByPrompt`](super::Fallback::RetrieveByPrompt)), it is asked for the
    /// prompt.
    pub fn verifier(mut self, vlm: impl Vlm) -> Self {
        self.verifier = Some(Arc::new(vlm));
        self
    }

    /// What compares references with the draft, for
    /// [`RagConfig::margin`](super::RagConfig::margin).
    pub fn margin_embedder(mut self, embedder: impl Embedder) -> Self {
        self.margin_embedder = Some(Arc::new(embedder));
        self
    }

    /// What makes the edits of [`Mode::PlanEdit`], by default the [`generator`](Self::generator). It must
    /// accept images. A generator that draws well may draw what another one edits.
    ///
    /// Both are given the same size, steps, guidance, seed and negative prompt: those of the request.
    /// What the request leaves unset is each one's own default, which is set where it is built. So leave
    /// steps and guidance unset in requests where the two need different ones. Without a size in the
    /// request, an edit has the editor's default size, whatever the size of the draft: give requests a
    /// [size](crate::RagRequest::with_size) that both can draw, or an editor that keeps the size of the
    /// image that it edits (OmniGen with `use_input_image_size_as_output`).
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// # use imagerag::testing::{FakeGenerator, FakeVlm};
    /// use imagerag::RagPipeline;
    /// use imagerag::pipeline::{Mode, RagConfig};
    ///
    /// # let (sdxl, omnigen) = (FakeGenerator::text_only(), FakeGenerator::new());
    /// # let vlm = FakeVlm::default();
    /// let pipeline = RagPipeline::builder()
    ///     .generator(sdxl)
    ///     .editor(omnigen)
    ///     .vlm(vlm)
    ///     .config(RagConfig::default().with_mode(Mode::PlanEdit).with_max_edits(3))
    ///     .build()?;
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    pub fn editor(mut self, generator: impl Generator) -> Self {
        self.editor = Some(Arc::new(generator));
        self
    }

    /// The settings, in place of [`RagConfig::default`]. A single request can have
    /// [others](crate::RagRequest::with_config).
    pub fn config(mut self, config: RagConfig) -> Self {
        self.config = config;
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// - [`Error::MissingPart`] names the part that is missing and the call that provides it.
    /// - [`Error::Incompatible`] when the generator does not accept what the conditioner produces, or
    ///   the mode needs images where a part takes or produces something else.
    /// - [`Error::InvalidInput`] when a setting is out of range, or a question is not
    ///   [valid](Questions::validate).
    pub fn build(self) -> Result<RagPipeline> {
        let generator = self.generator.ok_or(Error::MissingPart {
            part: "generator",
            hint: "call .generator(…) on the builder",
        })?;
        self.questions.validate()?;
        let guided = |vlm| GuidedCot::new(vlm).with_questions(self.questions.clone());
        let critic: Option<Arc<dyn Critic>> = match (self.critic, &self.vlm) {
            (None, Some(vlm)) => Some(Arc::new(guided(Arc::clone(vlm))?)),
            (critic, _) => critic,
        };
        let pipeline = RagPipeline {
            generator,
            critic,
            vlm: self.vlm,
            retriever: self.retriever,
            conditioner: self.conditioner,
            verifier: self.verifier,
            margin_embedder: self.margin_embedder,
            editor: self.editor,
            questions: Arc::new(self.questions),
            config: self.config,
        };
        pipeline.fits(&pipeline.config)?;
        Ok(pipeline)
    }
}

impl RagPipeline {
    /// What makes edits.
    pub(super) fn editor(&self) -> &dyn Generator {
        self.editor.as_ref().unwrap_or(&self.generator)
    }

    /// Whether the generator is shown references as images.
    pub(super) fn shows_images(&self) -> bool {
        let conditioner = self.conditioner.as_ref();
        conditioner.is_some_and(|one| one.produces() == ConditioningKind::Images)
    }

    /// Checks that the parts fit each other, and that there are those that `config` needs.
    pub(super) fn fits(&self, config: &RagConfig) -> Result<()> {
        config.validate()?;
        self.has_parts_for(config)?;
        let (generator, accepts) = (&self.generator, self.generator.accepts());
        if !accepts.contains(&ConditioningKind::None) {
            let expected = format!("it to accept {}", ConditioningKind::None);
            return Err(Error::incompatible("the pipeline", generator, expected, any_of(accepts)));
        }
        let editor = self.editor();
        let edits = self.editor.is_some() || config.mode == Mode::PlanEdit;
        if edits && !editor.accepts().contains(&ConditioningKind::Images) {
            let (expected, found) = ("an editor that accepts images", any_of(editor.accepts()));
            return Err(Error::incompatible("the pipeline", editor, expected, found));
        }
        let Some(conditioner) = &self.conditioner else { return Ok(()) };
        let (produced, capacity) = (conditioner.produces(), conditioner.capacity());
        let what = format!("capacity of {conditioner}");
        require(capacity > 0, &what, "at least 1", capacity)?;
        if !accepts.contains(&produced) {
            return Err(Error::incompatible(generator, conditioner, any_of(accepts), produced));
        }
        if config.mode == Mode::EditDraft {
            if produced != ConditioningKind::Images {
                let expected = ConditioningKind::Images.to_string();
                return Err(Error::incompatible(
                    "Mode::EditDraft",
                    conditioner,
                    expected,
                    produced,
                ));
            }
            let expected = "at least 2 in Mode::EditDraft, the draft and a reference";
            require(capacity > 1, what, expected, capacity)?;
        }
        Ok(())
    }

    /// Checks that there are the parts that `config` needs.
    fn has_parts_for(&self, config: &RagConfig) -> Result<()> {
        let need = |is_there, part, hint| if is_there { Ok(()) } else { Err(missing(part, hint)) };
        match config.mode {
            Mode::RephraseOnly => {
                need(self.vlm.is_some(), "VLM to rephrase with", "call .vlm(…) on the builder")
            }
            Mode::PlanEdit => {
                need(self.vlm.is_some(), "VLM to plan edits with", "call .vlm(…) on the builder")
            }
            Mode::OnDemand | Mode::AllConcepts | Mode::EditDraft => {
                let is_judged = !config.needs_critic() || self.critic.is_some();
                need(is_judged, "critic", "call .critic(…) or .vlm(…) on the builder")?;
                need(self.retriever.is_some(), "retriever", "call .retriever(…) on the builder")?;
                let hint = "call .conditioner(…) on the builder";
                need(self.conditioner.is_some(), "conditioner", hint)?;
                let is_compared = config.margin.is_none() || self.margin_embedder.is_some();
                let hint = "call .margin_embedder(…) on the builder";
                need(is_compared, "margin embedder", hint)
            }
        }
    }
}

/// The kinds that a generator accepts, in words.
fn any_of(accepts: &[ConditioningKind]) -> String {
    accepts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
