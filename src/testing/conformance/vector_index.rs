//! The suite of [`VectorIndex`].

use super::Suite;
use crate::embedder::Embedding;
use crate::index::{IdSet, Neighbor, VectorIndex};

rules! {
    COUNT: "`count` is the number of vectors",
    DIM: "`dim` is the number of values of a vector",
    ONE_EACH: "one list per query, also for a limit of 0",
    LIMIT: "a list holds at most `limit` neighbors",
    IDS: "every id is that of a vector in the index",
    COSINE: "scores are cosine similarities",
    ORDER: "scores fall, and ids rise where scores are equal",
    TWICE: "no id twice in one list",
    RECALL: "the share of the true neighbors that are found is at least `recall`",
    SAME: "the same call gives the same lists",
    AMONG: "`search_among` finds ids of the set alone",
    AMONG_RECALL: "the share that `search_among` finds of the true neighbors is at least `recall`",
    EMPTY: "an empty index finds nothing",
    OTHER_DIM: "a query of another dimension gives InvalidInput",
}

/// How much a score may differ from the true one by rounding.
const ROUNDING: f32 = 1e-4;

/// Checks a [`VectorIndex`] that holds `vectors` in this order, under the ids from 0, against
/// exhaustive search. `recall` is the least share of true neighbors that it must find, in [0, 1]; 1
/// for an exact index, whose scores are compared too.
///
/// Up to 50 of the vectors are the queries. They are searched for 10 neighbors, for none and for
/// more than there are; among none, a third, a few and all of the vectors, with ids that the index
/// does not hold. Without `vectors`, the index must be empty and find nothing.
///
/// ```
/// use imagerag::embedder::Embedding;
/// use imagerag::index::FlatIndex;
/// use imagerag::testing::conformance;
///
/// let vectors: Vec<_> =
///     (0..40).map(|n| Embedding::new([1.0, n as f32])).collect::<Result<_, _>>()?;
/// let mut index = FlatIndex::new(2)?;
/// for vector in &vectors {
///     index.add(vector)?;
/// }
/// futures::executor::block_on(conformance::vector_index(&index, &vectors, 1.0));
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Panics
/// When the index breaks a rule, or cannot be reached.
pub async fn vector_index(part: &dyn VectorIndex, vectors: &[Embedding], recall: f64) {
    let suite = Suite::new("VectorIndex", part);
    suite.count(COUNT, "vectors", vectors.len(), suite.answer(part.count().await));
    if vectors.is_empty() {
        return empty(&suite, part).await;
    }
    suite.count(DIM, "values", vectors[0].dim(), part.dim());
    let held = Held { suite: &suite, vectors, recall };
    let (limit, queries) = (10.min(vectors.len()), &vectors[..vectors.len().min(50)]);
    for limit in [limit, 0, vectors.len() + 5] {
        let lists = suite.answer(part.search(queries, limit).await);
        suite.count(ONE_EACH, "lists", queries.len(), lists.len());
        held.lists(queries, &lists, limit, None);
        let again = suite.answer(part.search(queries, limit).await);
        suite.rule(SAME, again == lists, format_args!("{again:?} after {lists:?}"));
        if (1..=vectors.len()).contains(&limit) {
            let share = held.share(queries, &lists, limit, &IdSet::all(vectors.len() as u64));
            let found = format_args!("{share:.3}, which is below {recall}");
            suite.rule(RECALL, share >= recall, found);
        }
    }
    let none = suite.answer(part.search(&[], limit).await);
    suite.count(ONE_EACH, "lists", 0, none.len());
    held.among(part).await;
    let stranger = [suite.answer(Embedding::new(vec![1.0; part.dim() + 1]))];
    let among = part.search_among(&stranger, 1, &IdSet::all(1)).await;
    for result in [part.search(&stranger, 1).await, among] {
        suite.refuses(OTHER_DIM, "a query of one value too many", &result);
    }
}

/// Searches an index that holds nothing.
async fn empty(suite: &Suite, part: &dyn VectorIndex) {
    let query = [suite.answer(Embedding::new(vec![1.0; part.dim()]))];
    let all = suite.answer(part.search(&query, 3).await);
    let among = suite.answer(part.search_among(&query, 3, &IdSet::all(3)).await);
    for lists in [all, among] {
        suite.count(ONE_EACH, "lists", 1, lists.len());
        suite.rule(EMPTY, lists[0].is_empty(), format_args!("{lists:?}"));
    }
}

/// What an index should hold, and how much of it it should find.
struct Held<'a> {
    suite: &'a Suite,
    vectors: &'a [Embedding],
    recall: f64,
}

impl Held<'_> {
    /// Searches among some of the vectors.
    async fn among(&self, part: &dyn VectorIndex) {
        let Self { suite, vectors, recall } = self;
        let queries = &vectors[..vectors.len().min(10)];
        let count = vectors.len() as u64;
        let third: IdSet = (0..count).step_by(3).collect();
        let few: IdSet = [0, count / 2, count - 1, count + 7, u64::MAX].into_iter().collect();
        for ids in [IdSet::new(), third, few, IdSet::all(count)] {
            let most = ids.iter().filter(|&id| id < count).count();
            for limit in [0, if most == 0 { 3 } else { 10.min(most) }] {
                let lists = suite.answer(part.search_among(queries, limit, &ids).await);
                suite.count(ONE_EACH, "lists", queries.len(), lists.len());
                self.lists(queries, &lists, limit, Some(&ids));
                if limit.min(most) > 0 {
                    let share = self.share(queries, &lists, limit, &ids);
                    let found = format_args!("{share:.3}, which is below {recall}");
                    suite.rule(AMONG_RECALL, share >= *recall, found);
                }
            }
        }
    }

    /// What holds for every list of neighbors, of the vectors in `among`.
    fn lists(
        &self,
        queries: &[Embedding],
        lists: &[Vec<Neighbor>],
        limit: usize,
        among: Option<&IdSet>,
    ) {
        let Self { suite, vectors, recall } = self;
        for (query, list) in queries.iter().zip(lists) {
            let found = format_args!("{} where limit is {limit}", list.len());
            suite.rule(LIMIT, list.len() <= limit, found);
            let mut seen = IdSet::new();
            for &Neighbor { id, score } in list {
                let vector = usize::try_from(id).ok().and_then(|id| vectors.get(id));
                let Some(vector) = vector else {
                    return suite.rule(IDS, false, format_args!("{id} of {}", vectors.len()));
                };
                suite.rule(TWICE, seen.insert(id), format_args!("{id} in {list:?}"));
                let exact = query.similarity(vector);
                let holds = *recall < 1.0 || (score - exact).abs() < ROUNDING;
                suite.rule(COSINE, holds, format_args!("{score} for {exact} of {id}"));
                let member = among.is_none_or(|ids| ids.contains(id));
                suite.rule(AMONG, member, format_args!("{id} for {among:?}"));
            }
            let sorted =
                list.is_sorted_by(|a, b| a.score > b.score || (a.score == b.score && a.id < b.id));
            suite.rule(ORDER, sorted, format_args!("{list:?}"));
        }
    }

    /// The share of the true `limit` neighbors, at least 1, of those in `ids` that the lists hold.
    fn share(
        &self,
        queries: &[Embedding],
        lists: &[Vec<Neighbor>],
        limit: usize,
        ids: &IdSet,
    ) -> f64 {
        let mut hits = 0;
        for (query, list) in queries.iter().zip(lists) {
            let similarity = |id: u64| query.similarity(&self.vectors[id as usize]);
            let members = ids.iter().filter(|&id| id < self.vectors.len() as u64);
            let mut scores: Vec<f32> = members.map(similarity).collect();
            scores.sort_by(|a, b| b.total_cmp(a));
            let worst = scores[limit - 1] - ROUNDING;
            hits += list.iter().filter(|n| similarity(n.id) >= worst).count();
        }
        hits as f64 / (limit * queries.len()) as f64
    }
}
