//! Conditioners that break one rule each.

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::super::conditioner::*;
use super::super::{ANSWERS, NAMED, reference};
use super::{Case, assert_refused, broke, named_unless_that_is_broken};
use crate::Result;
use crate::conditioner::{
    ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind, ImageTokens,
};
use crate::testing::{FakeConditioner, conformance, solid};

#[derive(Debug)]
struct Broken {
    rule: &'static str,
    /// The numbers of references that it takes for 2.
    takes: fn(usize) -> bool,
    inner: FakeConditioner,
}

#[async_trait]
impl Conditioner for Broken {
    fn produces(&self) -> ConditioningKind {
        match self.rule {
            KIND => ConditioningKind::Images,
            _ => self.inner.produces(),
        }
    }

    fn capacity(&self) -> usize {
        if self.rule == CAPACITY { 0 } else { self.inner.capacity() }
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        let mut request = request.clone();
        if (self.takes)(request.references.len()) {
            request.references = vec![reference(0, solid(8, 8, [9; 3])); 2];
        }
        let mut conditioned = self.inner.condition(&request).await?;
        match (self.rule, &mut conditioned.conditioning) {
            (ANSWERS, _) => return broke(),
            (PROMPT, _) => conditioned.prompt = "something else".into(),
            (IN_RANGE, Conditioning::Tokens(tokens)) => tokens.strength.scale = f64::NAN,
            (REFERENCES, conditioning) => {
                let tokens = ImageTokens::new("colours", 1, 1, [0.5], [0.0])?;
                *conditioning = Conditioning::Tokens(tokens);
            }
            _ => {}
        }
        Ok(conditioned)
    }
}

named_unless_that_is_broken!(Broken);

type Takes = fn(usize) -> bool;

async fn suite(rule: &'static str, takes: Takes) {
    let inner = FakeConditioner::new("colours", 2);
    conformance::conditioner(&Broken { rule, takes, inner }).await;
}

#[test]
fn every_rule_can_be_broken() {
    let by_name = [NAMED, ANSWERS, CAPACITY, KIND, IN_RANGE, PROMPT, REFERENCES];
    let by_name = by_name.map(|rule| (rule, (|_| false) as Takes));
    let by_count: [(_, Takes); 2] = [(HOW_MANY, |count| count == 0), (HOW_MANY, |count| count > 2)];
    let case = |(rule, takes)| -> Case { (rule, suite(rule, takes).boxed()) };
    assert_refused("Conditioner", RULES, by_name.into_iter().chain(by_count).map(case).collect());
    block_on(suite("none", |_| false));
}
