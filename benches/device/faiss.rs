//! Turns 100,000 vectors into one line that says whether FAISS finds on a GPU what it finds on the CPU.
//!
//! ```text
//! device_faiss [--cpu] [--device N] [--json FILE]
//! ```
//!
//! `Flat`, `IVF256,Flat` and `IVF256,PQ16np` are compared neighbor by neighbor: all, filtered, many,
//! with more probes, there and back, from 16 threads, on two copies at once. `--cpu` leaves the
//! GPU's half out; without it, a GPU that is not there is a failure.

use futures::executor::block_on;
use std::error::Error;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use imagerag::VectorIndex;
use imagerag::embedder::Embedding;
use imagerag::index::{FaissIndex, FlatIndex, IdSet, Neighbor};
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Lists = Vec<Vec<Neighbor>>;

const VECTORS: usize = 100_000;
const DIM: usize = 128;
/// Vectors around one centre.
const CLUSTER: usize = 100;
const QUERIES: usize = 1_000;
const LIMIT: usize = 10;
const THREADS: usize = 16;
/// How much of the neighbors must be the same; near ties may be cut on either side.
const SAME: f64 = 0.999;
/// Factory string, lists to visit, and how far scores may be apart. Those of PQ are sums of 16 entries of
/// a table, each rounded, that a GPU adds in another order.
const INDEXES: [(&str, Option<usize>, f32); 3] =
    [("Flat", None, 1e-5), ("IVF256,Flat", Some(16), 1e-5), ("IVF256,PQ16np", Some(16), 1e-4)];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let file: Option<PathBuf> = word_after("--json")?.map(Into::into);
    let on_cpu = words.iter().any(|word| word == "--cpu");

    let start = Instant::now();
    let (vectors, queries) = vectors()?;
    let mut exact = FlatIndex::new(DIM)?;
    vectors.iter().try_for_each(|vector| exact.add(vector).map(drop))?;
    let (mut line, mut failed) = (Vec::new(), Vec::new());
    let mut report = Map::new();
    for (factory, nprobe, within) in INDEXES {
        let mut here = FaissIndex::builder(DIM, factory).train(&vectors)?;
        here.add(&vectors)?;
        let there = if on_cpu { Err("--cpu was asked for".into()) } else { to_gpu(&here) };
        let mut checks = Checks { factory, within, results: Map::new(), failed: Vec::new() };
        match there {
            Ok(there) => checks.gpu(&queries, here, there, nprobe)?,
            Err(why) => {
                checks.cpu(&queries, &here, &exact, nprobe)?;
                if !on_cpu {
                    checks.failed.push(format!("{factory}: {why}"));
                }
                checks.results.insert("gpu".into(), format!("not here: {why}").into());
            }
        }
        line.push(checks.line());
        failed.extend(checks.failed);
        report.insert(factory.into(), checks.results.into());
    }
    let seconds = start.elapsed().as_secs_f64();
    let verdict = if failed.is_empty() { "passed".into() } else { failed.join("; ") };
    println!("faiss: {verdict}; {}; {seconds:.0} s", line.join("; "));
    if let Some(file) = file {
        let whole = json!({"part": "faiss", "passed": failed.is_empty(), "failed": failed, "seconds": seconds,
            "vectors": VECTORS, "dim": DIM, "indexes": report});
        std::fs::write(file, serde_json::to_string_pretty(&whole)?)?;
    }
    if failed.is_empty() { Ok(()) } else { Err("FAISS' part failed".into()) }
}

/// What follows a flag on the command line, where the flag is there.
fn word_after(flag: &str) -> Result<Option<String>> {
    let mut words = std::env::args().skip_while(|word| word != flag);
    let is_there = words.next().is_some();
    let word = words.next();
    if is_there && word.is_none() {
        return Err(format!("{flag}: expected a word after it, found none").into());
    }
    Ok(word)
}

#[cfg(feature = "faiss-gpu")]
fn to_gpu(index: &FaissIndex) -> std::result::Result<FaissIndex, String> {
    let device = device().map_err(|error| error.to_string())?;
    index.to_gpu(device).map_err(|error| error.to_string())
}

/// The number of the GPU, 0 unless `--device` says another.
#[cfg(feature = "faiss-gpu")]
fn device() -> Result<usize> {
    Ok(word_after("--device")?.map_or(Ok(0), |number| number.parse())?)
}

#[cfg(not(feature = "faiss-gpu"))]
fn to_gpu(_: &FaissIndex) -> std::result::Result<FaissIndex, String> {
    Err("built without faiss-gpu".into())
}

/// What is found out about one index.
struct Checks {
    factory: &'static str,
    within: f32,
    results: Map<String, Value>,
    failed: Vec<String>,
}

impl Checks {
    /// Notes how alike two answers to the same queries are.
    fn alike(&mut self, what: &str, found: &Lists, expected: &Lists) {
        let (mut same, mut all, mut apart) = (0, 0, 0f32);
        for (found, expected) in found.iter().zip(expected) {
            let ids: IdSet = found.iter().map(|neighbor| neighbor.id).collect();
            same += expected.iter().filter(|neighbor| ids.contains(neighbor.id)).count();
            all += expected.len().max(found.len());
            let pairs = found.iter().zip(expected);
            apart = pairs.map(|(a, b)| (a.score - b.score).abs()).fold(apart, f32::max);
        }
        let share = same as f64 / all.max(1) as f64;
        let is_right = all > 0 && share >= SAME && apart <= self.within;
        self.note(what, is_right, json!({"same": share, "apart": apart, "neighbors": all}));
    }

    fn note(&mut self, what: &str, is_right: bool, value: Value) {
        if !is_right {
            self.failed.push(format!("{} {what}: {value}", self.factory));
        }
        self.results.insert(what.into(), value);
    }

    /// The index on a GPU against the same index on the CPU.
    fn gpu(
        &mut self,
        queries: &[Embedding],
        mut here: FaissIndex,
        mut there: FaissIndex,
        nprobe: Option<usize>,
    ) -> Result<()> {
        let few = &queries[..100];
        self.alike(
            "first",
            &block_on(there.search(queries, LIMIT))?,
            &block_on(here.search(queries, LIMIT))?,
        );
        if let Some(nprobe) = nprobe {
            let before = block_on(there.search(few, LIMIT))?;
            there.set_nprobe(nprobe)?;
            here.set_nprobe(nprobe)?;
            let after = block_on(there.search(few, LIMIT))?;
            self.alike("nprobe", &after, &block_on(here.search(few, LIMIT))?);
            self.note("nprobe finds more", total(&after) > total(&before), total(&after).into());
        }
        for (name, some) in filters() {
            let found = block_on(there.search_among(few, LIMIT, &some))?;
            self.alike(name, &found, &block_on(here.search_among(few, LIMIT, &some))?);
        }
        for limit in [2_047, 2_048, 3_000] {
            let found = block_on(there.search(&queries[..16], limit))?;
            self.alike(
                &format!("k = {limit}"),
                &found,
                &block_on(here.search(&queries[..16], limit))?,
            );
        }
        #[cfg(feature = "faiss-gpu")]
        {
            use imagerag::index::Sharding;
            let (expected, back) = (block_on(here.search(few, LIMIT))?, there.to_cpu()?);
            self.alike("back", &block_on(back.search(few, LIMIT))?, &expected);
            let again = block_on(back.to_gpu(device()?)?.search(few, LIMIT))?;
            self.alike("there again", &again, &expected);
            let last = FaissIndex::gpu_count() - 1;
            for (name, sharding) in [("replicas", Sharding::Replicas), ("shards", Sharding::Shards)]
            {
                let both = back.to_gpus(&[device()?, last], sharding)?;
                self.alike(name, &block_on(both.search(few, LIMIT))?, &expected);
            }
        }
        self.threads(queries, &there)?;
        self.speed("queries a second, CPU", queries, &here)?;
        self.speed("queries a second, GPU", queries, &there)
    }

    /// The index on the CPU against exhaustive search, or against itself.
    fn cpu(
        &mut self,
        queries: &[Embedding],
        here: &FaissIndex,
        exact: &FlatIndex,
        nprobe: Option<usize>,
    ) -> Result<()> {
        let few = &queries[..100];
        if nprobe.is_none() {
            self.alike(
                "first",
                &block_on(here.search(few, LIMIT))?,
                &block_on(exact.search(few, LIMIT))?,
            );
        }
        for (name, some) in filters() {
            let found = block_on(here.search_among(few, LIMIT, &some))?;
            if nprobe.is_none() {
                self.alike(name, &found, &block_on(exact.search_among(few, LIMIT, &some))?);
            }
            let passes = |n: &Neighbor| some.contains(n.id);
            let is_whole = found.iter().all(|list| list.len() == LIMIT && list.iter().all(passes));
            self.note(&format!("{name} is whole"), is_whole, is_whole.into());
        }
        let many = block_on(here.search(&queries[..16], 3_000))?;
        let is_whole = many.iter().all(|list| list.len() == 3_000);
        self.note("k = 3000 is whole", is_whole, is_whole.into());
        self.threads(queries, here)?;
        self.speed("queries a second, CPU", queries, here)
    }

    /// Whether 16 threads at once find what one finds.
    fn threads(&mut self, queries: &[Embedding], index: &FaissIndex) -> Result<()> {
        let chunks: Vec<_> = queries.chunks(queries.len() / THREADS).take(THREADS).collect();
        let search = |queries: &[Embedding]| block_on(index.search(queries, LIMIT));
        let alone =
            chunks.iter().map(|chunk| search(chunk)).collect::<imagerag::Result<Vec<_>>>()?;
        let together: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> =
                chunks.iter().map(|chunk| scope.spawn(|| search(chunk))).collect();
            running
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a thread panicked"))
                .collect()
        });
        let together = together.into_iter().map(|found| Ok(found??)).collect::<Result<Vec<_>>>()?;
        self.alike("16 threads", &together.concat(), &alone.concat());
        Ok(())
    }

    fn speed(&mut self, what: &str, queries: &[Embedding], index: &FaissIndex) -> Result<()> {
        block_on(index.search(queries, LIMIT))?;
        let (start, mut rounds) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(400) {
            block_on(index.search(queries, LIMIT))?;
            rounds += 1;
        }
        let rate = (rounds * queries.len()) as f64 / start.elapsed().as_secs_f64();
        self.note(what, rate > 0.0, rate.round().into());
        Ok(())
    }

    /// The index in a few words.
    fn line(&self) -> String {
        let rate = |what: &str| self.results.get(what).and_then(Value::as_f64);
        let cpu = rate("queries a second, CPU").unwrap_or(f64::NAN);
        match rate("queries a second, GPU") {
            Some(gpu) => format!("{} {gpu:.0} queries/s, CPU {cpu:.0}", self.factory),
            None => format!("{} CPU {cpu:.0} queries/s, GPU not here", self.factory),
        }
    }
}

/// The filters, by the share of vectors that pass.
fn filters() -> [(&'static str, IdSet); 3] {
    let every = |step| (0..VECTORS as u64).step_by(step).collect();
    [("1/2", every(2)), ("1/100", every(100)), ("1/10000", every(10_000))]
}

/// The sum of all scores: what finds nearer neighbors has more.
fn total(found: &Lists) -> f64 {
    found.iter().flatten().map(|neighbor| f64::from(neighbor.score)).sum()
}

/// Vectors in clusters, and queries of the same clusters, the same in every run.
fn vectors() -> Result<(Vec<Embedding>, Vec<Embedding>)> {
    let mut state = 7u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut row = || std::array::from_fn::<f32, DIM, _>(|_| next());
    let centres: Vec<_> = (0..VECTORS / CLUSTER).map(|_| row()).collect();
    let mut near = |count: usize| {
        let around = |n: usize| {
            let (centre, noise) = (&centres[n % centres.len()], row());
            Embedding::new(std::array::from_fn::<f32, DIM, _>(|i| centre[i] + noise[i]))
        };
        (0..count).map(around).collect::<imagerag::Result<Vec<_>>>()
    };
    Ok((near(VECTORS)?, near(QUERIES)?))
}
