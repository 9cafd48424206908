//! [`VlmReranker`]: candidates that a VLM looks at, all in one question, to its order of them.

use std::fmt;

use async_trait::async_trait;
use futures::future::join_all;

use super::remembered::Remembered;
use super::{Ranking, Reranker};
use crate::Result;
use crate::reference::{Reference, Source};
use crate::vlm::ExchangeLog;
use crate::vlm::{ChatReply, ChatRequest, Message, Vlm};
use crate::vlm::{parse, prompts};

/// Shows a VLM the candidates and has it name them by their numbers, the most relevant first: the
/// paper's GPT re-rank.
///
/// The score is one over the place, in (0, 1]: 1 for the best, 1/2 for the second, and so on.
/// Candidates that the model does not name follow in the retriever's order. Where it declines, or
/// its reply holds no number of a candidate, that order is the result; either way the reply is in
/// the provenance's note.
///
/// A question that was answered is not asked again: the same call gives the same order. Clones share
/// the answers, the latest 100,000 of which are kept as long as one of them lives.
#[derive(Clone, Debug)]
pub struct VlmReranker<V> {
    vlm: V,
    answered: Remembered<Question, Ranking>,
}

/// What was looked for, and the images that were shown.
type Question = (String, Vec<Source>);

impl<V: Vlm> VlmReranker<V> {
    /// The order of `vlm`, which is asked at temperature 0.
    pub fn new(vlm: V) -> Self {
        Self { vlm, answered: Remembered::new() }
    }

    async fn ask(&self, list: &[Reference]) -> Result<Ranking> {
        let [first, _, ..] = list else {
            return Ok(in_order(0..list.len(), None)); // Nothing to choose from.
        };
        let sources = list.iter().map(|candidate| candidate.provenance.source.clone());
        let question: Question = (first.caption.text.clone(), sources.collect());
        let message = Message::user(prompts::rerank(&first.caption.text, list.len()))
            .with_images(list.iter().map(|candidate| candidate.image.clone()));
        let chat = ChatRequest::new(vec![message]);
        let ask = async {
            let reply = ExchangeLog::current().ask(&self.vlm, "re-ranking", &chat).await?;
            Ok(self.read(&reply, list.len()))
        };
        let (ranking, _) = self.answered.get(question, ask).await?;
        Ok(ranking)
    }

    fn read(&self, reply: &ChatReply, candidates: usize) -> Ranking {
        let refused = reply.refusal.is_some() || parse::is_refusal(&reply.text);
        let named = if refused { Vec::new() } else { parse::indices(&reply.text, candidates) };
        let said = reply.refusal.as_deref().unwrap_or(&reply.text);
        let note = match named.is_empty() {
            true => format!("{} gave no order: {said}", self.vlm),
            false => format!("{}: {said}", self.vlm),
        };
        let others: Vec<usize> = (0..candidates).filter(|n| !named.contains(n)).collect();
        in_order(named.into_iter().chain(others), Some(note))
    }
}

/// The candidates of these numbers, the best first.
fn in_order(numbers: impl Iterator<Item = usize> + Clone, note: Option<String>) -> Ranking {
    let mut scores = vec![0.0; numbers.clone().count()];
    for (place, number) in numbers.enumerate() {
        scores[number] = 1.0 / (place as f32 + 1.0);
    }
    Ranking { scores, note }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<V: Vlm> Reranker for VlmReranker<V> {
    async fn rank(&self, lists: &[Vec<Reference>]) -> Result<Vec<Ranking>> {
        join_all(lists.iter().map(|list| self.ask(list))).await.into_iter().collect()
    }
}

/// The model's own name: that a model re-ranks is what `Rerank(…, gpt-4o)` says.
impl<V: fmt::Display> fmt::Display for VlmReranker<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vlm.fmt(f)
    }
}
