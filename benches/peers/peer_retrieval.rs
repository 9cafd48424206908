//! Turns vectors and queries into neighbors with imagerag, and prints what it took as one line of JSON.
//!
//! `cargo xtask peers retrieval` runs it in turn with `retrieval.py`, which reads the same files.

use futures::executor::block_on;
use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Instant;

use imagerag::VectorIndex;
use imagerag::embedder::Embedding;
use imagerag::index::{FaissIndex, FlatIndex, Neighbor, Precision};

/// As its peers search: on the thread that asks.
type Search = Box<dyn Fn(&[Embedding], usize) -> imagerag::Result<Vec<Vec<Neighbor>>>>;

/// An index, and the seconds in which it was built or opened.
struct Made {
    index: Box<dyn VectorIndex>,
    search: Search,
    seconds: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<&str, &str> =
        words.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let get = |name: &str| given.get(name).copied().ok_or(format!("{name} is missing"));
    let number = |name: &str| -> Result<usize, Box<dyn Error>> { Ok(get(name)?.parse()?) };

    let dim = number("--dim")?;
    if let Ok(file) = get("--make") {
        let build = make(get("--index")?, get("--vectors")?, dim, &given, file)?;
        println!("{{\"build\": {build}}}");
        return Ok(());
    }
    let limit = number("--limit")?;
    let queries = read(get("--queries")?, dim)?;
    let Made { index, search, seconds } = match get("--index")? {
        "f32" => flat(get("--vectors")?, dim, Precision::F32, number("--threads")?)?,
        "f16" => flat(get("--vectors")?, dim, Precision::F16, number("--threads")?)?,
        _ => open(get("--file")?, &given)?,
    };
    let resident = status("VmRSS:")?;
    let mut ids = Vec::with_capacity(queries.len() * limit * 8);
    for batch in queries.chunks(number("--batch")?) {
        for list in block_on(index.search(batch, limit))? {
            let found = list.iter().map(|neighbor| neighbor.id).chain(std::iter::repeat(u64::MAX));
            ids.extend(found.take(limit).flat_map(u64::to_le_bytes));
        }
    }
    fs::write(get("--out")?, ids)?;
    let awaited = median(&queries, 1, |queries| block_on(index.search(queries, limit)))?;
    let single = median(&queries, 1, |queries| search(queries, limit))?;
    let batch = median(&queries, number("--batch")?, |queries| search(queries, limit))?;
    println!(
        "{{\"open\": {seconds}, \"single\": {single}, \"awaited\": {awaited}, \
         \"batch\": {batch}, \"mb\": {resident}}}"
    );
    Ok(())
}

/// Over the mapped file itself, or in f16.
fn flat(
    path: &str,
    dim: usize,
    precision: Precision,
    threads: usize,
) -> Result<Made, Box<dyn Error>> {
    let threads = NonZero::new(threads).ok_or("threads: at least 1")?;
    let start = Instant::now();
    let index = match precision {
        Precision::F32 => FlatIndex::over(dim, precision, Arc::new(Values(values(path)?)))?,
        Precision::F16 => {
            let mut index = FlatIndex::with_precision(dim, precision)?;
            read(path, dim)?.iter().try_for_each(|row| index.add(row).map(drop))?;
            index
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let index = index.with_threads(threads);
    let shared = index.clone();
    let search = move |queries: &[_], limit| shared.blocking_search(queries, limit, None);
    Ok(Made { index: Box::new(index), search: Box::new(search), seconds })
}

/// Builds an index of FAISS and writes it. Returns the seconds that building took.
fn make(
    factory: &str,
    path: &str,
    dim: usize,
    given: &HashMap<&str, &str>,
    file: &str,
) -> Result<f64, Box<dyn Error>> {
    let vectors = read(path, dim)?;
    let start = Instant::now();
    let mut builder = FaissIndex::builder(dim, factory);
    if let Some(sample) = given.get("--sample") {
        builder = builder.sample(sample.parse()?);
    }
    if let Some(nprobe) = given.get("--nprobe") {
        builder = builder.nprobe(nprobe.parse()?);
    }
    if let Some(ef) = given.get("--ef-search") {
        builder = builder.ef_search(ef.parse()?);
    }
    let mut index = builder.train(&vectors)?;
    index.add(&vectors)?;
    let build = start.elapsed().as_secs_f64();
    index.write(file)?;
    Ok(build)
}

fn open(file: &str, given: &HashMap<&str, &str>) -> Result<Made, Box<dyn Error>> {
    let start = Instant::now();
    let index = FaissIndex::open(file)?;
    let index = match given.get("--gpu") {
        Some(device) => to_gpu(&index, device.parse()?)?,
        None => index,
    };
    let seconds = start.elapsed().as_secs_f64();
    let shared = index.clone();
    let search = move |queries: &[_], limit| shared.blocking_search(queries, limit, None);
    Ok(Made { index: Box::new(index), search: Box::new(search), seconds })
}

#[cfg(feature = "faiss-gpu")]
fn to_gpu(index: &FaissIndex, device: usize) -> Result<FaissIndex, Box<dyn Error>> {
    Ok(index.to_gpu(device)?)
}

#[cfg(not(feature = "faiss-gpu"))]
fn to_gpu(_: &FaissIndex, device: usize) -> Result<FaissIndex, Box<dyn Error>> {
    Err(format!("GPU {device}: this program was built without faiss-gpu").into())
}

/// The median of the seconds that a search of `batch` queries takes, of 64 or more over a second or more: a machine at
/// rest takes longer to wake its threads.
fn median(
    queries: &[Embedding],
    batch: usize,
    search: impl Fn(&[Embedding]) -> imagerag::Result<Vec<Vec<Neighbor>>>,
) -> Result<f64, Box<dyn Error>> {
    let (mut times, begun) = (Vec::new(), Instant::now());
    for queries in queries.chunks_exact(batch).cycle() {
        if times.len() >= 64 && begun.elapsed().as_secs() >= 1 {
            break;
        }
        let start = Instant::now();
        black_box(search(black_box(queries))?);
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().ok_or_else(|| "fewer queries than a batch".into())
}

/// Values in memory, as a mapped file would hold them.
struct Values(Vec<f32>);

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: any bytes are valid bytes.
        unsafe { self.0.align_to().1 }
    }
}

fn values(path: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut file = fs::File::open(path)?;
    let mut values = vec![0f32; usize::try_from(file.metadata()?.len())? / size_of::<f32>()];
    // SAFETY: any bytes are valid values.
    std::io::Read::read_exact(&mut file, unsafe { values.align_to_mut().1 })?;
    Ok(values)
}

fn read(path: &str, dim: usize) -> Result<Vec<Embedding>, Box<dyn Error>> {
    let rows = values(path)?;
    Ok(rows.chunks_exact(dim).map(Embedding::new).collect::<Result<_, _>>()?)
}

/// A figure about this process in MB; Linux only.
fn status(name: &str) -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such figure")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
