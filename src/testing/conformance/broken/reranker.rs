//! Re-rankers that break one rule each.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::super::reranker::*;
use super::super::{ANSWERS, NAMED, reference};
use super::{Case, assert_refused, broke, named_unless_that_is_broken};
use crate::Result;
use crate::retriever::{Ranking, RerankRequest, Reranker};
use crate::testing::{FakeVlm, conformance, solid};
use crate::vlm::{ChatRequest, Message, Vlm};

/// Asks one question for all lists, and scores candidates by their place.
#[derive(Debug)]
struct Broken {
    rule: &'static str,
    vlm: Box<dyn Vlm>,
    calls: AtomicUsize,
}

#[async_trait]
impl Reranker for Broken {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        let chat = ChatRequest::new(vec![Message::user("which?")]);
        let asked = match self.rule {
            ASKS => Ok(()),
            LOGGED => self.vlm.chat(&chat).await.map(drop),
            _ => request.log.ask(&self.vlm, "re-ranking", &chat).await.map(drop),
        };
        if asked.is_err() && self.rule == LOGGED_FAILURE {
            request.log.take();
        }
        asked?;
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let none = request.lists.is_empty();
        let scores = |(place, list): (usize, &Vec<_>)| {
            let count = list.len() + usize::from(self.rule == SCORES);
            let score = |n: usize| match self.rule {
                FINITE => f32::NAN,
                SAME => (call + n) as f32,
                ORDER => (place + n) as f32,
                _ => n as f32,
            };
            Ranking { scores: (0..count).map(score).collect(), note: None }
        };
        let mut rankings: Vec<_> = request.lists.iter().enumerate().map(scores).collect();
        match self.rule {
            ANSWERS if !none => return broke(),
            NO_LIST if none => rankings.push(Ranking::default()),
            ONE_EACH if !none => rankings.retain(|ranking| !ranking.scores.is_empty()),
            _ => {}
        }
        Ok(rankings)
    }
}

named_unless_that_is_broken!(Broken);

async fn suite(rule: &'static str) {
    let lists = [0..3, 3..4].map(|range| range.map(|n| reference(n, solid(8, 8, [9; 3]))));
    let lists = lists.map(Iterator::collect::<Vec<_>>);
    let broken = |vlm| Broken { rule, vlm, calls: AtomicUsize::new(0) };
    conformance::reranker_over(FakeVlm::new(["0"; 9]), broken, &lists).await;
}

#[test]
fn every_rule_can_be_broken() {
    let rules = [NAMED, ANSWERS].into_iter().chain(RULES.iter().copied());
    let cases = rules.map(|rule| -> Case { (rule, suite(rule).boxed()) });
    assert_refused("Reranker", RULES, cases.collect());
    block_on(suite("none"));
}
