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
#[cfg(feature = "tch")]
mod offload;
#[cfg(feature = "tch")]
mod omnigen;
#[cfg(all(test, feature = "tch"))]
mod one_layer;
#[cfg(feature = "tch")]
mod pixart;
#[cfg(feature = "openai")]
mod remote;
mod request;
#[cfg(feature = "tch")]
mod sdxl;
#[cfg(feature = "tch")]
mod settings;
#[cfg(feature = "tch")]
mod size;
#[cfg(feature = "tch")]
mod unread;

use std::fmt::{Debug, Display};
use std::future::Future;

use async_trait::async_trait;

use crate::Result;
use crate::conditioner::ConditioningKind;
use crate::forward::{forward_part, only};

pub use drawn::Drawn;
#[cfg(feature = "tch")]
pub use flux::{Flux, FluxBuilder, FluxPreset};
#[cfg(feature = "tch")]
pub use loading::Loading;
#[cfg(feature = "tch")]
pub use offload::Offload;
#[cfg(feature = "tch")]
pub use omnigen::{KvCache, MemoryEstimate, OmniGen, OmniGenBuilder, RopePositions};
#[cfg(feature = "tch")]
pub use pixart::{PixArtSigma, PixArtSigmaBuilder};
#[cfg(feature = "openai")]
pub use remote::{ImagesProfile, OpenAiImages, OpenAiImagesBuilder};
pub(crate) use request::setters_of_an_image;
pub use request::{GenerateRequest, MAX_PROMPT_CHARS, Progress, Step};
#[cfg(feature = "tch")]
pub use sdxl::{Sdxl, SdxlBuilder};

/// Draws images: a text-to-image model, possibly conditioned on reference images.
///
/// One of your own, with the suite that checks it:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::conditioner::ConditioningKind;
/// use imagerag::generator::{Drawn, GenerateRequest, Generator, Step};
/// use imagerag::testing::{conformance, solid};
/// use imagerag::{Result, async_trait};
///
/// /// Draws a color that depends on prompt and seed. A real one asks a network or a service.
/// #[derive(Debug)]
/// struct Brush; // It has a `Display` too, by which traces and errors call it.
/// # impl std::fmt::Display for Brush {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("Brush")
/// #     }
/// # }
///
/// #[async_trait]
/// impl Generator for Brush {
///     fn accepts(&self) -> &[ConditioningKind] {
///         &[ConditioningKind::None]
///     }
///
///     async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
///         for request in requests {
///             request.validate()?;
///             request.validate_conditioning(self.accepts())?;
///         }
///         let draw = |request: &GenerateRequest| {
///             let steps = request.steps.unwrap_or(4);
///             for step in 1..=steps {
///                 request.progress.report(Step::new(step, steps));
///             }
///             let (length, seed) = (request.prompt.len() as u8, request.seed as u8);
///             solid(64, 64, [length.wrapping_mul(40), seed.wrapping_mul(40), 200]).into()
///         };
///         Ok(requests.iter().map(draw).collect())
///     }
/// }
///
/// futures::executor::block_on(conformance::generator(&Brush));
/// ```
///
/// # Contract
/// - One image per request, in the order of the requests. No requests give no images.
/// - Prompt and references make the image: another one of them gives another image. So does the
///   seed, where [`repeats`](Self::repeats) is true.
/// - Where it is, the same request gives the same image, whatever else is in the batch or runs at
///   the same time. Pixels may differ by 1/255, because a batch may change the order of sums.
/// - `request.progress` is called once for each step, in order, from 1 to the number of steps, after
///   the step is done. A generator that does not see its steps, such as a remote service, never
///   calls it, and ignores `steps`.
/// - Dropping the future stops the work within two steps.
/// - Before any work begins, [`Error::InvalidInput`](crate::Error::InvalidInput) is returned for
///   every value out of range, and for a [`Conditioning`](crate::conditioner::Conditioning) whose
///   kind is not in [`accepts`](Self::accepts).
///
/// The suite `testing::conformance::generator` asks for short prompts in English, at the default
/// size, in two steps, with the seeds 1 and 2; three requests in one call, and two calls at the same
/// time. References are one red and one blue image of 64 x 64 pixels. It also sends each thing that
/// must be refused: 0 steps, a guidance of NaN and of -1, a width of 0, a height of 1,000,000
/// pixels, a prompt of more than 24,000 characters, conditionings of other kinds.
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

    /// Whether the same request gives the same image: true, the default, for a model that draws from
    /// the seed; false for a service that takes no seed. The trace warns of an image that another run
    /// will not give again.
    fn repeats(&self) -> bool {
        true
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
    fn repeats(&self) -> bool {
        (**self).repeats()
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
