//! A prompt through the whole loop on parts that cost nothing: what the pipeline itself takes.
//!
//! `cargo bench --bench pipeline_overhead`

use std::fmt;

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use futures::executor::block_on;
use imagerag::conditioner::{ConditioningKind, InPrompt};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::reference::{Caption, Provenance, Reference, Source};
use imagerag::retriever::RetrieveRequest;
use imagerag::vlm::{ChatReply, ChatRequest};
use imagerag::{Generator, Image, RagPipeline, RagRequest, Result, Retriever, Vlm};

/// Requests that are worked through together, and how many of them at a time.
const MANY: usize = 64;
const AT_A_TIME: usize = 8;

/// Every part at once: draws one image, misses a quetzal in it, and finds one.
#[derive(Clone, Debug)]
struct Instant(Image);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Instant")
    }
}

#[async_trait]
impl Generator for Instant {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        Ok(vec![self.0.clone().into(); requests.len()])
    }
}

#[async_trait]
impl Vlm for Instant {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        Ok(ChatReply::new(match request.messages.len() {
            1 => "no",
            3 => "1. a quetzal",
            _ => "a photo of a quetzal",
        }))
    }
}

#[async_trait]
impl Retriever for Instant {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let found = |caption: &Caption| Reference {
            picture: self.0.clone().into(),
            caption: caption.clone(),
            provenance: Provenance::new(Source::Uri("quetzal.jpg".into()), self, 0.3, 0),
        };
        Ok(request.captions.iter().map(|caption| vec![found(caption)]).collect())
    }
}

fn pipeline() -> RagPipeline {
    let part = Instant(Image::new(1024, 1024, vec![0; 3 << 20]).unwrap());
    RagPipeline::builder()
        .generator(part.clone())
        .vlm(part.clone())
        .retriever(part)
        .conditioner(InPrompt::new(3).unwrap())
        .build()
        .unwrap()
}

fn overhead(criterion: &mut Criterion) {
    let pipeline = pipeline();
    let request = RagRequest::new("a quetzal at dawn");
    let outcome = block_on(pipeline.run(request.clone())).unwrap();
    assert_eq!(outcome.references.len(), 1, "the whole loop runs");

    let mut group = criterion.benchmark_group("pipeline_overhead");
    group.bench_function("run", |bencher| {
        bencher.iter(|| block_on(pipeline.run(request.clone())).unwrap());
    });
    group.bench_function("stream", |bencher| {
        bencher.iter(|| block_on(pipeline.stream(request.clone()).count()));
    });
    group.throughput(Throughput::Elements(MANY as u64));
    group.bench_function("run_many", |bencher| {
        bencher.iter(|| {
            let requests = vec![request.clone(); MANY];
            block_on(pipeline.run_many(requests, AT_A_TIME).count())
        });
    });
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
