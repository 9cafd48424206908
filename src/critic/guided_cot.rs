//! [`GuidedCot`]: the paper's guided chain of thought over any [`Vlm`] (section 3.1, appendices C
//! and D): decision, missing concepts, captions.

use std::fmt;

use async_trait::async_trait;

use super::{Critic, Critique, CritiqueRequest, Query, Verdict};
use crate::Result;
use crate::error::require;
use crate::reference::Caption;
use crate::vlm::{ChatReply, ChatRequest, Message, Questions, Vlm, parse, schema};

/// Temperatures of the first query and of its up to three repetitions (appendices A and D).
pub(crate) const TEMPERATURES: [f64; 4] = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0];

/// Asks a [`Vlm`] three questions: does the image match the prompt; which concepts are missing;
/// which caption describes an image of each.
///
/// If the model refuses or its reply cannot be parsed, the question is repeated at a higher
/// temperature, up to three times. After that, the verdict is [`Verdict::Undetermined`].
///
/// A caption belongs to the concept that it names or that stands in the same place of the list. Where
/// the numbers of captions and concepts differ, each caption belongs to the concept whose words it
/// has. A concept that is left without a caption stands for itself, and the critique's
/// [`reason`](Critique::reason), which is in the trace, says so.
#[derive(Clone, Debug)]
pub struct GuidedCot<V> {
    vlm: V,
    questions: Questions,
    temperatures: Vec<f64>,
}

impl<V: Vlm> GuidedCot<V> {
    /// The paper's critic over `vlm`.
    pub fn new(vlm: V) -> Self {
        Self { vlm, questions: Questions::default(), temperatures: TEMPERATURES.to_vec() }
    }

    /// Other sentences than the paper's, or those of another language.
    ///
    /// # Errors
    /// As [`Questions::validate`].
    pub fn with_questions(mut self, questions: Questions) -> Result<Self> {
        questions.validate()?;
        self.questions = questions;
        Ok(self)
    }

    /// Other temperatures for the first query and its repetitions, each at least 0. There are as
    /// many queries as temperatures.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when there is none, or one is negative or
    /// not finite.
    pub fn with_temperatures(mut self, temperatures: impl Into<Vec<f64>>) -> Result<Self> {
        self.temperatures = temperatures.into();
        let all = &self.temperatures;
        let fit = !all.is_empty() && all.iter().all(|one| (0.0..f64::INFINITY).contains(one));
        let expected = "one or more finite numbers of at least 0";
        require(fit, "temperatures", expected, format!("{all:?}"))?;
        Ok(self)
    }

    /// Asks until `read` understands the reply, at a higher temperature each time. `conversation`
    /// grows by the question and the reply that was understood.
    async fn ask<T>(
        &self,
        request: &CritiqueRequest,
        purpose: &str,
        conversation: &mut Vec<Message>,
        question: Message,
        schema: &str,
        read: impl Fn(&ChatReply) -> Option<T> + Send,
    ) -> Result<Option<T>>
    where
        T: Send,
    {
        conversation.push(question);
        for &temperature in &self.temperatures {
            let chat = ChatRequest::new(conversation.clone())
                .with_temperature(temperature)
                .with_json_schema(schema);
            let reply = request.log.ask(&self.vlm, purpose, &chat).await?;
            if let Some(meaning) = read(&reply) {
                conversation.push(Message::assistant(reply.text));
                return Ok(Some(meaning));
            }
        }
        Ok(None)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<V: Vlm> Critic for GuidedCot<V> {
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
        let undetermined = |what: &str| {
            let times = self.temperatures.len();
            let reason = format!("{} gave no {what} in {times} tries", self.vlm);
            Ok(Critique { verdict: Verdict::Undetermined, reason: Some(reason) })
        };
        let questions = &self.questions;
        let mut conversation = Vec::new();

        // 1. Decision.
        let concepts_question = match &request.image {
            None => Message::user(questions.ask_all_concepts(&request.prompt))
                .with_images(request.references.iter().cloned()),
            Some(image) => {
                let count = request.references.len();
                let words = questions.ask_decision(&request.prompt, count);
                let template = questions.decision_after(count);
                let yes_or_no = |reply: &ChatReply| parse::yes_or_no(questions, template, reply);
                let images = request.references.iter().chain([image]).cloned();
                let question = Message::user(words).with_images(images);
                let schema = schema::answer(questions, template);
                let decision =
                    self.ask(request, "decision", &mut conversation, question, &schema, yes_or_no);
                match decision.await? {
                    Some(true) => return Ok(Verdict::Match.into()),
                    Some(false) => Message::user(questions.missing_concepts.as_str()),
                    None => return undetermined("decision"),
                }
            }
        };
        if request.query == Query::Prompt {
            return Ok(Verdict::Missing(vec![Caption::concept(&request.prompt)]).into());
        }

        // 2. Missing concepts.
        let (what, question) = ("missing concepts", concepts_question);
        let concepts = |reply: &ChatReply| parse::concepts(questions, reply);
        let asked =
            self.ask(request, what, &mut conversation, question, schema::CONCEPTS, concepts);
        let Some(concepts) = asked.await? else {
            return undetermined(what);
        };
        if request.query == Query::Concept {
            let missing = concepts.into_iter().take(request.max_concepts).map(Caption::concept);
            return Ok(Verdict::Missing(missing.collect()).into());
        }

        // 3. Captions of all concepts that were named, so that each finds its own.
        let question = Message::user(questions.captions.as_str());
        let captions = |reply: &ChatReply| parse::captions(questions, reply, &concepts);
        let asked =
            self.ask(request, "captions", &mut conversation, question, schema::CAPTIONS, captions);
        let captions = asked.await?.unwrap_or_else(|| vec![None; concepts.len()]);
        let pairs = concepts.into_iter().zip(captions).take(request.max_concepts);
        let (mut missing, mut bare) = (Vec::new(), Vec::new());
        for (concept, caption) in pairs {
            missing.push(match caption {
                Some(text) => Caption::new(text, concept),
                None => {
                    bare.push(concept.clone());
                    Caption::concept(concept)
                }
            });
        }
        let reason = (!bare.is_empty())
            .then(|| format!("{} gave no caption for {}", self.vlm, bare.join(", ")));
        Ok(Critique { verdict: Verdict::Missing(missing), reason })
    }
}

impl<V: Vlm> fmt::Display for GuidedCot<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuidedCot(")?;
        fmt::Display::fmt(&self.vlm, f)?; // `{:#}` is for the part inside too.
        if f.alternate() {
            write!(
                f,
                ", questions {}, temperatures {:?}",
                self.questions.hash(),
                self.temperatures
            )?;
        }
        f.write_str(")")
    }
}
