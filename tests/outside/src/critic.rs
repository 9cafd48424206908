//! A critic: an image to a verdict, by one question to a model, which the log has.

use imagerag::critic::{Critique, CritiqueRequest, Verdict};
use imagerag::reference::Caption;
use imagerag::vlm::{ChatRequest, Message};
use imagerag::{Critic, Result, Vlm, async_trait};

/// Asks a model whether an image shows the prompt.
#[derive(Debug)]
pub struct Judge(pub Box<dyn Vlm>);

#[async_trait]
impl Critic for Judge {
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
        let missing = || Verdict::Missing(vec![Caption::concept(&request.prompt)]);
        let Some(image) = &request.image else { return Ok(missing().into()) };
        let question = Message::user(format!("Is this {}?", request.prompt));
        let question = ChatRequest::new(vec![question.with_images([image.clone()])]);
        let reply = request.log.ask(&self.0, "judgement", &question).await?;
        let verdict = match reply.text.as_str() {
            "yes" => Verdict::Match,
            "no" => missing(),
            _ => Verdict::Undetermined,
        };
        Ok(Critique { verdict, reason: Some(format!("{} says {:?}", self.0, reply.text)) })
    }
}
