//! Queries to their ten nearest among 350,000 vectors of 512 values, the paper's gallery at CLIP's
//! width: `FlatIndex` in f32 and f16, with a filter, and `FaissIndex`, beside the loop one would
//! write first.
//!
//! `cargo bench --bench retrieval`, with `--features faiss` for the latter; `VECTORS=20000` before
//! it searches fewer. `cargo xtask peers retrieval` compares with Python's faiss-cpu.

use futures::executor::block_on;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use imagerag::embedder::Embedding;
#[cfg(feature = "faiss")]
use imagerag::index::FaissIndex;
use imagerag::index::{FlatIndex, IdSet, Neighbor, Precision, VectorIndex};

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
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all.truncate(LIMIT);
        all
    };
    queries.iter().map(nearest).collect()
}

fn flat(gallery: &[Embedding], precision: Precision) -> FlatIndex {
    let mut index = FlatIndex::with_precision(DIM, precision).unwrap();
    gallery.iter().for_each(|row| {
        index.add(row).unwrap();
    });
    index
}

#[cfg(feature = "faiss")]
fn faiss(gallery: &[Embedding]) -> FaissIndex {
    let mut index = FaissIndex::builder(DIM, "Flat").build().unwrap();
    index.add(gallery).unwrap();
    index
}

fn search(criterion: &mut Criterion) {
    let count = std::env::var("VECTORS").map_or(350_000, |count| count.parse().unwrap());
    let gallery = vectors(count, 1);
    let exact = flat(&gallery, Precision::F32);
    let indexes: Vec<Box<dyn VectorIndex>> = vec![
        Box::new(exact.clone()),
        Box::new(flat(&gallery, Precision::F16)),
        #[cfg(feature = "faiss")]
        Box::new(faiss(&gallery)),
    ];
    let tenth: IdSet = (0..count as u64).step_by(10).collect();
    let mut group = criterion.benchmark_group("retrieval");
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    for batch in [1, 32] {
        let queries = vectors(batch, 2);
        let ids = |found: &[Vec<Neighbor>]| -> Vec<u64> {
            found.iter().flatten().map(|n| n.id).collect()
        };
        let found = block_on(exact.search(&queries, LIMIT)).unwrap();
        assert_eq!(ids(&found), ids(&naive(&gallery, &queries)), "both find the same");
        group.throughput(Throughput::Elements(batch as u64));
        for index in &indexes {
            group.bench_function(BenchmarkId::new(index.to_string(), batch), |bencher| {
                bencher.iter(|| block_on(index.search(black_box(&queries), LIMIT)).unwrap());
            });
        }
        group.bench_function(BenchmarkId::new("Flat among a tenth", batch), |bencher| {
            bencher
                .iter(|| block_on(exact.search_among(black_box(&queries), LIMIT, &tenth)).unwrap());
        });
        group.bench_function(BenchmarkId::new("naive", batch), |bencher| {
            bencher.iter(|| naive(&gallery, black_box(&queries)));
        });
    }
    group.finish();
}

criterion_group!(benches, search);
criterion_main!(benches);
