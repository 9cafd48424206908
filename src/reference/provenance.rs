//! [`Provenance`]: where a retrieved image comes from, who found it and how well it fits.

use std::fmt;

use crate::reference::Metadata;

/// Where a reference comes from, under which license, and how well it fits.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Provenance {
    /// The file, address or person the image comes from. Equal sources are the same image.
    pub source: Source,
    /// What is known of the image: license, author, the caption that is stored with it, ….
    #[cfg_attr(feature = "serde", serde(default))]
    pub metadata: Metadata,
    /// The retriever that found it, by its `Display`.
    pub retriever: String,
    /// How well it fits the caption, in the unit of `retriever`; higher is closer. For embeddings
    /// the cosine similarity, in [-1, 1].
    pub score: f32,
    /// Place among the images found for the caption; 0 is the best.
    pub rank: usize,
    /// The scores and ranks that the inner retrievers gave, if `retriever` wraps others; innermost
    /// first. For `Rerank` around an `EmbeddingRetriever`, this has the cosine similarity.
    #[cfg_attr(feature = "serde", serde(default))]
    pub found_by: Vec<Finding>,
    /// Anything else about how it was found, such as the reply of a VLM that re-ranked.
    #[cfg_attr(feature = "serde", serde(default))]
    pub note: Option<String>,
}

/// The score and rank that one retriever gave an image.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::reference::{Caption, Finding};
/// use imagerag::retriever::{Bm25, Rerank, RetrieveRequest, Retriever};
/// use imagerag::testing::{FakeRetriever, solid};
///
/// let shelf = FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]);
/// let retriever = Rerank::new(shelf, Bm25::new(), 6)?;
/// let request = RetrieveRequest::new([Caption::concept("a quetzal")], 1);
/// let found = block_on(retriever.retrieve(&request))?;
/// // The score is the re-ranker's; what the retriever gave is kept beside it.
/// let Finding { retriever, score, rank } = &found[0][0].provenance.found_by[0];
/// assert_eq!((retriever.as_str(), *score, *rank), ("FakeRetriever(1 images)", 1.0, 0));
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Finding {
    /// The retriever, by its `Display`.
    pub retriever: String,
    /// How well the image fits, in that retriever's unit; higher is closer.
    pub score: f32,
    /// Its place in that retriever's list; 0 is the best.
    pub rank: usize,
}

impl Provenance {
    /// An image from `source`, found by `retriever` at `rank` with `score`; nothing else is known.
    pub fn new(source: Source, retriever: impl ToString, score: f32, rank: usize) -> Self {
        let (retriever, metadata) = (retriever.to_string(), Metadata::default());
        Self { source, metadata, retriever, score, rank, found_by: Vec::new(), note: None }
    }

    /// The same with what is known of the image.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// What an outer `retriever` says of the image; what was said before is in the findings.
    pub(crate) fn place(&mut self, retriever: &str, score: f32, rank: usize) {
        (self.score, self.rank) = (score, rank);
        retriever.clone_into(&mut self.retriever);
    }

    /// Adds a note to those that are there.
    pub(crate) fn add_note(&mut self, note: Option<&str>) {
        match (&mut self.note, note) {
            (Some(known), Some(note)) => known.extend(["; ", note]),
            (known, note) => *known = known.take().or(note.map(str::to_owned)),
        }
    }
}

impl Finding {
    /// What `provenance` says now, for when an outer retriever gives it another score.
    pub(crate) fn of(provenance: &Provenance) -> Self {
        let Provenance { retriever, score, rank, .. } = provenance;
        Self { retriever: retriever.clone(), score: *score, rank: *rank }
    }
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Source {
    /// The caller gave it with the request: the `n`-th image, from 0.
    Caller(usize),
    /// It is the image that is to be edited, and no reference that was found.
    Draft,
    /// A file path, an address, or an identifier of the retriever's own.
    Uri(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(n) => write!(f, "caller's image {}", n + 1),
            Self::Draft => f.write_str("the draft"),
            Self::Uri(uri) => f.write_str(uri),
        }
    }
}
