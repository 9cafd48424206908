//! The ablation "rephrased prompt": a draft to a clearer prompt, without references.

use std::time::Instant;

use super::run::Run;
use super::{Record, Stage, parse, prompts};
use crate::critic::Exchange;
use crate::vlm::{ChatRequest, Message};
use crate::{Error, Result};

impl Run<'_> {
    /// Has the VLM rephrase the prompt. A refusal leaves the prompt as it is, as the paper's words
    /// ask of the model where nothing needs to change.
    pub(super) async fn rephrase(&mut self) -> Result<String> {
        let begun = self.begin(Stage::Rephrase);
        let Some(vlm) = &self.pipeline.vlm else {
            return Err(Error::MissingPart { part: "VLM", hint: "call .vlm(…) on the builder" });
        };
        let prompt = &self.request.prompt;
        let question = Message::user(prompts::rephrase(prompt)).with_images(self.image().cloned());
        let chat = ChatRequest::new(vec![question]);
        let asked = Instant::now();
        let reply = vlm.chat(&chat).await;
        begun.log.push(Exchange {
            purpose: "rephrase".to_owned(),
            model: vlm.to_string(),
            messages: chat.messages.iter().map(Into::into).collect(),
            temperature: chat.temperature,
            reply: reply.as_ref().ok().map(|reply| reply.text.clone()),
            problem: match &reply {
                Ok(reply) => reply.refusal.clone(),
                Err(error) => Some(error.to_string()),
            },
            usage: reply.as_ref().ok().and_then(|reply| reply.usage),
            elapsed: asked.elapsed(),
        });
        let rephrased = reply.map(|reply| {
            let refused = reply.refusal.is_some() || parse::is_refusal(&reply.text);
            parse::text(&reply.text).filter(|_| !refused).unwrap_or_else(|| prompt.clone())
        });
        self.end(begun, rephrased, |prompt| Record::Rephrased(prompt.clone()))
    }
}
