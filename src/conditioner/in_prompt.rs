//! [`InPrompt`]: passes references on as images that the prompt names, for models such as OmniGen.

use std::fmt;

use async_trait::async_trait;

use super::{
    ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind, PromptTemplate,
};
use crate::Result;
use crate::error::require;
use crate::reference::images;

/// Passes the images on unchanged, and puts a mark for each behind its caption in the prompt.
#[derive(Clone, Debug)]
pub struct InPrompt {
    capacity: usize,
    template: PromptTemplate,
    mark: Option<String>,
}

/// The mark for a generator that knows none of its own.
const IN_WORDS: &str = "image {n}";

impl InPrompt {
    /// Up to `capacity` images, with the [marks](crate::Generator::image_mark) of the generator that
    /// they are for, or else `image 1` and so on.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `capacity` is 0.
    pub fn new(capacity: usize) -> Result<Self> {
        require(capacity > 0, "capacity", "at least 1", capacity)?;
        Ok(Self { capacity, template: PromptTemplate::default(), mark: None })
    }

    /// Another way to put captions into the prompt.
    ///
    /// # Errors
    /// As [`PromptTemplate::validate`].
    pub fn with_template(mut self, template: PromptTemplate) -> Result<Self> {
        template.validate()?;
        self.template = template;
        Ok(self)
    }

    /// A mark of your own for an image, whatever the generator's is; `{n}` is its number, from 1. An
    /// empty mark leaves images unnamed.
    #[must_use]
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = Some(mark.into());
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Conditioner for InPrompt {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Images
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        let references = &request.references;
        request.validate(self)?;
        let mark = self.mark.as_deref().or(request.image_mark.as_deref()).unwrap_or(IN_WORDS);
        let marked = if mark.is_empty() { 0 } else { references.len() };
        let marks: Vec<String> =
            (1..=marked).map(|n| mark.replace("{n}", &n.to_string())).collect();
        Ok(Conditioned {
            prompt: self.template.apply(&request.prompt, references, &marks),
            conditioning: Conditioning::Images(images(references).await?),
        })
    }
}

impl fmt::Display for InPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InPrompt({})", self.capacity)
    }
}
