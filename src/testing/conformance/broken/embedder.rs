//! Embedders that break one rule each.

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;

use super::super::embedder::*;
use super::super::{ANSWERS, NAMED};
use super::{Case, assert_refused, broke, named_unless_that_is_broken};
use crate::embedder::{Embedded, Embedder, Embedding};
use crate::testing::{FakeEmbedder, conformance, solid};
use crate::{Image, Result};

/// What becomes of the embeddings of texts, or of images.
type Change = fn(&mut Vec<Embedding>);

#[derive(Debug)]
struct Broken {
    rule: &'static str,
    texts: Change,
    images: Change,
}

impl Broken {
    fn changed(&self, embedded: Result<Embedded>, change: Change) -> Result<Embedded> {
        let mut embeddings = embedded?.embeddings;
        if self.rule == ANSWERS {
            return broke();
        }
        change(&mut embeddings);
        Ok(embeddings.into())
    }
}

#[async_trait]
impl Embedder for Broken {
    fn dim(&self) -> usize {
        FakeEmbedder.dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        self.changed(FakeEmbedder.embed_texts(texts).await, self.texts)
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        self.changed(FakeEmbedder.embed_images(images).await, self.images)
    }

    fn preprocess(&self, image: &Image) -> Image {
        match self.rule {
            PREPROCESS => solid(8, 8, [9, 90, 30]),
            _ => FakeEmbedder.preprocess(image),
        }
    }
}

named_unless_that_is_broken!(Broken);

fn one(values: &[f32]) -> Embedding {
    Embedding::new(values).unwrap()
}

const KEEP: Change = |_| ();
const ADD: Change = |all| all.push(one(&[1.0, 0.0, 0.0]));
const DROP: Change = |all| drop(all.pop());
const WIDEN: Change = |all| all.iter_mut().for_each(|each| *each = one(&[1.0, 0.0, 0.0, 0.0]));
const TURN: Change = |all| all.reverse();
const EQUAL: Change = |all| all.iter_mut().for_each(|each| *each = one(&[1.0, 0.0, 0.0]));

const BROKEN: [(&str, Change, Change); 13] = [
    (NAMED, KEEP, KEEP),
    (ANSWERS, KEEP, KEEP),
    (PREPROCESS, KEEP, KEEP),
    (NONE, ADD, KEEP),
    (NONE, KEEP, ADD),
    (ONE_EACH, DROP, KEEP),
    (ONE_EACH, KEEP, DROP),
    (DIM, WIDEN, KEEP),
    (DIM, KEEP, WIDEN),
    (SAME, TURN, KEEP),
    (SAME, KEEP, TURN),
    (TEXTS, EQUAL, KEEP),
    (IMAGES, KEEP, EQUAL),
];

async fn suite(rule: &'static str, texts: Change, images: Change) {
    conformance::embedder(&Broken { rule, texts, images }).await;
}

#[test]
fn every_rule_can_be_broken() {
    let case = |(rule, texts, images)| -> Case { (rule, suite(rule, texts, images).boxed()) };
    assert_refused("Embedder", RULES, BROKEN.map(case).into());
    block_on(suite("none", KEEP, KEEP));
}
