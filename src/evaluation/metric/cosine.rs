//! Pictures and texts to embeddings, and those to cosines in double precision.

use crate::embedder::{Embedding, ImageEmbedder};
use crate::forward::check_count;
use crate::{Error, Image, Result};

/// The cosine of two embeddings, in [-1, 1].
///
/// # Errors
/// [`Error::Backend`] when the two are not of one space.
pub(super) fn cosine(a: &Embedding, b: &Embedding) -> Result<f64> {
    if a.dim() != b.dim() {
        let found = format!("expected embeddings of {} values, found {}", a.dim(), b.dim());
        return Err(Error::backend("a cosine", found));
    }
    Ok(cosine_of(widened(a.values()), widened(b.values())))
}

/// The same of any two vectors of one length.
pub(super) fn cosine_of(
    a: impl Iterator<Item = f64> + Clone,
    b: impl Iterator<Item = f64> + Clone,
) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let norms = norm(&mut a.clone()) * norm(&mut b.clone());
    (a.zip(b).map(|(a, b)| a * b).sum::<f64>() / norms).clamp(-1.0, 1.0)
}

pub(super) fn widened(values: &[f32]) -> impl Iterator<Item = f64> + Clone {
    values.iter().map(|value| f64::from(*value))
}

/// The embedding of each of `images`, or why that one has none.
///
/// # Errors
/// Those of the embedder that are not about one image.
pub(super) async fn image_embeddings(
    embedder: &dyn ImageEmbedder,
    images: &[Image],
) -> Result<Vec<Result<Embedding>>> {
    match embedder.image_embeddings(images).await {
        Ok(found) => {
            check_count(&embedder, "embeddings", images.len(), found.len())?;
            return Ok(found.into_iter().map(Ok).collect());
        }
        Err(error) if !is_about_one(&error) => return Err(error),
        Err(error) if images.len() == 1 => return Ok(vec![Err(error)]),
        Err(_) => {}
    }
    // One of them is to blame, and the others have embeddings.
    let mut found = Vec::with_capacity(images.len());
    for image in images {
        let one = embedder.image_embeddings(std::slice::from_ref(image)).await;
        match one.and_then(|one| crate::forward::only(&embedder, "embedding", one)) {
            Err(error) if !is_about_one(&error) => return Err(error),
            one => found.push(one),
        }
    }
    Ok(found)
}

/// Whether an error may be about one input alone: another one may be taken.
pub(super) fn is_about_one(error: &Error) -> bool {
    match error {
        Error::Refused { .. } | Error::InvalidInput { .. } | Error::InvalidReply { .. } => true,
        Error::Service { status, .. } => {
            matches!(status, 400 | 413 | 415 | 422) && !error.is_about_access()
        }
        _ => false,
    }
}
