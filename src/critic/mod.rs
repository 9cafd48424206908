//! [`Critic`]: says what an image lacks of its prompt (section 3.1 of the paper).
//!
//! [`GuidedCot`] is the paper's: it asks a VLM up to three questions. [`ZeroShotCritic`] does
//! without a VLM where the concepts are known beforehand.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::critic::{Critic, Critique, CritiqueRequest, GuidedCot, Query, Verdict};
//! use imagerag::testing::{FakeVlm, solid};
//!
//! let replies = ["no", "a quetzal", "a quetzal on a mossy branch", "no", "a quetzal"];
//! let critic = GuidedCot::new(FakeVlm::new(replies)).with_temperatures([0.0, 0.7])?;
//!
//! let draft = solid(8, 8, [90, 60, 20]);
//! let mut request = CritiqueRequest::new("a quetzal at dawn", Some(draft));
//! let Critique { verdict, .. } = block_on(critic.critique(&request))?;
//! let Verdict::Missing(captions) = verdict else { panic!("{verdict}") };
//! assert_eq!(captions[0].concept, "a quetzal");
//! assert_eq!(captions[0].text, "a quetzal on a mossy branch");
//! // The decision, the missing concepts, the captions.
//! assert_eq!(request.log.take().len(), 3);
//!
//! // Where names are enough to search by, the third question is not asked.
//! request.query = Query::Concept;
//! let critique = block_on(critic.critique(&request))?;
//! assert_eq!(critique.to_string(), "missing: a quetzal");
//! assert_eq!(request.log.take().len(), 2);
//! # Ok::<(), imagerag::Error>(())
//! ```

mod guided_cot;
mod zero_shot;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::Result;
use crate::forward::forward_part;
use crate::image::Image;
use crate::reference::Caption;
use crate::vlm::ExchangeLog;

pub use guided_cot::GuidedCot;
pub(crate) use guided_cot::TEMPERATURES;
pub use zero_shot::ZeroShotCritic;

/// Says whether an image shows what a prompt asks for and, where it does not, what to look for.
///
/// One of your own, with the suite that checks it:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::critic::{Critic, Critique, CritiqueRequest, Verdict};
/// use imagerag::reference::Caption;
/// use imagerag::testing::{FakeVlm, conformance, solid};
/// use imagerag::vlm::{ChatRequest, Message};
/// use imagerag::{Result, Vlm, async_trait};
///
/// /// Asks a model for a number of stars.
/// #[derive(Debug)]
/// struct Stars<V>(V); // It has a `Display` too, by which traces and errors call it.
/// # impl<V: Vlm> std::fmt::Display for Stars<V> {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         write!(f, "Stars({})", self.0)
/// #     }
/// # }
///
/// #[async_trait]
/// impl<V: Vlm> Critic for Stars<V> {
///     async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
///         let missing = Verdict::Missing(vec![Caption::concept(&request.prompt)]);
///         let Some(image) = &request.image else { return Ok(missing.into()) };
///         let question = format!("How well, from 1 to 5, does this show {}?", request.prompt);
///         let question = Message::user(question).with_images([image.clone()]);
///         // The trace has the question and the answer, because they go through the log.
///         let asked = ChatRequest::new(vec![question]);
///         let reply = request.log.ask(&self.0, "stars", &asked).await?;
///         Ok(match reply.text.trim().parse() {
///             Ok(4..=5) => Verdict::Match.into(),
///             Ok(1..=3) => missing.into(),
///             _ => Verdict::Undetermined.into(),
///         })
///     }
/// }
///
/// let critic = Stars(FakeVlm::new(["2"; 6]));
/// futures::executor::block_on(conformance::critic(&critic, "a cat", &solid(8, 8, [0; 3])));
/// ```
///
/// # Contract
/// - If `request.image` is `None`, the critic names the concepts of the prompt that a generator
///   would have to know. The verdict is then never [`Verdict::Match`].
/// - [`Verdict::Missing`] holds 1 to `request.max_concepts` captions, the most important first,
///   none of them blank.
/// - If the critic cannot judge, for example because the replies of its model make no sense, the
///   verdict is [`Verdict::Undetermined`]. An error means that the critic itself failed.
/// - A model is asked through [`request.log`](ExchangeLog::ask), so that the trace has all
///   exchanges, even if a later question fails, or this one. Exchanges with a model that is no
///   [`Vlm`](crate::Vlm) are [recorded](ExchangeLog::record) there.
///
/// The suite `testing::conformance::critic` sends every [`Query`], with an image and without,
/// for one concept and for three, and with up to two images of the caller's own, of 64 x 64 pixels.
#[async_trait]
pub trait Critic: Display + Debug + Send + Sync + 'static {
    /// Judges one image.
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique>;
}

/// What to judge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CritiqueRequest {
    /// What the image should show.
    pub prompt: String,
    /// The image to judge; `None` asks which concepts the prompt needs.
    pub image: Option<Image>,
    /// The caller's own images that the prompt is about (personalisation).
    pub references: Vec<Image>,
    /// How many concepts to name, at least 1.
    pub max_concepts: usize,
    /// What the captions should hold.
    pub query: Query,
    /// Records every exchange with a model.
    pub log: ExchangeLog,
}

impl CritiqueRequest {
    /// Asks what `image` is missing: one concept, with a caption.
    pub fn new(prompt: impl Into<String>, image: Option<Image>) -> Self {
        Self {
            prompt: prompt.into(),
            image,
            references: Vec::new(),
            max_concepts: 1,
            query: Query::Caption,
            log: ExchangeLog::default(),
        }
    }
}

/// The text that images are retrieved by (the paper's ablation, table 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Query {
    /// The prompt itself.
    Prompt,
    /// The names of the missing concepts.
    Concept,
    /// A detailed caption for each missing concept: the paper's choice.
    #[default]
    Caption,
}

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Critique {
    /// The judgement itself.
    pub verdict: Verdict,
    /// Why, in words, if the critic can say.
    pub reason: Option<String>,
}

impl From<Verdict> for Critique {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, reason: None }
    }
}

/// Whether an image shows what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Verdict {
    /// It does.
    Match,
    /// It does not: these concepts are missing. Critics name at least one. In the record of a trace
    /// there is none where the critic was only asked whether the image matches ([`Query::Prompt`]).
    Missing(Vec<Caption>),
    /// The critic cannot tell, or cannot say what is missing.
    Undetermined,
}

impl Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Match => f.write_str("it matches the prompt"),
            Self::Missing(captions) if captions.is_empty() => {
                f.write_str("it does not match the prompt")
            }
            Self::Missing(captions) => {
                let concepts: Vec<_> = captions.iter().map(|one| one.concept.as_str()).collect();
                write!(f, "missing: {}", concepts.join(", "))
            }
            Self::Undetermined => f.write_str("it cannot be told what is missing"),
        }
    }
}

impl Display for Critique {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Display::fmt(&self.verdict, f)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

forward_part!(Critic {
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
        (**self).critique(request).await
    }
});
