//! Stage 3: missing concepts to retrieval captions.

use super::run::Run;
use super::{Fallback, Record, Stage};
use crate::critic::{Query, Verdict};
use crate::reference::Caption;

impl Run<'_> {
    /// What to look for: one caption a concept, each once. Where the critic cannot say what is
    /// missing, the prompt itself (appendix D), or `None` where the loop should stop then.
    pub(super) fn caption(&mut self, verdict: Verdict) -> Option<Vec<Caption>> {
        let begun = self.begin(Stage::Caption);
        let named = match verdict {
            Verdict::Missing(captions) => captions,
            Verdict::Match | Verdict::Undetermined => Vec::new(),
        };
        let mut captions: Vec<Caption> = Vec::new();
        for caption in named {
            let Caption { text, concept } = self.marks().remove_from(&caption);
            let text = text.trim();
            if !text.is_empty() && !captions.iter().any(|known| known.text == text) {
                captions.push(Caption::new(text, concept));
            }
        }
        let fallback = captions.is_empty();
        if fallback && self.config().fallback == Fallback::RetrieveByPrompt {
            captions.push(Caption::concept(self.in_words(&self.request.prompt)));
        } else if self.config().query == Query::Prompt {
            // Whatever the critic names: this ablation looks for the prompt.
            captions.truncate(1);
            let prompt = self.in_words(&self.request.prompt);
            captions.iter_mut().for_each(|c| c.text.clone_from(&prompt));
        }
        let captions = self.end(begun, Ok(captions), |captions| Record::Captions {
            captions: captions.clone(),
            fallback,
        });
        captions.ok().filter(|captions| !captions.is_empty())
    }
}
