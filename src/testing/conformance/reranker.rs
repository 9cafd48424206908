//! The suite of [`Reranker`].

use super::Suite;
use super::asked::Asked;
use crate::reference::{Caption, Reference};
use crate::retriever::{Ranking, RerankRequest, Reranker};
use crate::vlm::Vlm;

rules! {
    NO_LIST: "no list gives no ranking",
    ONE_EACH: "one ranking per list, also for an empty one",
    SCORES: "one score per candidate",
    FINITE: "scores are finite",
    SAME: "the same call gives the same rankings",
    ORDER: "rankings come in the order of the lists",
    LOGGED: "every question to a model is in the log of the request",
    ASKS: "the re-ranker asks the model that it was made with",
    LOGGED_FAILURE: "a question that fails is in the log of the request",
}

/// Checks a [`Reranker`] with lists of candidates, each found for one caption. It judges the lists
/// three times, with an empty list behind them: twice as they are, and once in reverse order.
///
/// A re-ranker that asks a VLM is better checked with [`reranker_over`].
///
/// ```
/// use futures::executor::block_on;
/// use imagerag::Retriever;
/// use imagerag::reference::Caption;
/// use imagerag::retriever::{Bm25, RetrieveRequest};
/// use imagerag::testing::{FakeRetriever, conformance, solid};
///
/// let images = ["a red car", "a red tree"].map(|label| (label, solid(8, 8, [200, 0, 0])));
/// let request = RetrieveRequest::new([Caption::concept("a red thing")], 2);
/// let lists = block_on(FakeRetriever::new(images).retrieve(&request))?;
/// block_on(conformance::reranker(&Bm25::new(), &lists));
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Panics
/// When no list has two candidates, the re-ranker breaks a rule, or it cannot be reached.
pub async fn reranker(part: &dyn Reranker, lists: &[Vec<Reference>]) {
    rankings(&Suite::new("Reranker", part), part, None, lists).await;
}

/// Checks a [`Reranker`] that asks a VLM as [`reranker()`] does, and that its questions are in the
/// log. `reranker` makes it over the VLM that it is given, which asks `vlm` and counts. It is made
/// twice: the second one's questions fail.
///
/// ```
/// # use futures::executor::block_on;
/// # use imagerag::Retriever;
/// # use imagerag::reference::Caption;
/// use imagerag::retriever::{RetrieveRequest, VlmReranker};
/// use imagerag::testing::{FakeRetriever, FakeVlm, conformance, solid};
///
/// let images = ["a red car", "a red tree"].map(|label| (label, solid(8, 8, [200, 0, 0])));
/// let request = RetrieveRequest::new([Caption::concept("a red thing")], 2);
/// let lists = block_on(FakeRetriever::new(images).retrieve(&request))?;
/// let vlm = FakeVlm::new(["1, 0"]);
/// block_on(conformance::reranker_over(vlm, |vlm| VlmReranker::new(vlm), &lists));
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Panics
/// As [`reranker()`].
pub async fn reranker_over<R: Reranker>(
    vlm: impl Vlm,
    reranker: impl Fn(Box<dyn Vlm>) -> R + Send,
    lists: &[Vec<Reference>],
) {
    let asked = Asked::new(vlm);
    let part = reranker(Box::new(asked.clone()));
    let suite = Suite::new("Reranker", &part);
    rankings(&suite, &part, Some(&asked), lists).await;

    asked.fail();
    let fresh = reranker(Box::new(asked.clone())); // Nothing is answered from memory.
    let request = request_for(lists.iter());
    let _ = fresh.rank(&request).await; // What becomes of the rankings is its own affair.
    asked.check(&suite, LOGGED_FAILURE, &request.log);
}

/// `lists` with their captions.
fn request_for<'a>(lists: impl Iterator<Item = &'a Vec<Reference>>) -> RerankRequest {
    let caption = |list: &Vec<Reference>| match list.first() {
        Some(first) => first.caption.clone(),
        None => Caption::concept("nothing"),
    };
    let lists: Vec<_> = lists.cloned().collect();
    RerankRequest::new(lists.iter().map(caption).collect::<Vec<_>>(), lists)
}

async fn rankings(
    suite: &Suite,
    part: &dyn Reranker,
    asked: Option<&Asked>,
    lists: &[Vec<Reference>],
) {
    assert!(lists.iter().any(|list| list.len() > 1), "the suite needs candidates");
    let mut questions = 0;
    let mut rank = async |request: &RerankRequest| -> Vec<Ranking> {
        let rankings = part.rank(request).await;
        if let Some(asked) = asked {
            questions += asked.check(suite, LOGGED, &request.log);
        }
        suite.answer(rankings)
    };
    let lists = [lists, &[Vec::new()]].concat();
    let found = rank(&request_for(lists.iter())).await;
    suite.count(ONE_EACH, "rankings", lists.len(), found.len());
    for (list, Ranking { scores, .. }) in lists.iter().zip(&found) {
        suite.count(SCORES, "scores", list.len(), scores.len());
        let finite = scores.iter().all(|score| score.is_finite());
        suite.rule(FINITE, finite, format_args!("{scores:?}"));
    }
    let none = rank(&RerankRequest::new([], Vec::new())).await;
    suite.count(NO_LIST, "rankings", 0, none.len());
    let again = rank(&request_for(lists.iter())).await;
    suite.rule(SAME, again == found, format_args!("{again:?} after {found:?}"));
    let mut reversed = rank(&request_for(lists.iter().rev())).await;
    reversed.reverse();
    let held = format_args!("{reversed:?} of the lists in reverse, and {found:?}");
    suite.rule(ORDER, reversed == found, held);
    suite.rule(ASKS, asked.is_none() || questions > 0, "no question");
}
