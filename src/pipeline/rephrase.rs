//! The ablation "rephrased prompt": a draft to a clearer prompt, without references.

use super::run::Run;
use super::{Record, Stage, missing};
use crate::Result;
use crate::vlm::{ChatRequest, Message, parse};

impl Run<'_> {
    /// Has the VLM rephrase the prompt. A refusal, or a reply that was cut off, leaves the prompt as it
    /// is, as the paper's words ask of the model where nothing needs to change. The model is told captions
    /// and no marks of images; those that it writes are read as captions, or left out.
    pub(super) async fn rephrase(&mut self) -> Result<String> {
        let begun = self.begin(Stage::Rephrase);
        let prompt = &self.request.prompt;
        let questions = &self.pipeline.questions;
        let question = questions.ask_rephrase(&self.in_words(prompt));
        let question = Message::user(question).with_images(self.image().cloned());
        let reply = match &self.pipeline.vlm {
            Some(vlm) => begun.log.ask(vlm, "rephrase", &ChatRequest::new(vec![question])).await,
            None => Err(missing("VLM", "call .vlm(…) on the builder")),
        };
        let rephrased = reply.map(|reply| {
            let text = parse::text(questions, &reply).map(|text| self.in_words(&text));
            let text = text.map(|text| self.marks().remove(&text).trim().to_owned());
            text.filter(|text| !text.is_empty()).unwrap_or_else(|| prompt.clone())
        });
        self.end(begun, rephrased, |prompt| Record::Rephrased(prompt.clone()))
    }
}
