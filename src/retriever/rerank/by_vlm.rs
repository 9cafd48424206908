//! [`VlmReranker`]: has a VLM order the candidates, in one question with all of them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use super::remembered::Remembered;
use super::{Ranking, RerankRequest, Reranker};
use crate::Result;
use crate::reference::{Reference, Source};
use crate::vlm::{ChatReply, ChatRequest, ExchangeLog, Message, Questions, Vlm, parse, schema};

/// The paper's GPT re-rank: shows a VLM the candidates and asks for their numbers, the most
/// relevant first.
///
/// The score is one over the rank: 1 for the best, 1/2 for the second, and so on. Candidates that
/// the model does not name follow in the retriever's order. If it refuses, or names no candidate,
/// the retriever's order stays, and the reply is in the provenance's note.
///
/// Answers are cached, so that the same call gives the same order. Clones share the cache, which
/// keeps the latest 100,000 answers.
#[derive(Debug)]
pub struct VlmReranker<V> {
    vlm: Arc<V>,
    questions: Arc<Questions>,
    answered: Remembered<Question, Ranking>,
}

/// What was looked for, and the images that were shown.
type Question = (String, Vec<Source>);

impl<V: Vlm> VlmReranker<V> {
    /// The order of `vlm`, which is asked at temperature 0.
    pub fn new(vlm: V) -> Self {
        Self { vlm: Arc::new(vlm), questions: Arc::default(), answered: Remembered::new() }
    }

    /// Another sentence than the default [`rerank`](Questions#structfield.rerank), or that of
    /// another language. The cache begins anew.
    ///
    /// # Errors
    /// As [`Questions::validate`].
    pub fn with_questions(mut self, questions: Questions) -> Result<Self> {
        questions.validate()?;
        self.questions = Arc::new(questions);
        self.answered = Remembered::new();
        Ok(self)
    }

    async fn ask(&self, text: &str, list: &[Reference], log: &ExchangeLog) -> Result<Ranking> {
        if list.len() < 2 {
            return Ok(in_order(&[0][..list.len()], None)); // Nothing to choose from.
        }
        let sources = list.iter().map(|candidate| candidate.provenance.source.clone());
        let question: Question = (text.to_owned(), sources.collect());
        let ask = |log| {
            let (vlm, questions) = (Arc::clone(&self.vlm), Arc::clone(&self.questions));
            rank_one(vlm, questions, text.to_owned(), list.to_vec(), log)
        };
        let (ranking, _) = self.answered.get(question, log, ask).await?;
        Ok(ranking)
    }
}

/// The model's order of the candidates in `list`, at least 2.
async fn rank_one(
    vlm: Arc<impl Vlm>,
    questions: Arc<Questions>,
    text: String,
    list: Vec<Reference>,
    log: ExchangeLog,
) -> Result<Ranking> {
    // Candidates that cannot be read and may be passed over are not shown, and come last.
    let images = try_join_all(list.iter().map(Reference::readable_image)).await?;
    let (shown, unread): (Vec<usize>, Vec<usize>) =
        (0..list.len()).partition(|&n| images[n].is_some());
    let order = [shown.as_slice(), &unread].concat();
    if shown.len() < 2 {
        return Ok(in_order(&order, None));
    }
    let message = Message::user(questions.ask_rerank(&text, shown.len()))
        .with_images(images.into_iter().flatten());
    let chat = ChatRequest::from(message).with_json_schema(schema::INDICES);
    let reply = log.ask(&vlm, "re-ranking", &chat).await?;
    Ok(read(&vlm, &questions, &reply, &order, shown.len()))
}

/// The order that the model gives: `candidates` in the retriever's order, the first `shown` of
/// which it has seen.
fn read(
    vlm: &impl Vlm,
    questions: &Questions,
    reply: &ChatReply,
    candidates: &[usize],
    shown: usize,
) -> Ranking {
    let named = parse::indices(questions, reply, shown);
    let said = reply.refusal.as_deref().unwrap_or(&reply.text);
    let note = match named.is_empty() {
        true => format!("{vlm} gave no order: {said}"),
        false => format!("{vlm}: {said}"),
    };
    let others = (0..candidates.len()).filter(|n| !named.contains(n));
    let order = named.iter().copied().chain(others).map(|n| candidates[n]);
    in_order(&order.collect::<Vec<_>>(), Some(note))
}

/// The candidates of these numbers, the best first.
fn in_order(numbers: &[usize], note: Option<String>) -> Ranking {
    let mut scores = vec![0.0; numbers.len()];
    for (place, &number) in numbers.iter().enumerate() {
        scores[number] = 1.0 / (place as f32 + 1.0);
    }
    Ranking { scores, note }
}

/// Clones share the model and the cache.
impl<V> Clone for VlmReranker<V> {
    fn clone(&self) -> Self {
        Self {
            vlm: Arc::clone(&self.vlm),
            questions: Arc::clone(&self.questions),
            answered: self.answered.clone(),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<V: Vlm> Reranker for VlmReranker<V> {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        let asked =
            request.each().map(|(caption, list)| self.ask(&caption.text, list, &request.log));
        join_all(asked).await.into_iter().collect()
    }
}

/// The model's own name: that a model re-ranks is what `Rerank(…, gpt-4o)` says.
impl<V: fmt::Display> fmt::Display for VlmReranker<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vlm.fmt(f)?; // `{:#}` is for the part inside too.
        if f.alternate() {
            write!(f, ", questions {}", self.questions.hash())?;
        }
        Ok(())
    }
}
