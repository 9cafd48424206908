//! Queries to their ten nearest among 350,000 vectors of 512 values, the paper's gallery at CLIP's
//! width: `FlatIndex` beside the loop one would write first.
//!
//! `cargo bench --bench flat_index`

use std::cmp::Ordering;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use imagerag::retriever::{Embedding, FlatIndex, Neighbor, VectorIndex};

const COUNT: usize = 350_000;
const DIM: usize = 512;
const LIMIT: usize = 10;

/// Vectors of values in [-1, 1) from a linear congruential generator.
fn vectors(count: usize, mut state: u64) -> Vec<Embedding> {
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count)
        .map(|_| Embedding::new((0..DIM).map(|_| next()).collect::<Vec<_>>()).unwrap())
        .collect()
}

/// One query after another: every score, sorted, cut.
fn naive(gallery: &[Embedding], queries: &[Embedding]) -> Vec<Vec<Neighbor>> {
    let nearest = |query: &Embedding| {
        let scores = gallery.iter().map(|row| query.similarity(row));
        let mut all: Vec<_> = scores.zip(0..).map(|(score, id)| Neighbor { id, score }).collect();
        all.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
        all.truncate(LIMIT);
        all
    };
    queries.iter().map(nearest).collect()
}

fn search(criterion: &mut Criterion) {
    let gallery = vectors(COUNT, 1);
    let mut index = FlatIndex::new(DIM).unwrap();
    gallery.iter().for_each(|row| {
        index.add(row).unwrap();
    });
    let mut group = criterion.benchmark_group("flat_index");
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    for batch in [1, 32] {
        let queries = vectors(batch, 2);
        let ids = |found: &[Vec<Neighbor>]| -> Vec<u64> {
            found.iter().flatten().map(|n| n.id).collect()
        };
        let found = index.search(&queries, LIMIT).unwrap();
        assert_eq!(ids(&found), ids(&naive(&gallery, &queries)), "both find the same");
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_with_input(
            BenchmarkId::new("FlatIndex", batch),
            &queries,
            |bencher, queries| {
                bencher.iter(|| index.search(black_box(queries), LIMIT).unwrap());
            },
        );
        group.bench_with_input(BenchmarkId::new("naive", batch), &queries, |bencher, queries| {
            bencher.iter(|| naive(&gallery, black_box(queries)));
        });
    }
    group.finish();
}

criterion_group!(benches, search);
criterion_main!(benches);
