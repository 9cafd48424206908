//! [`FakeGenerator`]: an image of one colour that depends on the request.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{colour_of, lock, pause, solid};
use crate::conditioner::{Conditioning, ConditioningKind};
use crate::generator::{Drawn, GenerateRequest, Generator, Step};
use crate::{Error, Result};

/// Draws one colour, made of prompt, seed and conditioning; keeps every request.
#[derive(Clone, Debug)]
pub struct FakeGenerator {
    accepts: Vec<ConditioningKind>,
    requests: Arc<Mutex<Vec<GenerateRequest>>>,
    fails_at: Option<usize>,
    mark: Option<String>,
    repeats: bool,
}

impl Default for FakeGenerator {
    fn default() -> Self {
        Self {
            accepts: vec![ConditioningKind::None, ConditioningKind::Images],
            requests: Arc::default(),
            fails_at: None,
            mark: Some("<img><|image_{n}|></img>".to_owned()),
            repeats: true,
        }
    }
}

impl FakeGenerator {
    /// A generator that takes images as conditioning.
    pub fn new() -> Self {
        Self::default()
    }

    /// A generator that draws from prompts alone.
    pub fn text_only() -> Self {
        Self { accepts: vec![ConditioningKind::None], mark: None, ..Self::default() }
    }

    /// Names images in prompts by `mark`, in place of OmniGen's; `None` knows no mark.
    #[must_use]
    pub fn with_image_mark(mut self, mark: Option<&str>) -> Self {
        self.mark = mark.map(str::to_owned);
        self
    }

    /// Draws another image each time, as a service without seeds does.
    #[must_use]
    pub const fn never_repeating(mut self) -> Self {
        self.repeats = false;
        self
    }

    /// Takes conditioning of `kind` too.
    #[must_use]
    pub fn accepting(mut self, kind: ConditioningKind) -> Self {
        self.accepts.push(kind);
        self
    }

    /// Fails at the `n`-th request, from 0, as a backend that runs out of memory does.
    #[must_use]
    pub const fn failing_at(mut self, n: usize) -> Self {
        self.fails_at = Some(n);
        self
    }

    /// Every request so far; clones share them.
    pub fn requests(&self) -> Vec<GenerateRequest> {
        lock(&self.requests).clone()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Generator for FakeGenerator {
    fn accepts(&self) -> &[ConditioningKind] {
        &self.accepts
    }

    fn image_mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    fn repeats(&self) -> bool {
        self.repeats
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        for request in requests {
            request.validate()?;
            request.validate_conditioning(&self.accepts)?;
        }
        let mut images = Vec::with_capacity(requests.len());
        for request in requests {
            let number = {
                let mut seen = lock(&self.requests);
                seen.push(request.clone());
                seen.len() - 1
            };
            if self.fails_at == Some(number) {
                return Err(Error::backend(self.to_string(), "out of memory"));
            }
            let references = match &request.conditioning {
                Conditioning::None => Vec::new(),
                Conditioning::Images(images) => {
                    images.iter().flat_map(|image| image.pixels().to_vec()).collect()
                }
                Conditioning::Tokens(tokens) => {
                    tokens.data.iter().flat_map(|value| value.to_le_bytes()).collect()
                }
                Conditioning::Condition(condition) => condition.image.pixels().to_vec(),
            };
            let seed = if self.repeats { request.seed } else { number as u64 };
            let rgb = colour_of((&request.prompt, seed, references));
            let image = solid(request.width.unwrap_or(8), request.height.unwrap_or(8), rgb);
            let total = request.steps.unwrap_or(2);
            for index in 1..=total {
                pause().await;
                let mut step = Step::new(index, total);
                step.preview = request.progress.wants_preview(index).then(|| image.clone());
                request.progress.report(step);
            }
            images.push(image.into());
        }
        Ok(images)
    }
}
