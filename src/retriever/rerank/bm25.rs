//! [`Bm25`]: scores candidates by the words that their captions share with the retrieval caption.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use async_trait::async_trait;

use super::{CaptionWriter, Ranking, RerankRequest, Reranker};
use crate::Result;
use crate::reference::{Caption, Reference};
use crate::text::words;

/// Where the weight of a repeated word levels off; rank_bm25's default.
const K1: f64 = 1.5;
/// How much a long caption counts less, in [0, 1]; rank_bm25's default.
const B: f64 = 0.75;
/// The share of the mean weight that a word in more than half of the captions gets; rank_bm25's
/// default.
const EPSILON: f64 = 0.25;

/// Okapi BM25 (Robertson et al., 2009). The query is the retrieval caption, and the corpus consists
/// of the captions of the candidates, as in the paper. Words are compared in lower case, without
/// punctuation.
///
/// A score has no upper bound, and is 0 if no word is shared. By default the scores are those of
/// Python's `rank_bm25.BM25Okapi`, which the paper's release uses. [`Idf::Lucene`] is better if
/// most candidates of the inner retriever show the concept.
///
/// A candidate without a caption has no words, unless a [`CaptionWriter`] writes a caption.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::reference::Caption;
/// use imagerag::retriever::{Bm25, Catalog, CatalogEntry, EmbeddingRetriever, Idf, Rerank};
/// use imagerag::retriever::{RetrieveRequest, Retriever};
/// use imagerag::testing::{FakeEmbedder, solid};
///
/// let described = |source: &str, caption: &str| {
///     let mut entry = CatalogEntry::new(source, solid(8, 8, [200, 0, 0]));
///     entry.metadata.caption = Some(caption.into());
///     entry
/// };
/// let catalog = Catalog::new([
///     described("1.png", "a red car"),
///     described("2.png", "a red car in the snow"),
/// ]);
/// let (clip, _) = block_on(EmbeddingRetriever::build(FakeEmbedder, catalog, |_, _| {}))?;
/// let retriever = Rerank::new(clip, Bm25::new().with_idf(Idf::Lucene), 2)?;
/// let request = RetrieveRequest::new([Caption::concept("snow on a red car")], 1);
/// let found = block_on(retriever.retrieve(&request))?;
/// assert_eq!(found[0][0].provenance.source.to_string(), "2.png");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Bm25 {
    writer: Option<CaptionWriter>,
    idf: Idf,
}

/// The inverse document frequency: a word's weight by the number of captions that contain it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Idf {
    /// As `rank_bm25.BM25Okapi`: a word that is in more than half of the captions gets a quarter of
    /// the mean weight, which can be negative. So, if most candidates show the concept, its name
    /// counts less than any rarer word, such as "background".
    #[default]
    Okapi,
    /// As Lucene: the more captions contain a word, the lower its weight, which is always positive.
    Lucene,
}

impl Bm25 {
    /// BM25 over the captions that are stored with the candidates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another inverse document frequency.
    #[must_use]
    pub const fn with_idf(mut self, idf: Idf) -> Self {
        self.idf = idf;
        self
    }

    /// Has `writer` write the captions that are missing.
    #[must_use]
    pub fn with_writer(mut self, writer: CaptionWriter) -> Self {
        self.writer = Some(writer);
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Reranker for Bm25 {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        let written = match &self.writer {
            Some(writer) => writer.captions(request).await?,
            None => HashMap::new(),
        };
        let words_of = |candidate: &Reference| {
            let stored = candidate.provenance.metadata.caption.as_ref();
            let caption = stored.or_else(|| written.get(&candidate.provenance.source));
            caption.map_or(vec![], |caption| words(caption))
        };
        let rank = |(caption, list): (&Caption, &Vec<Reference>)| {
            let corpus: Vec<Vec<String>> = list.iter().map(words_of).collect();
            let scores = bm25(&corpus, &words(&caption.text), self.idf);
            Ranking { scores: scores.into_iter().map(|score| score as f32).collect(), note: None }
        };
        Ok(request.each().map(rank).collect())
    }
}

impl fmt::Display for Bm25 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idf = (self.idf == Idf::Lucene).then(|| "Lucene".to_owned());
        let writer = self.writer.as_ref().map(|writer| match f.alternate() {
            true => format!("{writer:#}"),
            false => writer.to_string(),
        });
        match idf.into_iter().chain(writer).collect::<Vec<_>>() {
            plain if plain.is_empty() => f.write_str("BM25"),
            settings => write!(f, "BM25({})", settings.join(", ")),
        }
    }
}

/// The score of each document of `corpus` for `query`, as `rank_bm25.BM25Okapi` computes it. A
/// corpus without words, where it divides by 0, scores 0.
fn bm25<W: Eq + Hash>(corpus: &[Vec<W>], query: &[W], idf: Idf) -> Vec<f64> {
    // 1. How often each word is in each document, and in how many documents it is.
    let mut counts = vec![HashMap::<&W, f64>::new(); corpus.len()];
    let mut documents_with = HashMap::<&W, f64>::new();
    for (document, counts) in corpus.iter().zip(&mut counts) {
        for word in document {
            let count = counts.entry(word).or_default();
            if *count == 0.0 {
                *documents_with.entry(word).or_default() += 1.0;
            }
            *count += 1.0;
        }
    }
    if documents_with.is_empty() {
        return vec![0.0; corpus.len()];
    }
    // 2. The weight of a word: its inverse document frequency. Okapi's is below 0 where more than
    //    half of the documents hold the word; a share of the mean stands in there.
    let all = corpus.len() as f64;
    let okapi = |with: f64| (all - with + 0.5).ln() - (with + 0.5).ln();
    let mut frequencies: Vec<f64> = documents_with.values().copied().collect();
    frequencies.sort_by(f64::total_cmp); // The order of a hash map is not the same every time.
    let mean = frequencies.iter().map(|&with| okapi(with)).sum::<f64>() / frequencies.len() as f64;
    let weight = |word: &W| match (documents_with.get(word), idf) {
        (None, _) => 0.0,
        (Some(&with), Idf::Okapi) if okapi(with) < 0.0 => EPSILON * mean,
        (Some(&with), Idf::Okapi) => okapi(with),
        (Some(&with), Idf::Lucene) => (1.0 + (all - with + 0.5) / (with + 0.5)).ln(),
    };
    // 3. What each word of the query adds to each document.
    let mean_length = corpus.iter().map(Vec::len).sum::<usize>() as f64 / all;
    let score = |(document, counts): (&Vec<W>, &HashMap<&W, f64>)| {
        let length = K1 * (1.0 - B + B * document.len() as f64 / mean_length);
        let share = |word| {
            let count = counts.get(word).copied().unwrap_or(0.0);
            weight(word) * count * (K1 + 1.0) / (count + length)
        };
        query.iter().map(share).sum()
    };
    corpus.iter().zip(&counts).map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        corpus: Vec<Vec<String>>,
        query: Vec<String>,
        scores: Vec<f64>,
    }

    /// Recorded by `tests/fixtures/make_bm25.py`.
    #[test]
    fn scores_are_those_of_rank_bm25() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bm25.json");
        let text = std::fs::read_to_string(path).unwrap();
        let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
        assert!(cases.len() >= 100);
        for case in cases {
            let scores = bm25(&case.corpus, &case.query, Idf::Okapi);
            assert_eq!(scores.len(), case.scores.len());
            for (score, expected) in scores.iter().zip(&case.scores) {
                let error = (score - expected).abs();
                assert!(error <= 1e-12 * expected.abs().max(1.0), "{score} is not {expected}");
            }
        }
    }

    #[test]
    fn lucenes_weight_of_a_word_that_all_hold_is_above_nothing() {
        let corpus = [vec!["a", "b"], vec!["a", "c"]];
        // Documents of the mean length, the word once in each: what is left is its weight.
        let scores = bm25(&corpus, &["a"], Idf::Lucene);
        assert!(scores.iter().all(|score| (score - 1.2_f64.ln()).abs() < 1e-12), "{scores:?}");
        let scores = bm25(&corpus, &["c"], Idf::Lucene);
        assert!((scores[1] - 2.0_f64.ln()).abs() < 1e-12 && scores[0] == 0.0, "{scores:?}");
    }

    #[test]
    fn a_corpus_without_words_scores_nothing() {
        let none: [Vec<&str>; 0] = [];
        for idf in [Idf::Okapi, Idf::Lucene] {
            assert!(bm25(&none, &["a"], idf).is_empty());
            assert_eq!(bm25(&[vec![], vec![]], &["a"], idf), [0.0, 0.0]);
            assert_eq!(bm25(&[vec!["a"], vec![]], &[], idf), [0.0, 0.0]);
        }
    }
}
