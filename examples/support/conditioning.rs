//! Pictures to take as examples to what a generator consumes.

use futures::executor::block_on;
use imagerag::conditioner::{ConditionRequest, Conditioning};
use imagerag::reference::{Caption, Provenance, Reference, Source};
use imagerag::{Conditioner, Image, Result};

/// `images` as a generator consumes them.
pub(crate) fn conditioning(
    conditioner: &dyn Conditioner,
    prompt: &str,
    images: Vec<Image>,
) -> Result<Conditioning> {
    let references: Vec<_> = images
        .into_iter()
        .enumerate()
        .map(|(n, image)| Reference {
            picture: image.into(),
            caption: Caption::concept(prompt),
            provenance: Provenance::new(Source::Caller(n), "caller", 1.0, n),
        })
        .collect();
    Ok(block_on(conditioner.condition(&ConditionRequest::new(prompt, references)))?.conditioning)
}
