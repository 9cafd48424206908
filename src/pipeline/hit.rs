//! [`Hit`]: a retrieved reference that was used, or refused for a reason.

use std::fmt;

use crate::image::Image;
use crate::reference::{Caption, Provenance, Reference};

/// How many times longer than the other a side of a picture may be that a generator is shown, see
/// [`Refusal::AspectRatio`].
const MAX_ASPECT_RATIO: u32 = 64;

/// A retrieved reference, and whether it was used.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hit {
    /// The caption that it was found for.
    pub caption: Caption,
    /// Where it comes from, its license and score.
    pub provenance: Provenance,
    /// Why it is not used; `None` where it is.
    pub refused: Option<Refusal>,
}

impl Hit {
    pub(crate) fn new(reference: &Reference, refused: Option<Refusal>) -> Self {
        Self {
            caption: reference.caption.clone(),
            provenance: reference.provenance.clone(),
            refused,
        }
    }
}

/// Why a reference is not used.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Refusal {
    /// Its score is below the threshold.
    BelowThreshold {
        /// The lowest score that is used.
        threshold: f32,
    },
    /// Its score is NaN.
    NoScore,
    /// The same image, by its source or by equal pixels, already serves another caption, or the
    /// caller gave it.
    Duplicate,
    /// It was used in an earlier round, and did not help.
    AlreadyTried,
    /// Its caption has as many references as
    /// [`RagConfig::references_per_caption`](super::RagConfig::references_per_caption) allows. There
    /// may be room for references of other captions.
    Surplus,
    /// References that came first use up the conditioner's capacity.
    NoRoom,
    /// It is not closer to its caption than the draft by the margin. The numbers are cosine
    /// similarities, in [-1, 1].
    KnownAlready {
        /// Similarity of the caption and the reference.
        reference: f32,
        /// Similarity of the caption and the draft.
        draft: f32,
        /// The margin that the difference does not reach.
        margin: f32,
    },
    /// Its picture cannot be read or fetched, and
    /// [`Picture::skipping_unreadable`](crate::reference::Picture::skipping_unreadable) says to take
    /// the next. After the first, up to 4 pictures are fetched side by side.
    Unreadable {
        /// What went wrong.
        problem: String,
    },
    /// Its picture cannot be read either, and it is the last one that is tried: after 64 such
    /// pictures of one caption the pipeline looks no further.
    TooManyUnreadable {
        /// How many pictures of the caption could not be read.
        count: usize,
        /// What went wrong with the last.
        problem: String,
    },
    /// Its longer side has more than 64 times the pixels of its shorter one. References are refused for
    /// this where the conditioner produces [images](crate::conditioner::ConditioningKind::Images), because
    /// a generator may fail on them; other conditioners cut a part out.
    ///
    /// The bound is OmniGen's: by default it makes the longer side of a reference at most 1,024 pixels
    /// long, and it needs 16 pixels of the shorter side. Thinner pictures go beyond the first of these,
    /// and much thinner ones are errors.
    AspectRatio {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// The verifier does not see the concept in it.
    NotShown {
        /// What the verifier said.
        answer: String,
    },
    /// The verifier says neither yes nor no, and [`Unclear::Refuse`](super::Unclear::Refuse) is
    /// set.
    Unverified {
        /// What the verifier said.
        answer: String,
    },
}

impl Refusal {
    /// Refuses an `image` that is too thin to be shown to a generator.
    pub(super) fn of_aspect_ratio(image: &Image) -> Option<Self> {
        let (width, height) = (image.width(), image.height());
        let is_thin = width.max(height) > width.min(height).saturating_mul(MAX_ASPECT_RATIO);
        is_thin.then_some(Self::AspectRatio { width, height })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowThreshold { threshold } => write!(f, "below the threshold of {threshold}"),
            Self::NoScore => f.write_str("its score is no number"),
            Self::Duplicate => f.write_str("already used for another caption"),
            Self::AlreadyTried => f.write_str("already tried in an earlier round"),
            Self::Surplus => f.write_str("its caption has enough references"),
            Self::NoRoom => f.write_str("the conditioner has no room left"),
            Self::KnownAlready { reference, draft, margin } => write!(
                f,
                "{reference:.3} is not {margin} closer to the caption than the draft with {draft:.3}"
            ),
            Self::Unreadable { problem } => write!(f, "it cannot be read: {problem}"),
            Self::TooManyUnreadable { count, problem } => write!(
                f,
                "it cannot be read: {problem}; no more are tried after {count} such pictures"
            ),
            Self::AspectRatio { width, height } => write!(
                f,
                "{width}x{height} pixels: one side is more than {MAX_ASPECT_RATIO} times the other"
            ),
            Self::NotShown { answer } => write!(f, "the verifier does not see it: {answer}"),
            Self::Unverified { answer } => write!(f, "the verifier cannot tell: {answer}"),
        }
    }
}
