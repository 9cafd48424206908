//! Generators that break one rule each.

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::super::generator::*;
use super::super::{ANSWERS, NAMED};
use super::{Case, assert_refused, broke, named_unless_that_is_broken, refusal};
use crate::Result;
use crate::conditioner::{Conditioning, ConditioningKind};
use crate::generator::{Drawn, GenerateRequest, Generator, Progress, Step};
use crate::testing::{FakeConditioner, FakeGenerator, conformance, solid};

type Change = fn(&mut GenerateRequest);

/// Draws requests that are changed before.
#[derive(Debug)]
struct Broken {
    rule: &'static str,
    change: Change,
    accepts: Vec<ConditioningKind>,
    inner: FakeGenerator,
}

fn kinds() -> [ConditioningKind; 2] {
    [
        ConditioningKind::Tokens { space: "colours".into() },
        ConditioningKind::Condition { adapter: "subject".into() },
    ]
}

impl Broken {
    fn new(rule: &'static str, change: Change) -> Self {
        let inner = kinds().into_iter().fold(FakeGenerator::new(), FakeGenerator::accepting);
        let mut accepts = inner.accepts().to_vec();
        accepts.retain(|kind| match rule {
            PROMPT_ALONE => *kind != ConditioningKind::None,
            FITS => !kinds().contains(kind),
            _ => true,
        });
        Self { rule, change, accepts, inner }
    }
}

#[async_trait]
impl Generator for Broken {
    fn accepts(&self) -> &[ConditioningKind] {
        &self.accepts
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let mut changed = requests.to_vec();
        for request in &mut changed {
            (self.change)(request);
            if self.rule == SAME {
                request.seed += requests.len() as u64;
            }
        }
        match self.rule {
            ANSWERS if !requests.is_empty() => broke(),
            NO_REQUEST if requests.is_empty() => Ok(vec![solid(1, 1, [0; 3]).into()]),
            ONE_EACH => Ok(self.inner.generate(&changed).await?.into_iter().skip(1).collect()),
            _ => self.inner.generate(&changed).await,
        }
    }
}

named_unless_that_is_broken!(Broken);

/// `request`, whose listener is told of each step what `tell` makes of it.
fn told(request: &mut GenerateRequest, tell: fn(&Progress, Step)) {
    let progress = std::mem::take(&mut request.progress);
    request.progress = Progress::new(move |step| tell(&progress, step));
}

/// Without the references that are `of` a kind.
fn without(request: &mut GenerateRequest, of: fn(&ConditioningKind) -> bool) {
    if of(&request.conditioning.kind()) {
        request.conditioning = Conditioning::None;
    }
}

/// Each has a change, or is broken by its name.
const BROKEN: [(&str, Change); 24] = [
    (NAMED, |_| ()),
    (ANSWERS, |_| ()),
    (PROMPT_ALONE, |_| ()),
    (NO_REQUEST, |_| ()),
    (ONE_EACH, |_| ()),
    (FITS, |_| ()),
    (STEPS, |r| told(r, |p, step| (0..2).for_each(|_| p.report(step.clone())))),
    (STEPS, |r| told(r, |p, step| p.report(Step::new(step.index - 1, step.total)))),
    (STEPS, |r| told(r, |p, step| p.report(Step::new(step.total + 1 - step.index, step.total)))),
    (STEPS, |r| told(r, |p, step| p.report(Step::new(step.index, 20)))),
    (STEPS, |r| r.steps = r.steps.map(|steps| if steps == 2 { 4 } else { steps })),
    (STEPS, |r| {
        // The last of a batch alone is told a wrong number.
        if r.prompt == "a blue square" {
            told(r, |p, step| p.report(Step::new(step.index, 20)));
        }
    }),
    (SAME, |_| ()),
    (PROMPT, |r| r.prompt.truncate(2)),
    (SEED, |r| r.seed = 0),
    (IN_RANGE, |r| r.steps = r.steps.map(|steps| steps.max(1))),
    (IN_RANGE, |r| r.guidance_scale = None),
    (IN_RANGE, |r| r.width = None),
    (IN_RANGE, |r| r.height = None),
    (IN_RANGE, |r| r.prompt.truncate(20)),
    (ACCEPTED, |r| without(r, |kind| !kinds().contains(kind))),
    (REFERENCES, |r| without(r, |kind| *kind == ConditioningKind::Images)),
    (REFERENCES, |r| without(r, |kind| *kind == kinds()[0])),
    (REFERENCES, |r| without(r, |kind| *kind == kinds()[1])),
];

#[test]
fn every_rule_can_be_broken() {
    let case = |(rule, change): (&'static str, Change)| -> Case {
        let suite = async move {
            let part = Broken::new(rule, change);
            conformance::generator_with(&part, &FakeConditioner::new("colours", 1)).await;
            let subject = FakeConditioner::condition_image("subject");
            conformance::generator_with(&part, &subject).await;
        };
        (rule, suite.boxed())
    };
    assert_refused("Generator", RULES, BROKEN.map(case).into());
}

#[test]
fn a_generator_that_sees_no_steps_passes() {
    let silent = Broken::new("none", |request| request.progress = Progress::default());
    block_on(conformance::generator_with(&silent, &FakeConditioner::new("colours", 1)));
}

#[test]
fn what_is_told_says_what_was_found() {
    let broken = Broken::new(ONE_EACH, |_| ());
    let words = refusal(conformance::generator(&broken)).unwrap();
    let expected = "Broken breaks the contract of Generator: one image per request, found 2 images \
                    in place of 3";
    assert_eq!(words, expected);
}
