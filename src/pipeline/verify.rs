//! A candidate and the concept it was found for to whether a VLM sees the concept in it.

use super::run::Run;
use super::{Refusal, Unclear};
use crate::Result;
use crate::image::Image;
use crate::reference::Reference;
use crate::vlm::{ChatRequest, ExchangeLog, Message, parse, schema};

impl Run<'_> {
    /// Why the verifier refuses `candidate`; `None` where it sees the concept, or there is no
    /// verifier. Each image is asked about once a concept, also where a later round finds it again.
    pub(super) async fn not_shown(
        &mut self,
        candidate: &Reference,
        image: &Image,
        log: &ExchangeLog,
    ) -> Result<Option<Refusal>> {
        let Some(verifier) = &self.pipeline.verifier else { return Ok(None) };
        let concept = &candidate.caption.concept;
        let asked = (concept.clone(), candidate.provenance.source.clone());
        if let Some(refused) = self.verified.get(&asked) {
            return Ok(refused.clone());
        }
        let questions = &self.pipeline.questions;
        let question = Message::user(questions.ask_verification(concept));
        let chat = ChatRequest::from(question.with_images([image.clone()]))
            .with_json_schema(schema::answer(questions, &questions.verification));
        let reply = log.ask(verifier, "verification", &chat).await?;
        let declined = reply.refusal.is_some() || parse::is_refusal(questions, &reply.text);
        let answer = reply.refusal.unwrap_or(reply.text);
        let shows = parse::yes_or_no(questions, &questions.verification, &answer);
        let refused = match shows.filter(|_| !declined) {
            Some(true) => None,
            Some(false) => Some(Refusal::NotShown { answer }),
            None => match self.config().unclear {
                Unclear::Refuse => Some(Refusal::Unverified { answer }),
                Unclear::Use => None,
            },
        };
        self.verified.insert(asked, refused.clone());
        Ok(refused)
    }
}
