//! Critics that break one rule each.

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::super::critic::*;
use super::super::{ANSWERS, NAMED};
use super::{Case, assert_refused, broke, named_unless_that_is_broken};
use crate::Result;
use crate::critic::{Critic, Critique, CritiqueRequest, Verdict};
use crate::reference::Caption;
use crate::testing::{FakeVlm, conformance, solid};
use crate::vlm::{ChatRequest, Message, Vlm};

/// Asks one question, and finds what `missing` makes of the number that is asked for.
#[derive(Debug)]
struct Broken {
    rule: &'static str,
    missing: fn(usize) -> Vec<Caption>,
    vlm: Box<dyn Vlm>,
}

#[async_trait]
impl Critic for Broken {
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
        let chat = ChatRequest::new(vec![Message::user(&request.prompt)]);
        let asked = match self.rule {
            ASKS => Ok(()),
            LOGGED => self.vlm.chat(&chat).await.map(drop),
            _ => request.log.ask(&self.vlm, "decision", &chat).await.map(drop),
        };
        if asked.is_err() && self.rule == LOGGED_FAILURE {
            request.log.take();
        }
        asked?;
        match self.rule {
            ANSWERS => broke(),
            NO_MATCH => Ok(Verdict::Match.into()),
            _ if request.image.is_none() && self.rule == "none" => Ok(Verdict::Undetermined.into()),
            _ => Ok(Verdict::Missing((self.missing)(request.max_concepts)).into()),
        }
    }
}

named_unless_that_is_broken!(Broken);

fn cats(count: usize) -> Vec<Caption> {
    vec![Caption::concept("a cat"); count]
}

type Missing = fn(usize) -> Vec<Caption>;

/// Each finds something wrong, or is broken by its name.
const BROKEN: [(&str, Missing); 12] = [
    (NAMED, cats),
    (ANSWERS, cats),
    (NO_MATCH, cats),
    (HOW_MANY, |_| cats(0)),
    (HOW_MANY, |_| cats(2)),
    (HOW_MANY, |most| cats(most + 1)),
    (HOW_MANY, |most| if most > 1 { cats(most + 1) } else { cats(1) }),
    (BLANK, |_| vec![Caption::new("", "a cat")]),
    (BLANK, |_| vec![Caption::new("a cat", " ")]),
    (LOGGED, cats),
    (ASKS, cats),
    (LOGGED_FAILURE, cats),
];

async fn suite(rule: &'static str, missing: Missing) {
    let vlm = FakeVlm::new(["no"; 12]);
    let critic = |vlm| Broken { rule, missing, vlm };
    conformance::critic_over(vlm, critic, "a cat", &solid(8, 8, [0; 3])).await;
}

#[test]
fn every_rule_can_be_broken() {
    let case = |(rule, missing)| -> Case { (rule, suite(rule, missing).boxed()) };
    assert_refused("Critic", RULES, BROKEN.map(case).into());
    block_on(suite("none", cats));
}
