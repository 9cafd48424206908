//! [`Threshold`]: leaves out references with a low score.

use std::fmt;

use async_trait::async_trait;

use super::{RetrieveRequest, Retriever};
use crate::reference::Reference;
use crate::{Error, Result};

/// A retriever whose references all have at least a given score.
///
/// Use it inside a [`Rerank`](super::Rerank) or a [`Fuse`](super::Fuse), which give other scores,
/// for a threshold on the scores of the inner retriever. The trace does not show what it leaves
/// out. [`RagConfig::threshold`](crate::pipeline::RagConfig::threshold) compares the scores of the
/// outermost retriever, and the trace shows its refusals.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::reference::Caption;
/// use imagerag::retriever::{Bm25, Rerank, RetrieveRequest, Retriever, Threshold};
/// use imagerag::testing::{FakeRetriever, solid};
///
/// let shelf = ["a quetzal", "a green parrot"].map(|label| (label, solid(8, 8, [0, 140, 70])));
/// // The re-ranker sees only what is close enough.
/// let close = Threshold::new(FakeRetriever::new(shelf), 0.5)?;
/// let retriever = Rerank::new(close, Bm25::new(), 6)?;
/// let request = RetrieveRequest::new([Caption::concept("a quetzal")], 6);
/// assert_eq!(block_on(retriever.retrieve(&request))?[0].len(), 1);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Threshold<R> {
    inner: R,
    score: f32,
}

impl<R: Retriever> Threshold<R> {
    /// The references of `inner` whose score is at least `score`. NaN is below every threshold.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `score` is not finite.
    pub fn new(inner: R, score: f32) -> Result<Self> {
        if !score.is_finite() {
            return Err(Error::invalid_input("threshold", "a finite number", score));
        }
        Ok(Self { inner, score })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Retriever> Retriever for Threshold<R> {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let mut found = self.inner.retrieve(request).await?;
        for list in &mut found {
            list.retain(|reference| reference.provenance.score >= self.score);
        }
        Ok(found)
    }
}

impl<R: Retriever> fmt::Display for Threshold<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Threshold(")?;
        fmt::Display::fmt(&self.inner, f)?; // `{:#}` is for the part inside too.
        write!(f, ", {})", self.score)
    }
}
