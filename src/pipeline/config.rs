//! [`RagConfig`]: every setting of the loop, with the paper's values as defaults.

use super::Mode;
use crate::Result;
use crate::critic::Query;
use crate::error::require;

/// The most rounds that a pipeline may be asked for.
const MAX_ROUNDS: usize = 100;
/// The most edits that one may be asked for.
const MAX_EDITS: usize = 100;

/// How the pipeline works. The default is the paper's method as its experiments ran it.
///
/// ```
/// use imagerag::pipeline::RagConfig;
///
/// let config = RagConfig::default().with_max_rounds(3).with_threshold(0.26);
/// assert!(config.validate().is_ok());
/// ```
///
/// The paper's ablations, and a pipeline that would rather stop than use a poor reference:
/// ```
/// use imagerag::critic::Query;
/// use imagerag::pipeline::{Fallback, Mode, RagConfig, Unclear};
///
/// let by_concept = RagConfig::default().with_query(Query::Concept);
/// // Retrieval by the prompt, without a draft or a VLM.
/// let plain = RagConfig::default().with_mode(Mode::AllConcepts).with_query(Query::Prompt);
/// let rephrased = RagConfig::default().with_mode(Mode::RephraseOnly);
///
/// let strict = RagConfig::default()
///     .with_max_rounds(3)
///     .with_max_concepts(2)
///     .with_references_per_caption(2)
///     .with_candidates(20)
///     .with_threshold(0.26)
///     .with_fallback(Fallback::Stop)
///     .with_unclear(Unclear::Refuse);
/// for config in [by_concept, plain, rephrased, strict] {
///     config.validate()?;
/// }
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct RagConfig {
    /// What happens with the draft, and when references are looked for.
    pub mode: Mode,
    /// What images are retrieved by: captions, or an ablation of the paper's table 3.
    pub query: Query,
    /// What happens when the critic cannot say what is missing.
    pub fallback: Fallback,
    /// The most rounds of retrieval and generation, or of planning and editing, 1 to 100. The paper
    /// runs one.
    pub max_rounds: usize,
    /// Whether the critic also judges the image of the last round. Without that, the last image
    /// counts as the best, and [`StopReason`](super::StopReason) does not tell whether it matches.
    /// `None` judges it if there are several rounds, and in [`Mode::PlanEdit`].
    pub judge_last: Option<bool>,
    /// The most edits of one request in [`Mode::PlanEdit`], all rounds together, 1 to 100. Each takes as
    /// long as an image.
    pub max_edits: usize,
    /// Whether the critic judges the image of every edit in [`Mode::PlanEdit`], and ends the request with
    /// the first that matches; otherwise it judges that of the last edit of a plan.
    pub judge_each_edit: bool,
    /// The most concepts per round, at least 1. `None` takes as many as the conditioner has
    /// capacity for.
    pub max_concepts: Option<usize>,
    /// References taken for each caption, at least 1.
    pub references_per_caption: usize,
    /// How many references are retrieved for each caption, of which some may be refused; at least
    /// `references_per_caption`.
    pub candidates: usize,
    /// The lowest score of a reference that is used; `None` refuses none. It is compared with the
    /// score of the outermost retriever. For embeddings that is cosine similarity (in the paper's
    /// experiments, all references were above 0.26). If the retriever re-ranks or fuses, put a
    /// [`Threshold`](crate::retriever::Threshold) around the inner retriever instead.
    pub threshold: Option<f32>,
    /// By how much a reference must be closer to its caption than the draft, as a difference of
    /// cosine similarities in [-2, 2], as the
    /// [`margin_embedder`](super::RagPipelineBuilder::margin_embedder) sees them. Other references
    /// show hardly more of the concept than what the generator can draw already. Without a draft
    /// ([`Mode::AllConcepts`]) none is refused. `None` does not compare references with the draft.
    pub margin: Option<f32>,
    /// Whether a reference is used if the verifier says neither yes nor no.
    pub unclear: Unclear,
}

impl Default for RagConfig {
    fn default() -> Self {
        Self {
            mode: Mode::OnDemand,
            query: Query::Caption,
            fallback: Fallback::RetrieveByPrompt,
            max_rounds: 1,
            judge_last: None,
            max_edits: 5,
            judge_each_edit: true,
            max_concepts: None,
            references_per_caption: 1,
            candidates: 8,
            threshold: None,
            margin: None,
            unclear: Unclear::Refuse,
        }
    }
}

impl RagConfig {
    /// What happens with the draft, and when references are looked for; [`Mode::OnDemand`] by default.
    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// What images are retrieved by; [`Query::Caption`] by default.
    #[must_use]
    pub const fn with_query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// What happens when the critic cannot say what is missing; [`Fallback::RetrieveByPrompt`] by
    /// default.
    #[must_use]
    pub const fn with_fallback(mut self, fallback: Fallback) -> Self {
        self.fallback = fallback;
        self
    }

    /// The most rounds of retrieval and generation, or in [`Mode::PlanEdit`] of planning and editing,
    /// 1 to 100; 1 by default.
    #[must_use]
    pub const fn with_max_rounds(mut self, rounds: usize) -> Self {
        self.max_rounds = rounds;
        self
    }

    /// Whether the critic also judges the image of the last round; by default if there are several
    /// rounds, and in [`Mode::PlanEdit`].
    #[must_use]
    pub const fn with_judge_last(mut self, judge: bool) -> Self {
        self.judge_last = Some(judge);
        self
    }

    /// The most edits of one request in [`Mode::PlanEdit`], 1 to 100; 5 by default.
    #[must_use]
    pub const fn with_max_edits(mut self, edits: usize) -> Self {
        self.max_edits = edits;
        self
    }

    /// Whether the critic judges the image of every edit in [`Mode::PlanEdit`], and not only that of the
    /// last edit of a plan; it does by default.
    #[must_use]
    pub const fn with_judge_each_edit(mut self, judge: bool) -> Self {
        self.judge_each_edit = judge;
        self
    }

    /// The most concepts per round, at least 1; by default as many as the conditioner has capacity
    /// for.
    #[must_use]
    pub const fn with_max_concepts(mut self, concepts: usize) -> Self {
        self.max_concepts = Some(concepts);
        self
    }

    /// References taken for each caption, at least 1; 1 by default.
    #[must_use]
    pub const fn with_references_per_caption(mut self, references: usize) -> Self {
        self.references_per_caption = references;
        self
    }

    /// How many references are retrieved for each caption, at least `references_per_caption`; 8 by
    /// default.
    #[must_use]
    pub const fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// The lowest score of a reference that is used, in the retriever's unit; none by default.
    #[must_use]
    pub const fn with_threshold(mut self, score: f32) -> Self {
        self.threshold = Some(score);
        self
    }

    /// By how much a reference must be closer to its caption than the draft, in [-2, 2]; they are not
    /// compared by default. The pipeline needs a
    /// [`margin_embedder`](super::RagPipelineBuilder::margin_embedder) for it.
    #[must_use]
    pub const fn with_margin(mut self, margin: f32) -> Self {
        self.margin = Some(margin);
        self
    }

    /// Whether a reference is used if the verifier says neither yes nor no; [`Unclear::Refuse`] by
    /// default.
    #[must_use]
    pub const fn with_unclear(mut self, unclear: Unclear) -> Self {
        self.unclear = unclear;
        self
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names the field.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("max_rounds", self.max_rounds, 1, MAX_ROUNDS),
            ("max_edits", self.max_edits, 1, MAX_EDITS),
            ("max_concepts", self.max_concepts.unwrap_or(1), 1, usize::MAX),
            ("references_per_caption", self.references_per_caption, 1, usize::MAX),
            ("candidates", self.candidates, self.references_per_caption, usize::MAX),
        ];
        for (what, value, least, most) in counts {
            let expected = match most {
                usize::MAX => format!("at least {least}"),
                most => format!("{least} to {most}"),
            };
            require((least..=most).contains(&value), what, expected, value)?;
        }
        let (threshold, margin) = (self.threshold.unwrap_or(0.0), self.margin.unwrap_or(0.0));
        require(threshold.is_finite(), "threshold", "a finite number", threshold)?;
        require((-2.0..=2.0).contains(&margin), "margin", "-2 to 2", margin)
    }

    /// Whether the image of the last round is judged.
    pub(crate) fn judges_last(&self) -> bool {
        self.judge_last.unwrap_or(self.max_rounds > 1 || self.mode == Mode::PlanEdit)
    }

    /// Whether a critic is ever asked.
    pub(crate) fn needs_critic(&self) -> bool {
        match self.mode {
            Mode::OnDemand | Mode::EditDraft => true,
            // Retrieval by the prompt without a draft is RAG without a VLM.
            Mode::AllConcepts => self.query != Query::Prompt || self.judges_last(),
            // A VLM is there, from which a critic is made.
            Mode::RephraseOnly | Mode::PlanEdit => false,
        }
    }
}

/// Whether a reference is used if the verifier says neither yes nor no, or refuses to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Unclear {
    /// It is not used.
    #[default]
    Refuse,
    /// It is used, as it would be without a verifier.
    Use,
}

/// What happens when the critic cannot say what is missing (appendix D). [`Mode::RephraseOnly`] and
/// [`Mode::PlanEdit`] look for nothing, so that it does not concern them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Fallback {
    /// References are retrieved by the prompt itself: the paper's choice.
    #[default]
    RetrieveByPrompt,
    /// The loop stops with the best image so far.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_papers() {
        let config = RagConfig::default();
        assert!(config.validate().is_ok());
        assert_eq!((config.max_rounds, config.references_per_caption), (1, 1));
        assert_eq!((config.threshold, config.judges_last()), (None, false));
    }

    #[test]
    fn every_number_out_of_range_is_named() {
        type Change = fn(&mut RagConfig);
        let wrong: [(&str, Change); 10] = [
            ("max_edits", |config| config.max_edits = 0),
            ("max_edits", |config| config.max_edits = 101),
            ("max_rounds", |config| config.max_rounds = 0),
            ("max_rounds", |config| config.max_rounds = 101),
            ("max_concepts", |config| config.max_concepts = Some(0)),
            ("references_per_caption", |config| config.references_per_caption = 0),
            ("candidates", |config| config.candidates = 0),
            ("threshold", |config| config.threshold = Some(f32::NAN)),
            ("margin", |config| config.margin = Some(f32::NAN)),
            ("margin", |config| config.margin = Some(2.1)),
        ];
        for (field, change) in wrong {
            let mut config = RagConfig::default();
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_file_may_hold_only_what_differs_and_nothing_else() {
        let config: RagConfig = serde_json::from_str(r#"{"max_rounds": 3}"#).unwrap();
        assert_eq!(config, RagConfig::default().with_max_rounds(3));
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<RagConfig>(&json).unwrap(), config);
        let error = serde_json::from_str::<RagConfig>(r#"{"max_round": 3}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `max_round`"), "{error}");
    }
}
