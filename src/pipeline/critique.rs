//! Stage 2: an image to a match, or to the concepts that it is missing (section 3.1).

use super::run::Run;
use super::{Record, Stage, missing};
use crate::Result;
use crate::critic::{Critique, CritiqueRequest, Query, Verdict};
use crate::reference::Caption;

impl Run<'_> {
    /// Has the last image judged; where there is none yet, asks for every concept of the prompt.
    pub(super) async fn critique(&mut self) -> Result<Verdict> {
        let begun = self.begin(Stage::Critique);
        let prompt = &self.request.prompt;
        let image = self.image().cloned();
        let config = self.config();
        let critique = match &self.pipeline.critic {
            // Retrieval by the prompt without a draft: there is nothing to judge.
            _ if image.is_none() && config.query == Query::Prompt => {
                Ok(Verdict::Missing(vec![Caption::concept(prompt)]).into())
            }
            None => Err(missing("critic", "call .critic(…) on the builder")),
            Some(critic) => {
                let mut request = CritiqueRequest::new(prompt, image);
                request.references =
                    self.request.references.iter().map(|(image, _)| image.clone()).collect();
                let captions = self.room().div_ceil(config.references_per_caption);
                request.max_concepts = config.max_concepts.unwrap_or(captions).min(captions);
                request.query = config.query;
                request.log = begun.log.clone();
                critic.critique(&request).await
            }
        };
        let critique: Critique = self.end(begun, critique, |c| Record::Critique(c.clone()))?;
        self.judge(&critique.verdict);
        Ok(critique.verdict)
    }
}
