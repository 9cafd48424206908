//! Broken parts: for each rule of each suite at least one, which the suite must refuse with the name
//! of that rule.

mod conditioner;
mod critic;
mod embedder;
mod generator;
mod reranker;
mod retriever;
mod vector_index;
mod vlm;

use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::BoxFuture;

use crate::conditioner::ConditioningKind;
use crate::embedder::{Embedded, Embedder};
use crate::generator::{Drawn, GenerateRequest, Generator};
use crate::reference::{Caption, Reference};
use crate::retriever::{Ranking, RerankRequest, Reranker, RetrieveRequest, Retriever};
use crate::testing::{FakeVlm, conformance, solid};
use crate::vlm::ChatReply;
use crate::{Error, Image, Result};

/// A rule, and the suite over a part that breaks it.
type Case = (&'static str, BoxFuture<'static, ()>);

/// Makes the `Display` of a `$Broken`, whose field `rule` is the one that it breaks.
macro_rules! named_unless_that_is_broken {
    ($Broken:ident) => {
        impl ::std::fmt::Display for $Broken {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(if self.rule == super::super::NAMED { " " } else { "Broken" })
            }
        }
    };
}
use named_unless_that_is_broken;

/// Asserts that every case is refused with its rule, and that each of `rules`, and of those that
/// hold for all parts, has a case.
fn assert_refused(of: &str, rules: &[&'static str], cases: Vec<Case>) {
    for rule in rules.iter().chain(super::RULES) {
        assert!(cases.iter().any(|(broken, _)| broken == rule), "nothing breaks: {rule}");
    }
    for (rule, suite) in cases {
        let words = refusal(suite).unwrap_or_else(|| panic!("is not refused: {rule}"));
        let expected = format!(" breaks the contract of {of}: {rule}, found ");
        assert!(words.contains(&expected), "{words:?} does not say: {rule}");
    }
}

/// The words with which a suite panics; none if the part passes.
fn refusal(suite: impl Future<Output = ()>) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| block_on(suite))).err()?;
    Some(*panic.downcast::<String>().unwrap())
}

/// What a backend says that broke.
fn broke<T>() -> crate::Result<T> {
    Err(Error::backend("Broken", "it broke"))
}

#[test]
fn a_service_that_is_not_there_breaks_no_rule() {
    let reset = || std::io::Error::from(ErrorKind::ConnectionReset);
    let cases = [
        (Error::timeout("x", Duration::from_secs(3)), "x took longer than 3s"),
        (Error::unavailable("x", "no network"), "x is not available: no network"),
        (Error::service("x", 503, "busy"), "x answered 503: busy"),
        (Error::service("x", 429, "slow down"), "x answered 429: slow down"),
        (Error::connection("x", reset()), "x could not be reached: connection reset"),
    ];
    for (error, words) in cases {
        let vlm = FakeVlm::default().then(Err(error));
        let found = refusal(conformance::vlm(&vlm)).unwrap();
        let expected = "FakeVlm: the service could not be reached, so nothing was checked: ";
        assert_eq!(found, format!("{expected}{words}"));
    }
    let vlm = FakeVlm::new(["yes"]).then(Err(Error::connection("x", reset())));
    let found = refusal(conformance::vlm(&vlm)).unwrap();
    let expected = "FakeVlm: the service could no longer be reached, so the rest was not checked: \
                    x could not be reached: connection reset";
    assert_eq!(found, expected);
}

/// A service that is away: its part answers only where nothing is asked for.
#[derive(Debug)]
struct Away;

impl Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Away")
    }
}

fn unless_asked<T: Default>(is_asked: bool) -> Result<T> {
    if is_asked { Err(Error::unavailable("Away", "no network")) } else { Ok(T::default()) }
}

#[async_trait]
impl Embedder for Away {
    fn dim(&self) -> usize {
        3
    }
    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        unless_asked(!texts.is_empty())
    }
    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        unless_asked(!images.is_empty())
    }
}

#[async_trait]
impl Generator for Away {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None]
    }
    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        unless_asked(!requests.is_empty())
    }
}

#[async_trait]
impl Retriever for Away {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        unless_asked(!request.captions.is_empty() && request.limit > 0)
    }
}

#[async_trait]
impl Reranker for Away {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        unless_asked(!request.lists.is_empty())
    }
}

#[test]
fn a_service_that_answers_nothing_but_nothing_was_never_reached() {
    let captions = [Caption::concept("a thing")];
    let list: Vec<_> = (0..2).map(|n| super::reference(n, solid(8, 8, [n as u8; 3]))).collect();
    let lists = [list];
    let suites: [BoxFuture<'_, ()>; 4] = [
        Box::pin(conformance::embedder(&Away)),
        Box::pin(conformance::generator(&Away)),
        Box::pin(conformance::retriever(&Away, &captions)),
        Box::pin(conformance::reranker(&Away, &lists)),
    ];
    for suite in suites {
        let expected = "Away: the service could not be reached, so nothing was checked: Away is \
                        not available: no network";
        assert_eq!(refusal(suite).unwrap(), expected);
    }
}

#[test]
fn an_answer_that_says_no_is_told_with_its_causes() {
    let vlm = FakeVlm::default().then(Ok(ChatReply::new("yes")));
    let vlm = vlm.then(Err(Error::backend("x", Error::service("y", 401, "no key"))));
    let found = refusal(conformance::vlm(&vlm)).unwrap();
    let expected = "FakeVlm breaks the contract of Vlm: a request that the contract allows is \
                    answered, found x failed: y answered 401: no key";
    assert_eq!(found, expected);
}
