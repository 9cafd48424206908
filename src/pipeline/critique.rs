//! Stage 2: an image to a match, or to the concepts that it is missing (section 3.1).

use super::run::Run;
use super::{Mode, Record, Stage, missing};
use crate::Result;
use crate::critic::{Critique, CritiqueRequest, Query, Verdict};
use crate::reference::Caption;

impl Run<'_> {
    /// Has the last image judged; where there is none yet, asks for every concept of the prompt.
    pub(super) async fn critique(&mut self) -> Result<Verdict> {
        let begun = self.begin(Stage::Critique);
        let prompt = self.prompt_for_critic();
        let image = self.image().cloned();
        let is_judged = image.is_some();
        let config = self.config();
        // Edits are planned by what the image should show: nothing is looked for.
        let is_edited = config.mode == Mode::PlanEdit;
        let query = if is_edited { Query::Prompt } else { config.query };
        let critique = match &self.pipeline.critic {
            // Retrieval by the prompt without a draft: there is nothing to judge.
            _ if image.is_none() && query == Query::Prompt => {
                Ok(Verdict::Missing(vec![Caption::concept(&prompt)]).into())
            }
            None => Err(missing("critic", "call .critic(…) on the builder")),
            Some(critic) => {
                let mut request = CritiqueRequest::new(&prompt, image);
                request.references =
                    self.request.references.iter().map(|(image, _)| image.clone()).collect();
                let captions = self.room().div_ceil(config.references_per_caption).max(1);
                request.max_concepts = config.max_concepts.unwrap_or(captions).min(captions);
                request.query = query;
                request.log = begun.log.clone();
                critic.critique(&request).await
            }
        };
        let critique = self.end(begun, critique, |critique| {
            let only_asked_to_match = is_judged && query == Query::Prompt;
            Record::Critique(match only_asked_to_match {
                true => without_prompt(critique, &prompt),
                false => critique.clone(),
            })
        })?;
        self.judge(&critique.verdict);
        Ok(critique.verdict)
    }
}

/// `critique` for the trace. A critic that is only asked whether an image matches gives the prompt as what
/// is missing, because it is what is looked for or edited by; nobody named it.
fn without_prompt(critique: &Critique, prompt: &str) -> Critique {
    let mut recorded = critique.clone();
    if let Verdict::Missing(captions) = &mut recorded.verdict {
        captions.retain(|caption| caption.concept != prompt);
    }
    recorded
}
