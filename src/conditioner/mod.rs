//! [`Conditioner`]: turns references into the input of a generator (section 3.2 of the paper).
//!
//! Which one a pipeline needs depends on its generator: [`InPrompt`] passes pictures on to models
//! that read them in the prompt, `IpAdapter` makes image tokens for SDXL, and `OminiControl` a
//! condition image for FLUX.1.
//!
//! ```
//! use futures::executor::block_on;
//! use imagerag::Image;
//! use imagerag::conditioner::{
//!     ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind, InPrompt,
//!     PromptTemplate,
//! };
//! use imagerag::reference::{Caption, Provenance, Reference, Source};
//!
//! let conditioner = InPrompt::new(3)?;
//! assert_eq!(conditioner.produces(), ConditioningKind::Images);
//! assert_eq!(conditioner.capacity(), 3);
//!
//! let quetzal = Reference {
//!     picture: Image::new(1, 1, [0, 140, 70])?.into(),
//!     caption: Caption::new("a quetzal on a branch", "a quetzal"),
//!     provenance: Provenance::new(Source::Uri("quetzal.jpg".into()), "by hand", 1.0, 0),
//! };
//! let request = ConditionRequest::new("It flies at dawn", [quetzal]).with_image_mark("<img{n}>");
//! let Conditioned { prompt, conditioning } = block_on(conditioner.condition(&request))?;
//! assert_eq!(
//!     prompt,
//!     "According to these examples of a quetzal on a branch: <img1>, generate It flies at dawn"
//! );
//! assert!(matches!(conditioning, Conditioning::Images(images) if images.len() == 1));
//!
//! // Other words, and no mark.
//! let conditioner = conditioner.with_template(PromptTemplate::ThisItem)?.with_mark("");
//! let conditioned = block_on(conditioner.condition(&request))?;
//! assert_eq!(conditioned.prompt, "This item is a quetzal. It flies at dawn");
//! # Ok::<(), imagerag::Error>(())
//! ```

mod condition_image;
mod conditioning;
mod in_prompt;
#[cfg(feature = "tch")]
mod ip_adapter;
mod mark_style;
mod marks;
#[cfg(feature = "tch")]
mod omini_control;
mod request;
mod template;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::Result;
use crate::forward::forward_part;

#[cfg(feature = "tch")]
pub(crate) use condition_image::adapter_name;
pub use condition_image::{ConditionImage, ConditionLatents};
pub use conditioning::{Conditioning, ConditioningKind, ImageTokens, Strength};
pub use in_prompt::InPrompt;
#[cfg(feature = "tch")]
pub use ip_adapter::IpAdapter;
pub use mark_style::MarkStyle;
pub(crate) use marks::Marks;
#[cfg(feature = "tch")]
pub use omini_control::{ConditionFit, OminiControl, OminiControlBuilder};
pub use request::ConditionRequest;
pub use template::PromptTemplate;

/// Prepares references for a generator. The result, a [`Conditioning`], is in host memory and
/// belongs to no device, so that it can be logged, tested and sent elsewhere.
///
/// One of your own, with the suite that checks it:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::conditioner::{
///     ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind,
/// };
/// use imagerag::testing::conformance;
/// use imagerag::{Error, Result, async_trait};
///
/// /// Hands one picture on, and names it in the prompt.
/// #[derive(Debug)]
/// struct Like; // It has a `Display` too, by which traces and errors call it.
/// # impl std::fmt::Display for Like {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("Like")
/// #     }
/// # }
///
/// #[async_trait]
/// impl Conditioner for Like {
///     fn produces(&self) -> ConditioningKind {
///         ConditioningKind::Images
///     }
///
///     fn capacity(&self) -> usize {
///         1
///     }
///
///     async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
///         let [reference] = &request.references[..] else {
///             return Err(Error::invalid_input("references", "1", request.references.len()));
///         };
///         Ok(Conditioned {
///             prompt: format!("{}, like the {}", request.prompt, reference.caption.concept),
///             conditioning: Conditioning::Images(vec![reference.image().await?]),
///         })
///     }
/// }
///
/// futures::executor::block_on(conformance::conditioner(&Like));
/// ```
///
/// # Contract
/// - `request.references` holds 1 to [`capacity`](Self::capacity) references; more or none gives
///   [`Error::InvalidInput`](crate::Error::InvalidInput).
/// - The conditioning is of the kind that [`produces`](Self::produces) names. It depends on the
///   pictures of the references.
/// - The prompt to generate with holds the prompt of the request, unchanged but for marks of images
///   such as `<|image_1|>`, see [`ConditionRequest::prompt`].
///
/// The suite `testing::conformance::conditioner` sends no reference, one, as many as there is room
/// for (up to 8) and one more. Pictures have 32 x 16 and 64 x 64 pixels and one color each; the
/// prompt holds an emoji and a Chinese character.
#[async_trait]
pub trait Conditioner: Display + Debug + Send + Sync + 'static {
    /// The kind of conditioning that [`condition`](Self::condition) gives.
    fn produces(&self) -> ConditioningKind;

    /// The most references that one image can be generated with, at least 1.
    fn capacity(&self) -> usize;

    /// Turns a prompt and its references into the prompt and the conditioning to generate with.
    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned>;
}

/// A prompt with its references prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditioned {
    /// The prompt to generate with, such as `According to these examples of …, generate …`.
    pub prompt: String,
    /// The references, prepared.
    pub conditioning: Conditioning,
}

forward_part!(Conditioner {
    fn produces(&self) -> ConditioningKind {
        (**self).produces()
    }
    fn capacity(&self) -> usize {
        (**self).capacity()
    }
    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        (**self).condition(request).await
    }
});
