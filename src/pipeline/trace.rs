//! [`RagTrace`]: the record of one request: what each stage returned and how long it took.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{Hit, RagConfig};
use crate::critic::Critique;
use crate::generator::{Drawn, GenerateRequest, Generator};
use crate::reference::Caption;
use crate::vlm::Exchange;
use crate::{Price, Usage};

/// Everything that happened while one request was worked on.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::pipeline::{Hit, RagConfig, Record, Refusal, StageTrace, TracedImage};
/// # use imagerag::conditioner::InPrompt;
/// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
///
/// # let labels = ["a quetzal on a branch", "a branch"];
/// # let pictures = labels.map(|label| (label, solid(8, 8, [0; 3])));
/// # let pipeline = imagerag::RagPipeline::builder()
/// #     .generator(FakeGenerator::new())
/// #     .vlm(FakeVlm::new(["no", "a quetzal", "a quetzal on a branch"]))
/// #     .retriever(FakeRetriever::new(pictures))
/// #     .conditioner(InPrompt::new(3)?)
/// #     .config(RagConfig::default().with_threshold(0.6))
/// #     .build()?;
/// let trace = block_on(pipeline.run("a quetzal at dawn"))?.trace;
/// for StageTrace { stage, round, record, .. } in &trace.stages {
///     match record {
///         Some(Record::Image(TracedImage { prompt, width, height, .. })) => {
///             println!("round {round}, {stage}: {width} x {height} pixels of {prompt}");
///         }
///         Some(record) => println!("round {round}, {stage}: {record}"),
///         None => println!("round {round}, {stage} failed"),
///     }
/// }
/// let far = |hit: &&Hit| matches!(hit.refused, Some(Refusal::BelowThreshold { .. }));
/// let refused: Vec<_> = trace.hits().filter(far).collect();
/// let told = "0.500 a branch (license unknown), not used: below the threshold of 0.6";
/// assert_eq!(refused[0].to_string(), told);
/// // What each part used, where its service says, and the words of every question and answer.
/// for (part, usage) in trace.usage_by_part() {
///     println!("{part}: {usage}");
/// }
/// assert_eq!(trace.exchanges().next().unwrap().reply.as_deref(), Some("no"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RagTrace {
    /// The caller's prompt.
    pub prompt: String,
    /// The seed of every image.
    pub seed: u64,
    /// The settings: those of the request, or else of the pipeline.
    pub config: RagConfig,
    /// The parts, by their `Display`: each names what it wraps.
    pub parts: Parts,
    /// Every stage that ran, in order.
    pub stages: Vec<StageTrace>,
    /// Why the loop stopped; `None` where an error ended it.
    pub stop: Option<StopReason>,
    /// The error that ended it.
    pub error: Option<String>,
    /// The time from the request to its end; seconds in JSON.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub elapsed: Duration,
}

/// The parts of a pipeline, by their `Display`.
///
/// ```
/// use imagerag::pipeline::{Parts, RagTrace};
///
/// /// Whether two requests had the same parts and settings, but for the verifier.
/// fn comparable(one: &RagTrace, other: &RagTrace) -> bool {
///     let who = |trace: &RagTrace| Parts { verifier: None, ..trace.parts.clone() };
///     who(one) == who(other) && one.config == other.config
/// }
/// assert!(comparable(&RagTrace::default(), &RagTrace::default()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Parts {
    /// What draws.
    pub generator: String,
    /// Who judges.
    pub critic: Option<String>,
    /// Where references come from.
    pub retriever: Option<String>,
    /// What prepares them.
    pub conditioner: Option<String>,
    /// What edits in place of the generator ([`Mode::PlanEdit`](super::Mode::PlanEdit)).
    pub editor: Option<String>,
    /// Who verifies them.
    pub verifier: Option<String>,
    /// What compares them with the draft.
    pub margin_embedder: Option<String>,
}

/// One stage that ran.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StageTrace {
    /// Which stage.
    pub stage: Stage,
    /// The round it belongs to; the draft is round 0.
    pub round: usize,
    /// How long it took; seconds in JSON.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub elapsed: Duration,
    /// What it returned; `None` if it failed. Of a retrieval that failed it holds the references that
    /// were judged before.
    pub record: Option<Record>,
    /// The exchanges with a VLM in this stage, even if it failed.
    pub exchanges: Vec<Exchange>,
}

/// A stage of the method, in the paper's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Stage {
    /// The request is checked.
    Validate,
    /// Prompt to draft.
    Draft,
    /// Draft to a clearer prompt (ablation).
    Rephrase,
    /// Image to what it is missing.
    Critique,
    /// Missing concepts to retrieval captions.
    Caption,
    /// Captions to references.
    Retrieve,
    /// References to a conditioned request.
    Condition,
    /// Conditioned request to image.
    Generate,
    /// Image to single edits that mend it (GraPE).
    Plan,
    /// Image and one edit to the edited image (GraPE).
    Edit,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validate => "validate",
            Self::Draft => "draft",
            Self::Rephrase => "rephrase",
            Self::Critique => "critique",
            Self::Caption => "caption",
            Self::Retrieve => "retrieve",
            Self::Condition => "condition",
            Self::Generate => "generate",
            Self::Plan => "plan",
            Self::Edit => "edit",
        })
    }
}

/// What one stage returned.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Record {
    /// An image was drawn: as draft, with references, or as an edit of the one before.
    Image(TracedImage),
    /// The caller's image serves as draft.
    OwnDraft {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// The prompt was rephrased to this.
    Rephrased(String),
    /// An image was judged.
    Critique(Critique),
    /// What will be looked for.
    Captions {
        /// The retrieval captions.
        captions: Vec<Caption>,
        /// Whether the prompt is used because the critic could not say what is missing.
        fallback: bool,
    },
    /// Every reference that was considered, and whether it was used.
    Hits(Vec<Hit>),
    /// The prompt with the captions of its references.
    Conditioned {
        /// The prompt to generate with.
        prompt: String,
        /// The images, in order: the caller's own, the draft where it is edited, and what was
        /// retrieved.
        references: Vec<Hit>,
    },
    /// Edits were planned.
    Plan {
        /// The edits in the order of the VLM, each once. Empty where it sees nothing to edit; `None`
        /// where it declined, or no reply made sense.
        edits: Option<Vec<String>>,
    },
}

/// How an image was drawn.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TracedImage {
    /// The prompt of the generator, after the template was applied.
    pub prompt: String,
    /// The negative prompt.
    pub negative_prompt: Option<String>,
    /// Seed of the starting noise.
    pub seed: u64,
    /// The conditioning that was made of the references, such as `tokens of …`.
    pub conditioning: String,
    /// Denoising steps; `None` leaves them to the generator.
    pub steps: Option<usize>,
    /// Strength of the prompt; `None` leaves it to the generator.
    pub guidance_scale: Option<f64>,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// What a paid service charges for.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub usage: Option<Usage>,
    /// What the generator made of the request, in words, such as what of the prompt it did not read.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub note: Option<String>,
    /// Warnings about settings that are probably a mistake.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub warnings: Vec<String>,
}

impl TracedImage {
    pub(crate) fn new(
        generator: &(impl Generator + ?Sized),
        request: &GenerateRequest,
        drawn: &Drawn,
    ) -> Self {
        let image = &drawn.image;
        let mut warnings = request.conditioning.warnings(image.width(), image.height());
        if !generator.repeats() {
            let seed = request.seed;
            warnings.push(format!("{generator} does not repeat images: seed {seed} gives others"));
        }
        Self {
            prompt: request.prompt.clone(),
            negative_prompt: request.negative_prompt.clone(),
            seed: request.seed,
            conditioning: request.conditioning.kind().to_string(),
            steps: request.steps,
            guidance_scale: request.guidance_scale,
            width: image.width(),
            height: image.height(),
            usage: drawn.usage,
            note: drawn.note.clone(),
            warnings,
        }
    }
}

/// Why the loop stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StopReason {
    /// The critic is satisfied with the image of this round; round 0 is the draft.
    Matched {
        /// The round.
        round: usize,
    },
    /// Every round that was allowed is done.
    RoundLimit,
    /// Nothing was found, or every reference was refused.
    NoUsefulReference,
    /// The caller's own references use up the conditioner's capacity: nothing can be added. The image is
    /// the draft, which was not judged.
    NoRoom,
    /// The critic could not say what is missing, and [`Fallback::Stop`](super::Fallback::Stop)
    /// is set.
    Undetermined,
    /// The prompt was rephrased and drawn.
    Rephrased,
    /// The VLM sees nothing in the last image to edit.
    NoEditsNeeded,
    /// The VLM plans only edits that were made before.
    EditsRepeated,
    /// As many edits were made as [`RagConfig::max_edits`] allows.
    EditLimit,
    /// The VLM declined to plan edits, or none of its replies made sense.
    NoPlan,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched { round: 0 } => f.write_str("the draft matches the prompt"),
            Self::Matched { round } => write!(f, "the image of round {round} matches the prompt"),
            Self::RoundLimit => f.write_str("every round is done"),
            Self::NoUsefulReference => f.write_str("no useful reference was found"),
            Self::NoRoom => f.write_str("the caller's references take every place"),
            Self::Undetermined => f.write_str("the critic cannot say what is missing"),
            Self::Rephrased => f.write_str("the prompt was rephrased"),
            Self::NoEditsNeeded => f.write_str("nothing is left to edit"),
            Self::EditsRepeated => f.write_str("every planned edit was made before"),
            Self::EditLimit => f.write_str("every edit that is allowed was made"),
            Self::NoPlan => f.write_str("the vision-language model cannot say what to edit"),
        }
    }
}

impl RagTrace {
    /// Every exchange with a VLM, in order.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.stages.iter().flat_map(|stage| &stage.exchanges)
    }

    /// Every reference that was considered, in order.
    pub fn hits(&self) -> impl Iterator<Item = &Hit> {
        self.stages.iter().flat_map(|stage| match &stage.record {
            Some(Record::Hits(hits)) => hits.as_slice(),
            _ => &[],
        })
    }

    /// What every part used, by its `Display`, where its service says.
    pub fn usage_by_part(&self) -> BTreeMap<&str, Usage> {
        let asked = self.exchanges().filter_map(|asked| Some((asked.model.as_str(), asked.usage?)));
        let drawn = self.stages.iter().filter_map(|stage| match &stage.record {
            Some(Record::Image(image)) => {
                let editor = self.parts.editor.as_ref().filter(|_| stage.stage == Stage::Edit);
                Some((editor.unwrap_or(&self.parts.generator).as_str(), image.usage?))
            }
            _ => None,
        });
        let mut parts: BTreeMap<&str, Usage> = BTreeMap::new();
        for (part, usage) in asked.chain(drawn) {
            *parts.entry(part).or_default() += usage;
        }
        parts
    }

    /// What the whole request used, where the services say.
    pub fn usage(&self) -> Usage {
        self.usage_by_part().values().sum()
    }

    /// What the request cost, in the currency of `price`, which gives the price of a part by its
    /// `Display`.
    ///
    /// ```
    /// use imagerag::{Price, pipeline::RagTrace};
    ///
    /// # let trace = RagTrace::default();
    /// let cost = trace.cost(|part| match part {
    ///     "gpt-4o-2024-08-06" => Price { per_million_prompt_tokens: 2.5, ..Price::default() },
    ///     _ => Price::default(),
    /// });
    /// assert_eq!(cost, 0.0); // Nothing has run yet.
    /// ```
    pub fn cost(&self, price: impl Fn(&str) -> Price) -> f64 {
        self.usage_by_part().into_iter().map(|(part, usage)| usage.cost(&price(part))).sum()
    }

    /// The trace as JSON.
    #[cfg(feature = "serde")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
    }
}
