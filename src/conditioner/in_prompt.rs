//! [`InPrompt`]: passes references on as images that the prompt names, for models such as OmniGen.

use std::fmt;

use async_trait::async_trait;

use super::{
    Conditioned, Conditioner, Conditioning, ConditioningKind, PromptTemplate, check_references,
};
use crate::Result;
use crate::error::require;
use crate::reference::{Reference, images};

/// Passes the images on unchanged, and puts a mark for each behind its caption in the prompt.
#[derive(Clone, Debug)]
pub struct InPrompt {
    capacity: usize,
    template: PromptTemplate,
    mark: String,
}

impl InPrompt {
    /// Up to `capacity` images, with OmniGen's marks: `<img><|image_1|></img>` and so on.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `capacity` is 0.
    pub fn new(capacity: usize) -> Result<Self> {
        require(capacity > 0, "capacity", "at least 1", capacity)?;
        let mark = "<img><|image_{n}|></img>".to_owned();
        Ok(Self { capacity, template: PromptTemplate::default(), mark })
    }

    /// Another way to put captions into the prompt.
    #[must_use]
    pub const fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }

    /// Another mark for an image; `{n}` is its number, from 1. An empty mark leaves images unnamed.
    #[must_use]
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = mark.into();
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

    async fn condition(&self, prompt: &str, references: &[Reference]) -> Result<Conditioned> {
        check_references(self, references)?;
        let marked = if self.mark.is_empty() { 0 } else { references.len() };
        let marks: Vec<String> =
            (1..=marked).map(|n| self.mark.replace("{n}", &n.to_string())).collect();
        Ok(Conditioned {
            prompt: self.template.apply(prompt, references, &marks),
            conditioning: Conditioning::Images(images(references).await?),
        })
    }
}

impl fmt::Display for InPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InPrompt({})", self.capacity)
    }
}
