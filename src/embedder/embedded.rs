//! [`Embedded`]: embeddings with what they took.

use std::ops::Deref;

use super::{Embedder, Embedding};
use crate::{Error, Result, Usage};

/// The embeddings that an [`Embedder`](super::Embedder) made in one call, in the order of its
/// inputs. It can be used as a slice of them.
///
/// An embedder that has nothing to add returns `embeddings.into()`.
/// ```
/// use imagerag::Usage;
/// use imagerag::embedder::{Embedded, Embedding};
///
/// let embedded = Embedded::from(vec![Embedding::new([3.0, 4.0])?]).with_usage(Usage::tokens(7, 0));
/// assert_eq!(embedded[0].values(), [0.6, 0.8]);
/// assert_eq!(embedded.usage.unwrap().prompt_tokens, 7);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Embedded {
    /// The embeddings.
    pub embeddings: Vec<Embedding>,
    /// What a paid service charges for.
    pub usage: Option<Usage>,
}

impl Embedded {
    /// The same with what a paid service charges for.
    #[must_use]
    pub const fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }
}

impl From<Vec<Embedding>> for Embedded {
    fn from(embeddings: Vec<Embedding>) -> Self {
        Self { embeddings, usage: None }
    }
}

impl FromIterator<Embedding> for Embedded {
    fn from_iter<I: IntoIterator<Item = Embedding>>(embeddings: I) -> Self {
        embeddings.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for Embedded {
    type Target = [Embedding];

    fn deref(&self) -> &[Embedding] {
        &self.embeddings
    }
}

impl<'a> IntoIterator for &'a Embedded {
    type Item = &'a Embedding;
    type IntoIter = std::slice::Iter<'a, Embedding>;

    fn into_iter(self) -> Self::IntoIter {
        self.embeddings.iter()
    }
}

impl IntoIterator for Embedded {
    type Item = Embedding;
    type IntoIter = std::vec::IntoIter<Embedding>;

    fn into_iter(self) -> Self::IntoIter {
        self.embeddings.into_iter()
    }
}

/// # Errors
/// [`Error::Backend`] of `embedder` when one of `embeddings`, which it gave, is not of its dimension.
pub(crate) fn check_dim(
    embedder: &(impl Embedder + ?Sized),
    embeddings: &[Embedding],
) -> Result<()> {
    let dim = embedder.dim();
    match embeddings.iter().map(Embedding::dim).find(|found| *found != dim) {
        None => Ok(()),
        Some(found) => {
            let problem = format!("expected {dim} values an embedding, found {found}");
            Err(Error::backend(embedder.to_string(), problem))
        }
    }
}
