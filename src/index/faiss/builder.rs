//! A factory string and vectors to learn from to an empty [`FaissIndex`].

use std::borrow::Borrow;

use super::FaissIndex;
use super::handle::Handle;
use crate::embedder::Embedding;
use crate::error::at_least_one;
use crate::index::wrong_dim;
use crate::{Error, Result};

/// Vectors a centroid that FAISS' k-means looks at; it leaves out those above
/// (`ClusteringParameters::max_points_per_centroid`).
const VECTORS_PER_CENTROID: usize = 256;

/// Makes a [`FaissIndex`]; [`FaissIndex::builder`] returns it.
///
/// ```no_run
/// use imagerag::embedder::Embedding;
/// use imagerag::index::{FaissBuilder, FaissIndex, IdSet};
///
/// fn inverted_lists(dim: usize) -> FaissBuilder {
///     FaissIndex::builder(dim, "IVF4096,Flat").sample(400_000).seed(7).nprobe(32)
/// }
///
/// # let vectors = vec![Embedding::new(vec![1.0; 512])?; 500_000];
/// let mut index = inverted_lists(512).train(&vectors)?;
/// index.add(&vectors)?;
/// index.remove(&IdSet::from_iter([17]))?;
/// index.write("vectors.faiss")?;
///
/// // In another process; what searches read stays in the file.
/// let mut index = FaissIndex::open_mapped("vectors.faiss")?;
/// index.set_nprobe(64)?; // A better recall, and slower.
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FaissBuilder {
    dim: usize,
    factory: String,
    sample: Option<usize>,
    seed: u64,
    parameters: Vec<(&'static str, usize)>,
}

impl FaissBuilder {
    pub(crate) fn new(dim: usize, factory: &str) -> Self {
        Self { dim, factory: factory.to_owned(), sample: None, seed: 0, parameters: Vec::new() }
    }

    /// Trains on a random sample of `count` vectors. Default: 256 per centroid, the most that FAISS
    /// uses.
    pub const fn sample(mut self, count: usize) -> Self {
        self.sample = Some(count);
        self
    }

    /// The seed of the random sample. Default: 0.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many inverted lists a search visits, from 1 (FAISS' default) to all: more give a better
    /// recall and take longer.
    pub fn nprobe(mut self, nprobe: usize) -> Self {
        self.parameters.push(("nprobe", nprobe));
        self
    }

    /// HNSW's `efSearch`, the number of candidates that a search keeps: more give a better recall
    /// and take longer. FAISS' default: 16.
    pub fn ef_search(mut self, ef_search: usize) -> Self {
        self.parameters.push(("efSearch", ef_search));
        self
    }

    /// HNSW's `efConstruction`, the number of candidates while the graph is built: more give a
    /// better graph and take longer. FAISS' default: 40.
    pub fn ef_construction(mut self, ef_construction: usize) -> Self {
        self.parameters.push(("efConstruction", ef_construction));
        self
    }

    /// An empty index of a type that needs no training: `Flat`, `HNSW32`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the dimension, the factory string or a parameter is wrong, or
    /// when the index must be trained.
    pub fn build(self) -> Result<FaissIndex> {
        self.train(std::iter::empty::<Embedding>())
    }

    /// An empty index, trained on a sample of `vectors` where its type needs it. The vectors are
    /// not added, and no more than the sample is kept in memory.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the dimension, the factory string or a parameter is wrong, or
    /// when the vectors are of another dimension or too few for the centroids; [`Error::Backend`]
    /// with FAISS' words when it fails.
    pub fn train(self, vectors: impl IntoIterator<Item: Borrow<Embedding>>) -> Result<FaissIndex> {
        let mut index = FaissIndex::over(self.make()?, self.factory.clone());
        for &(name, value) in &self.parameters {
            index.set(name, value)?;
        }
        if index.handle.is_trained() {
            return Ok(index);
        }
        let centroids = centroids(&self.factory, index.handle.lists().map_or(1, |all| all.count));
        let most = self.sample.unwrap_or(centroids.saturating_mul(VECTORS_PER_CENTROID));
        let sample = sample(vectors.into_iter(), self.dim, most, self.seed)?;
        let found = sample.len() / self.dim;
        if found < centroids {
            let expected = format!("at least {centroids}, one a centroid");
            return Err(Error::invalid_input(format!("vectors to train {index}"), expected, found));
        }
        index.handle_mut()?.train(&sample)?;
        Ok(index)
    }

    fn make(&self) -> Result<Handle> {
        let wrong = |found: String| {
            let expected = "one that FAISS knows, such as IVF4096,Flat";
            Error::invalid_input("FAISS factory string", expected, found)
        };
        at_least_one("dimension", self.dim)?;
        let dim = u32::try_from(self.dim).ok().filter(|&dim| dim < 1 << 31);
        let dim =
            dim.ok_or_else(|| Error::invalid_input("dimension", "fewer than 2^31", self.dim))?;
        let factory = self.factory.as_str();
        // We number the vectors, where FAISS does not.
        let inner = factory.strip_prefix("IDMap2,").or_else(|| factory.strip_prefix("IDMap,"));
        let inner = inner.unwrap_or(factory);
        // FAISS divides by such a number, which ends the process.
        if numbers(inner).any(|number| number.bytes().all(|digit| digit == b'0')) {
            return Err(wrong(format!("{factory:?}, where a number is 0")));
        }
        let make = |factory: &str| {
            Handle::from_factory(dim, factory).map_err(|error| match error {
                Error::Backend { source, .. } => wrong(format!("{inner:?}: {source}")),
                other => other,
            })
        };
        let handle = make(inner)?;
        if !handle.is_cosine() {
            return Err(wrong(format!("{factory:?}, which knows no inner product")));
        }
        if handle.lists().is_some() { Ok(handle) } else { make(&format!("IDMap,{inner}")) }
    }
}

/// The numbers that stand in a factory string.
fn numbers(factory: &str) -> impl Iterator<Item = &str> {
    factory.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty())
}

/// The most centroids that k-means must find: inverted lists, or 2^bits of a product quantizer.
fn centroids(factory: &str, lists: usize) -> usize {
    let of_quantizers = factory.match_indices("PQ").filter_map(|(at, _)| {
        let rest = &factory[at + 2..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let bits = rest[digits..].strip_prefix('x').and_then(|bits| numbers(bits).next());
        let bits = bits.map_or(Some(8), |bits| bits.parse::<u32>().ok());
        (digits > 0).then(|| 1usize.checked_shl(bits.unwrap_or(8))).flatten()
    });
    of_quantizers.fold(lists, usize::max)
}

/// `most` of `vectors`, each as likely as any other (Vitter's algorithm R): `[most, dim]`.
fn sample(
    vectors: impl Iterator<Item: Borrow<Embedding>>,
    dim: usize,
    most: usize,
    seed: u64,
) -> Result<Vec<f32>> {
    let (mut rows, mut random) = (Vec::new(), seed);
    for (number, vector) in vectors.enumerate() {
        let values = vector.borrow().values();
        if values.len() != dim {
            return Err(wrong_dim(format!("vector {number} to train on"), dim, values.len()));
        }
        if number < most {
            rows.extend_from_slice(values);
            continue;
        }
        let place = (u128::from(split_mix(&mut random)) * (number as u128 + 1)) >> 64;
        if let Some(row) = rows.chunks_exact_mut(dim).nth(place as usize) {
            row.copy_from_slice(values);
        }
    }
    Ok(rows)
}

/// SplitMix64: the next of a sequence of random numbers.
const fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centroids_of_factory_strings() {
        for (factory, lists, expected) in [
            ("IVF64,Flat", 64, 64),
            ("IVF64,PQ8", 64, 256),
            ("IVF4096,PQ8", 4_096, 4_096),
            ("OPQ8_32,IVF16,PQ8x4fs", 16, 256),
            ("PQ8x4", 1, 16),
            ("PQ8x10", 1, 1_024),
            ("SQ8", 1, 1),
        ] {
            assert_eq!(centroids(factory, lists), expected, "{factory}");
        }
    }

    #[test]
    fn a_sample_is_drawn_from_all_by_the_seed() {
        let vectors: Vec<_> =
            (0..1_000).map(|n| Embedding::new([1.0, n as f32]).unwrap()).collect();
        let draw = |seed| sample(vectors.iter(), 2, 50, seed).unwrap();
        assert_eq!(draw(1).len(), 100);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let late = draw(1).chunks(2).filter(|row| row[1] / row[0] > 500.0).count();
        assert!((15..=35).contains(&late), "{late} of 50 from the second half");
        assert_eq!(sample(vectors.iter(), 2, 5_000, 0).unwrap().len(), 2_000);
    }
}
