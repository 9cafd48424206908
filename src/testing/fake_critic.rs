//! [`FakeCritic`]: verdicts that were passed before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{lock, pause};
use crate::Result;
use crate::critic::{Critic, Critique, CritiqueRequest, Verdict};
use crate::reference::Caption;

/// Gives its verdicts in order and keeps every request; is satisfied after the last.
#[derive(Clone, Debug, Default)]
pub struct FakeCritic {
    verdicts: Arc<Mutex<VecDeque<Result<Verdict>>>>,
    requests: Arc<Mutex<Vec<CritiqueRequest>>>,
}

impl FakeCritic {
    /// A critic that is satisfied with everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a verdict: `concepts` are missing.
    #[must_use]
    pub fn missing<S: Into<String>>(self, concepts: impl IntoIterator<Item = S>) -> Self {
        let captions = concepts.into_iter().map(Caption::concept).collect();
        self.then(Ok(Verdict::Missing(captions)))
    }

    /// Adds a verdict, or an error, after the others.
    #[must_use]
    pub fn then(self, verdict: Result<Verdict>) -> Self {
        lock(&self.verdicts).push_back(verdict);
        self
    }

    /// Every request so far; clones share them.
    pub fn requests(&self) -> Vec<CritiqueRequest> {
        lock(&self.requests).clone()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Critic for FakeCritic {
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
        lock(&self.requests).push(request.clone());
        pause().await;
        let verdict = lock(&self.verdicts).pop_front();
        Ok(match verdict {
            Some(verdict) => verdict?.into(),
            None if request.image.is_some() => Verdict::Match.into(),
            None => Verdict::Undetermined.into(),
        })
    }
}
