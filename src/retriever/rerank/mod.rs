//! [`Rerank`]: puts the best candidates of a retriever into the order of a second, slower and more
//! exact judgement (section 3.1, table 4).

mod bm25;
mod by_vlm;
mod caption_writer;
mod mmr;
mod remembered;

use std::fmt::{self, Debug, Display};

use async_trait::async_trait;

use super::{RetrieveRequest, Retriever, one_list_each};
use crate::error::at_least_one;
use crate::forward::{check_count, forward_part};
use crate::reference::{Caption, Finding, Reference};
use crate::vlm::ExchangeLog;
use crate::{Error, Result};

pub use bm25::{Bm25, Idf};
pub use by_vlm::VlmReranker;
pub use caption_writer::CaptionWriter;
pub use mmr::Mmr;

/// Judges candidates that a retriever has found.
///
/// One of your own:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::reference::Caption;
/// use imagerag::retriever::{Ranking, Rerank, RerankRequest, Reranker, RetrieveRequest, Retriever};
/// use imagerag::testing::{FakeRetriever, solid};
/// use imagerag::{Result, async_trait};
///
/// /// Prefers large pictures.
/// #[derive(Debug)]
/// struct Largest; // It has a `Display` too, by which traces and errors call it.
/// # impl std::fmt::Display for Largest {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("Largest")
/// #     }
/// # }
///
/// #[async_trait]
/// impl Reranker for Largest {
///     async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
///         let mut rankings = Vec::new();
///         for list in &request.lists {
///             let mut ranking = Ranking::default();
///             for candidate in list {
///                 let image = candidate.image().await?; // Decoded, because the order needs it.
///                 ranking.scores.push((image.width() * image.height()) as f32);
///             }
///             rankings.push(ranking);
///         }
///         Ok(rankings)
///     }
/// }
///
/// let shelf = [("a small bird", solid(8, 8, [0; 3])), ("a big bird", solid(64, 64, [0; 3]))];
/// let retriever = Rerank::new(FakeRetriever::new(shelf), Largest, 2)?;
/// let request = RetrieveRequest::new([Caption::concept("a small bird")], 1);
/// let found = futures::executor::block_on(retriever.retrieve(&request))?;
/// assert_eq!(found[0][0].provenance.source.to_string(), "a big bird");
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Contract
/// - `request.lists[i]` has the candidates for `request.captions[i]`, the retriever's best first.
///   It may be empty.
/// - One [`Ranking`] per list, in the order of the lists, with one score per candidate, in the
///   order of the candidates.
/// - Scores are finite; higher is better. Candidates with equal scores stay in their order.
/// - The same call gives the same rankings.
/// - A model is asked through [`request.log`](ExchangeLog::ask), even if the question fails.
///
/// The suite `testing::conformance::reranker` sends the lists that it is given with an empty one
/// behind them, also in reverse order; and no list at all.
#[async_trait]
pub trait Reranker: Display + Debug + Send + Sync + 'static {
    /// Scores every candidate of every list.
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>>;
}

/// What to judge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RerankRequest {
    /// What was looked for.
    pub captions: Vec<Caption>,
    /// The candidates of each caption.
    pub lists: Vec<Vec<Reference>>,
    /// Records every exchange with a model.
    pub log: ExchangeLog,
}

impl RerankRequest {
    /// Asks for the order of the candidates in `lists`, one list per caption.
    pub fn new(captions: impl Into<Vec<Caption>>, lists: Vec<Vec<Reference>>) -> Self {
        Self { captions: captions.into(), lists, log: ExchangeLog::default() }
    }

    /// Records exchanges in `log`.
    #[must_use]
    pub fn with_log(mut self, log: ExchangeLog) -> Self {
        self.log = log;
        self
    }

    /// Each caption with its candidates.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Caption, &Vec<Reference>)> {
        self.captions.iter().zip(&self.lists)
    }
}

/// What a [`Reranker`] says of the candidates of one caption.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// One score per candidate; higher is better.
    pub scores: Vec<f32>,
    /// A note for the trace, such as the reply of a model.
    pub note: Option<String>,
}

forward_part!(Reranker {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        (**self).rank(request).await
    }
});

/// A retriever around another retriever: takes its best candidates and puts them into the order of
/// a [`Reranker`].
///
/// The score of a reference is then the re-ranker's. The score before is in
/// [`Provenance::found_by`](crate::reference::Provenance::found_by); for a threshold on it, put a
/// [`Threshold`](super::Threshold) around the inner retriever.
///
/// It never returns more than its candidates. Give it more candidates than the pipeline uses, if
/// the pipeline runs several rounds, refuses poor references or has them verified.
///
/// The rows of the paper's table 4, on fakes:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use std::sync::Arc;
/// use futures::executor::block_on;
/// use imagerag::reference::Caption;
/// use imagerag::retriever::{Bm25, CaptionWriter, Fuse, Rerank, VlmReranker};
/// use imagerag::retriever::{RetrieveRequest, Retriever};
/// use imagerag::testing::{FakeRetriever, FakeVlm, solid};
///
/// // CLIP and SigLIP: an `EmbeddingRetriever` over either embedder.
/// let shelf = ["a photo of a quetzal", "a quetzal on a branch", "a green parrot"]
///     .map(|label| (label, solid(8, 8, [0, 140, 70])));
/// let clip: Arc<dyn Retriever> = Arc::new(FakeRetriever::new(shelf.clone()));
/// let siglip: Arc<dyn Retriever> = Arc::new(FakeRetriever::new(shelf));
/// // The top 3 of each are the candidates of the other two rows.
/// let both = Arc::new(Fuse::by_rank([clip, siglip], 3)?);
///
/// // BM25 re-rank, over captions that a VLM writes.
/// let writer = CaptionWriter::new(FakeVlm::new(["a quetzal", "a branch", "a parrot"]));
/// let bm25 = Rerank::new(Arc::clone(&both), Bm25::new().with_writer(writer), 6)?;
///
/// // GPT re-rank: a VLM looks at the candidates.
/// let gpt = Rerank::new(both, VlmReranker::new(FakeVlm::new(["1,0,2"])), 6)?;
///
/// let request = RetrieveRequest::new([Caption::concept("a quetzal on a branch")], 1);
/// for retriever in [&bm25 as &dyn Retriever, &gpt] {
///     assert!(!block_on(retriever.retrieve(&request))?[0].is_empty());
/// }
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rerank<R, K> {
    inner: R,
    reranker: K,
    candidates: usize,
}

impl<R: Retriever, K: Reranker> Rerank<R, K> {
    /// Has `reranker` order the best `candidates` of `inner`, at least 1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `candidates` is 0.
    pub fn new(inner: R, reranker: K, candidates: usize) -> Result<Self> {
        at_least_one("candidates to re-rank", candidates)?;
        Ok(Self { inner, reranker, candidates })
    }

    /// `candidates` in the order of `ranking`, the best `limit` of them.
    fn reorder(
        &self,
        candidates: Vec<Reference>,
        ranking: Ranking,
        limit: usize,
    ) -> Result<Vec<Reference>> {
        let (scores, note) = (ranking.scores, ranking.note);
        if scores.len() != candidates.len() || !scores.iter().all(|score| score.is_finite()) {
            let problem = format!("expected {} finite scores, found {scores:?}", candidates.len());
            return Err(Error::backend(self.reranker.to_string(), problem));
        }
        // −0 and 0 are equal scores: adding 0 makes them one.
        let scores = scores.into_iter().map(|score| score + 0.0);
        let mut ranked: Vec<(f32, Reference)> = scores.zip(candidates).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0)); // Stable: ties stay in the order inside.
        ranked.truncate(limit);
        let name = self.to_string();
        let place = |(rank, (score, mut reference)): (usize, (f32, Reference))| {
            let provenance = &mut reference.provenance;
            provenance.found_by.push(Finding::of(provenance));
            provenance.place(&name, score, rank);
            provenance.add_note(note.as_deref());
            reference
        };
        Ok(ranked.into_iter().enumerate().map(place).collect())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Retriever, K: Reranker> Retriever for Rerank<R, K> {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let captions = &request.captions;
        if captions.is_empty() || request.limit == 0 {
            return Ok(vec![Vec::new(); captions.len()]);
        }
        // Always the same candidates: a smaller limit must give the best of them.
        let found = self.inner.retrieve(&request.clone().with_limit(self.candidates)).await?;
        let mut found = one_list_each(&self.inner, captions, found)?;
        found.iter_mut().for_each(|list| list.truncate(self.candidates));
        let judged = RerankRequest::new(captions.as_slice(), found).with_log(request.log.clone());
        let rankings = self.reranker.rank(&judged).await?;
        check_count(&self.reranker, "rankings", judged.lists.len(), rankings.len())?;
        let lists = judged.lists.into_iter().zip(rankings);
        lists.map(|(list, ranking)| self.reorder(list, ranking, request.limit)).collect()
    }
}

impl<R: Retriever, K: Reranker> fmt::Display for Rerank<R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rerank(")?;
        fmt::Display::fmt(&self.inner, f)?; // `{:#}` is for the parts inside too.
        f.write_str(", ")?;
        fmt::Display::fmt(&self.reranker, f)?;
        if f.alternate() {
            write!(f, ", {} candidates", self.candidates)?;
        }
        f.write_str(")")
    }
}
