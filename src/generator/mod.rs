//! [`Generator`]: prompts, with or without references, to images.

#[cfg(all(test, feature = "tch"))]
mod checks;
#[cfg(feature = "tch")]
mod denoise;
#[cfg(feature = "tch")]
mod drawing;
#[cfg(feature = "tch")]
mod encoded;
#[cfg(feature = "tch")]
mod flux;
mod request;
#[cfg(feature = "tch")]
mod sdxl;
#[cfg(feature = "tch")]
mod size;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::Result;
use crate::conditioner::ConditioningKind;
use crate::forward::forward_part;
use crate::image::Image;

#[cfg(feature = "tch")]
pub use flux::{Flux, FluxBuilder, FluxPreset, Offload};
pub use request::{GenerateRequest, MAX_PROMPT_CHARS, Progress, Step};
#[cfg(feature = "tch")]
pub use sdxl::{Sdxl, SdxlBuilder};

/// Draws images: a text-to-image model, possibly conditioned on reference images.
///
/// # Contract
/// - One image a request, in the order of the requests; a slice of none gives none.
/// - The same request gives the same image, whatever else is in the batch or runs beside it.
/// - `request.progress` is told of every step, in order, once the step is done.
/// - Dropping the future stops the work soon: within two steps at the latest.
/// - A request with a [`Conditioning`](crate::conditioner::Conditioning) whose kind is not in
///   [`accepts`](Self::accepts) is [`Error::InvalidInput`](crate::Error::InvalidInput), and so is
///   every value out of range, before any work begins.
#[async_trait]
pub trait Generator: Display + Debug + Send + Sync + 'static {
    /// The kinds of conditioning that requests may carry. `ConditioningKind::None` is always one.
    fn accepts(&self) -> &[ConditioningKind];

    /// Draws one image for each request.
    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Image>>;
}

forward_part!(Generator {
    fn accepts(&self) -> &[ConditioningKind] {
        (**self).accepts()
    }
    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Image>> {
        (**self).generate(requests).await
    }
});
