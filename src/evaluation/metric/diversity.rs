//! Pictures of one prompt to how much they differ.

use super::cosine::{cosine, image_embeddings};
use crate::embedder::ImageEmbedder;
use crate::error::require;
use crate::{Image, Result};

/// How much `pictures` of one prompt differ, which other seeds gave: 1 − the mean cosine of all pairs of
/// them, in [0, 2]. More is more diverse; equal pictures give 0.
///
/// DreamBooth's DIV is the mean LPIPS distance of the same pairs. LPIPS is not offered, because its weights
/// are published as pickles, which can run any code; so the two are not comparable.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::evaluation::metric::diversity;
/// use imagerag::testing::{FakeEmbedder, solid};
///
/// let red = [solid(8, 8, [200, 0, 0]), solid(8, 8, [200, 0, 0])];
/// assert!(block_on(diversity(&FakeEmbedder, &red))? < 1e-6);
/// let other = [solid(8, 8, [200, 0, 0]), solid(8, 8, [0, 0, 200])];
/// assert!(block_on(diversity(&FakeEmbedder, &other))? > 0.9);
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidInput`](crate::Error::InvalidInput) for fewer than 2 pictures; those of the embedder.
pub async fn diversity(embedder: &dyn ImageEmbedder, pictures: &[Image]) -> Result<f64> {
    let count = pictures.len();
    require(count >= 2, "pictures of one prompt", "at least 2", count)?;
    let embeddings = image_embeddings(embedder, pictures).await?;
    let embeddings: Vec<_> = embeddings.into_iter().collect::<Result<_>>()?;
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (at, one) in embeddings.iter().enumerate() {
        for other in &embeddings[at + 1..] {
            sum += cosine(one, other)?;
            pairs += 1.0;
        }
    }
    Ok(1.0 - sum / pairs)
}
