//! A part that fails in passing, of every kind, behind [`Retry`] and [`Limit`].

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::join_all;

use super::*;
use crate::Error;
use crate::generator::{Progress, Step};
use crate::reference::Caption;
use crate::testing::{FakeGenerator, solid};

/// Every part at once. Its first calls time out, and it counts how many are inside.
#[derive(Debug, Default)]
struct Flaky {
    failures: AtomicUsize,
    calls: AtomicUsize,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flaky")
    }
}

impl Flaky {
    async fn answer<T>(&self, answer: T) -> Result<T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        futures_timer::Delay::new(Duration::from_millis(2)).await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        let left =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match left {
            Ok(_) => Err(Error::timeout(self, Duration::from_millis(2))),
            Err(_) => Ok(answer),
        }
    }
}

#[async_trait]
impl Vlm for Flaky {
    async fn chat(&self, _: &ChatRequest) -> Result<ChatReply> {
        self.answer(ChatReply::new("yes")).await
    }
}

#[async_trait]
impl Critic for Flaky {
    async fn critique(&self, _: &CritiqueRequest) -> Result<Critique> {
        self.answer(crate::critic::Verdict::Match.into()).await
    }
}

#[async_trait]
impl Generator for Flaky {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None]
    }
    fn image_mark(&self) -> Option<&str> {
        Some("<{n}>")
    }
    fn repeats(&self) -> bool {
        false
    }
    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        for step in 1..=2 {
            requests.iter().for_each(|request| request.progress.report(Step::new(step, 3)));
        }
        let drawn = self.answer(vec![solid(1, 1, [0; 3]).into(); requests.len()]).await?;
        requests.iter().for_each(|request| request.progress.report(Step::new(3, 3)));
        Ok(drawn)
    }
}

#[async_trait]
impl Embedder for Flaky {
    fn dim(&self) -> usize {
        2
    }
    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        self.answer(texts.iter().map(|_| one()).collect()).await
    }
    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        self.answer(images.iter().map(|_| one()).collect()).await
    }
}

#[async_trait]
impl Retriever for Flaky {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        self.answer(vec![Vec::new(); request.captions.len()]).await
    }
}

#[async_trait]
impl Reranker for Flaky {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        self.answer(vec![Ranking::default(); request.lists.len()]).await
    }
}

#[async_trait]
impl Conditioner for Flaky {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Images
    }
    fn capacity(&self) -> usize {
        7
    }
    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        let (prompt, conditioning) = (request.prompt.clone(), Default::default());
        self.answer(Conditioned { prompt, conditioning }).await
    }
}

#[async_trait]
impl VectorIndex for Flaky {
    fn dim(&self) -> usize {
        3
    }
    async fn count(&self) -> Result<usize> {
        self.answer(9).await
    }
    async fn search(&self, queries: &[Embedding], _: usize) -> Result<Hits> {
        self.answer(vec![Vec::new(); queries.len()]).await
    }
}

fn one() -> Embedding {
    Embedding::new([1.0, 0.0]).unwrap()
}

/// Calls each method of each part once.
async fn call_all<P>(part: &P)
where
    P: Vlm + Critic + Generator + Embedder + Retriever + Reranker + Conditioner + VectorIndex,
{
    let image = solid(1, 1, [0; 3]);
    let caption = [Caption::concept("a cat")];
    part.chat(&ChatRequest::new(Vec::new())).await.unwrap();
    part.critique(&CritiqueRequest::new("a", None)).await.unwrap();
    assert_eq!(part.generate(&[GenerateRequest::new("a")]).await.unwrap().len(), 1);
    assert_eq!(part.embed_texts(&["a"]).await.unwrap().len(), 1);
    assert_eq!(part.embed_images(&[image]).await.unwrap().len(), 1);
    assert_eq!(part.retrieve(&RetrieveRequest::new(caption.clone(), 1)).await.unwrap().len(), 1);
    assert_eq!(part.rank(&RerankRequest::new(caption, vec![Vec::new()])).await.unwrap().len(), 1);
    assert_eq!(part.condition(&ConditionRequest::new("a", [])).await.unwrap().prompt, "a");
    assert_eq!(part.count().await.unwrap(), 9);
    assert_eq!(part.search(&[one()], 1).await.unwrap().len(), 1);
    assert_eq!(part.search_among(&[one()], 0, &IdSet::new()).await.unwrap().len(), 1);
    assert_eq!((Embedder::dim(part), VectorIndex::dim(part), part.capacity()), (2, 3, 7));
    assert_eq!((part.image_mark(), part.produces()), (Some("<{n}>"), ConditioningKind::Images));
    assert!(!part.repeats());
    assert_eq!(Generator::accepts(part), [ConditioningKind::None]);
}

#[test]
fn every_part_can_be_retried_and_limited() {
    let short = Duration::from_millis(1);
    let flaky = Arc::new(Flaky { failures: 9.into(), ..Flaky::default() });
    let part = Limit::new(Retry::new(Arc::clone(&flaky), 10).with_first_wait(short), 2).unwrap();
    block_on(call_all(&part));
    assert!(flaky.calls.load(Ordering::SeqCst) >= 11 + 9, "{flaky:?}");
    assert_eq!(part.to_string(), "Limit(Retry(Flaky, 10), 2)");
    block_on(join_all((0..8).map(|_| call_all(&part))));
    assert_eq!(flaky.most.load(Ordering::SeqCst), 2, "clones and kinds of calls share the limit");
    block_on(join_all([part.clone(), part.clone()].iter().map(call_all)));
    assert_eq!(flaky.most.load(Ordering::SeqCst), 2);
}

#[test]
fn a_step_is_told_once_however_often_it_is_taken() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let progress = Progress::new(move |step| listener.lock().unwrap().push(step.index));
    let flaky = Flaky { failures: 2.into(), ..Flaky::default() };
    let retry = Retry::new(flaky, 3).with_first_wait(Duration::from_millis(1));
    let request = GenerateRequest::new("a").with_progress(progress);
    block_on(retry.generate(&[request])).unwrap();
    assert_eq!(*told.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn previews_are_still_asked_for() {
    let told = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&told);
    let progress = Progress::new(move |step| {
        seen.fetch_add(usize::from(step.preview.is_some()), Ordering::SeqCst);
    });
    let request =
        GenerateRequest::new("a").with_steps(4).with_progress(progress.with_previews_every(2));
    block_on(Retry::new(FakeGenerator::new(), 1).generate(&[request])).unwrap();
    assert_eq!(told.load(Ordering::SeqCst), 2);
}
