//! [`ConditionRequest`]: a prompt and the references that it should be drawn with.

use super::Conditioner;
use crate::Result;
use crate::error::require;
use crate::reference::Reference;

/// What to prepare for a generator.
///
/// ```
/// use imagerag::conditioner::ConditionRequest;
///
/// let request = ConditionRequest::new("a quetzal at dawn", []).with_image_mark("image {n}");
/// assert_eq!(request.image_mark.as_deref(), Some("image {n}"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConditionRequest {
    /// The caller's prompt. It may name images by their place among the references, from 1: by
    /// `<|image_1|>`, or by the generator's own mark. The pipeline keeps such marks for conditioners
    /// that produce images; for others it puts the captions in their places.
    pub prompt: String,
    /// The references: the caller's own, then those that were retrieved. In
    /// [`Mode::EditDraft`](crate::pipeline::Mode::EditDraft) the draft to edit stands between them; its
    /// source is [`Source::Draft`](crate::reference::Source::Draft). The captions that the pipeline
    /// gives have no marks of images.
    pub references: Vec<Reference>,
    /// How the generator's prompts name image number `{n}`, from 1; see
    /// [`Generator::image_mark`](crate::Generator::image_mark).
    pub image_mark: Option<String>,
}

impl ConditionRequest {
    /// Asks for `prompt` with `references`.
    pub fn new(prompt: impl Into<String>, references: impl Into<Vec<Reference>>) -> Self {
        Self { prompt: prompt.into(), references: references.into(), image_mark: None }
    }

    /// Checks that there are 1 to [`capacity`](Conditioner::capacity) references. Conditioners call it
    /// before they begin.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names the conditioner and both numbers.
    pub fn validate(&self, conditioner: &dyn Conditioner) -> Result<()> {
        let (found, most) = (self.references.len(), conditioner.capacity());
        let fits = (1..=most).contains(&found);
        require(fits, format!("references for {conditioner}"), format!("1 to {most}"), found)
    }

    /// Names images as the generator does; `{n}` stands for the number, from 1.
    #[must_use]
    pub fn with_image_mark(mut self, mark: impl Into<String>) -> Self {
        self.image_mark = Some(mark.into());
        self
    }
}
