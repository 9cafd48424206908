//! [`Generator`]: draws images from prompts, with or without references.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::conditioner::ConditioningKind;
//! use imagerag::generator::{GenerateRequest, Generator, GeneratorExt, Progress, Step};
//! use imagerag::testing::FakeGenerator;
//!
//! let generator = FakeGenerator::new(); // An `Sdxl`, for instance.
//! // It reads pictures as they are, and prompts may name them.
//! assert!(generator.accepts().contains(&ConditioningKind::Images));
//! assert_eq!(generator.image_mark(), Some("<img><|image_{n}|></img>"));
//!
//! let progress = Progress::new(|step: Step| {
//!     let preview = if step.preview.is_some() { ", with a preview" } else { "" };
//!     println!("step {} of {}{preview}", step.index, step.total);
//! });
//! let request = GenerateRequest::new("a quetzal at dawn")
//!     .with_negative_prompt("blurry")
//!     .with_seed(7)
//!     .with_size(64, 48)
//!     .with_steps(20)
//!     .with_guidance_scale(5.0)
//!     .with_progress(progress.with_previews_every(10));
//! let drawn = block_on(generator.generate_one(&request))?;
//! assert_eq!((drawn.image.width(), drawn.image.height()), (64, 48));
//!
//! // Several in one call: a local model draws them as a batch.
//! let more = [request.clone().with_seed(8), request.with_seed(9)];
//! assert_eq!(block_on(generator.generate(&more))?.len(), 2);
//! # Ok::<(), imagerag::Error>(())
//! ```

#[cfg(all(test, feature = "tch"))]
mod checks;
#[cfg(feature = "tch")]
mod denoise;
mod drawn;
#[cfg(feature = "tch")]
mod encoded;
#[cfg(feature = "tch")]
mod flux;
#[cfg(feature = "tch")]
mod loading;
#[cfg(feature = "tch")]
mod local;
#[cfg(all(test, feature = "tch"))]
mod local_tests;
#[cfg(all(test, feature = "tch"))]
mod one_layer;
mod request;
#[cfg(feature = "tch")]
mod sdxl;
#[cfg(feature = "tch")]
mod settings;
#[cfg(feature = "tch")]
mod size;

use std::fmt::{Debug, Display};
use std::future::Future;

use async_trait::async_trait;

use crate::Result;
use crate::conditioner::ConditioningKind;
use crate::forward::{forward_part, only};

pub use drawn::Drawn;
#[cfg(feature = "tch")]
pub use flux::{Flux, FluxBuilder, FluxPreset, Offload};
#[cfg(feature = "tch")]
pub use loading::Loading;
pub use request::{GenerateRequest, MAX_PROMPT_CHARS, Progress, Step};
#[cfg(feature = "tch")]
pub use sdxl::{Sdxl, SdxlBuilder};

/// Draws images: a text-to-image model, possibly conditioned on reference images.
///
/// # Contract
/// - One image per request, in the order of the requests. No requests give no images.
/// - The same request gives the same image, whatever else is in the batch or runs at the same time.
///   Pixels may differ by 1/255, because a batch may change the order of sums.
/// - `request.progress` is called for every step, in order, after the step is done.
/// - Dropping the future stops the work within two steps.
/// - Before any work begins, [`Error::InvalidInput`](crate::Error::InvalidInput) is returned for
///   every value out of range, and for a [`Conditioning`](crate::conditioner::Conditioning) whose
///   kind is not in [`accepts`](Self::accepts).
#[async_trait]
pub trait Generator: Display + Debug + Send + Sync + 'static {
    /// The kinds of conditioning that requests may have. `ConditioningKind::None` is always among
    /// them.
    fn accepts(&self) -> &[ConditioningKind];

    /// The mark by which a prompt names its image number `n`, from 1, with `{n}` for the number:
    /// `<img><|image_{n}|></img>` for OmniGen. [`InPrompt`](crate::conditioner::InPrompt) writes it
    /// behind the caption of each reference. `None`, the default, says that the model knows no mark
    /// of its own, and `image {n}` is written.
    fn image_mark(&self) -> Option<&str> {
        None
    }

    /// Draws one image for each request.
    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>>;
}

forward_part!(Generator {
    fn accepts(&self) -> &[ConditioningKind] {
        (**self).accepts()
    }
    fn image_mark(&self) -> Option<&str> {
        (**self).image_mark()
    }
    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        (**self).generate(requests).await
    }
});

/// Draws one image. Every [`Generator`] implements this trait.
pub trait GeneratorExt: Generator {
    /// Draws the image for `request`.
    ///
    /// # Errors
    /// Those of [`Generator::generate`]; [`Error::Backend`](crate::Error::Backend) when that does
    /// not give exactly one image.
    fn generate_one(
        &self,
        request: &GenerateRequest,
    ) -> impl Future<Output = Result<Drawn>> + Send {
        async move { only(self, "image", self.generate(std::slice::from_ref(request)).await?) }
    }
}

impl<G: Generator + ?Sized> GeneratorExt for G {}
