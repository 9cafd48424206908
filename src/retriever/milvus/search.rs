//! Queries to their nearest neighbors in a collection, in an order that is always the same.

use milvus::v2::prelude::{ClientV2, Ids, SearchRequest, SearchVectors, SingleResult};

use super::collection::{Collection, IDS};
use super::{expression, schema};
use crate::embedder::Embedding;
use crate::index::{Hits, Neighbor};
use crate::{Error, Result};

/// The most neighbors that Milvus gives for a query.
const MOST: usize = 16_384;
/// Neighbors in one answer, about: answers above 4 MB are not read.
const PER_ANSWER: usize = 100_000;
/// Neighbors beyond those asked for, so that equal scores at the end come in the order of ids.
const MARGIN: usize = 16;

impl Collection {
    /// The best `limit` for each query among those that `expression` lets through.
    pub(super) async fn search(
        &self,
        queries: &[Embedding],
        limit: usize,
        expression: &str,
    ) -> Result<Hits> {
        let limit = if limit > MOST { limit.min(self.count(expression).await?) } else { limit };
        if limit > MOST {
            let expected = format!("at most {MOST}, which is the most that Milvus gives");
            return Err(Error::invalid_input("limit of a search", expected, limit));
        }
        if limit == 0 {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        let mut lists = Vec::with_capacity(queries.len());
        for queries in queries.chunks((PER_ANSWER / (limit + MARGIN)).max(1)) {
            let margin = (limit + MARGIN).min(MOST);
            let found = self.ranked(queries, margin, expression).await?;
            for (query, mut list) in std::iter::zip(queries, found) {
                let mut wide = margin;
                while wide < MOST && cuts_a_tie(&list, limit, wide) {
                    wide = (wide * 4).min(MOST);
                    let again = self.ranked(std::slice::from_ref(query), wide, expression).await?;
                    list = again.into_iter().flatten().collect();
                }
                lists.push(best(list, limit));
            }
        }
        Ok(lists)
    }

    /// What [`search`](Self::search) gives among `ids` alone.
    pub(super) async fn search_among(
        &self,
        queries: &[Embedding],
        limit: usize,
        ids: &[u64],
    ) -> Result<Hits> {
        let mut merged = vec![Vec::new(); queries.len()];
        for ids in ids.chunks(IDS) {
            let found = self.search(queries, limit, &expression::among("", ids)).await?;
            merged.iter_mut().zip(found).for_each(|(all, some)| all.extend(some));
        }
        Ok(merged.into_iter().map(|list| best(list, limit)).collect())
    }

    /// One search, as Milvus answers it: in its own order.
    async fn ranked(&self, queries: &[Embedding], wide: usize, expression: &str) -> Result<Hits> {
        let vectors = queries.iter().map(|query| query.values().to_vec()).collect();
        let mut parameters = self.parameters.clone();
        // A graph is never walked in less breadth than there are neighbors to find.
        if let Some(ef) = parameters.get_mut("ef") {
            *ef = ef.parse().map_or(wide, |ef: usize| ef.max(wide)).to_string();
        }
        let request = SearchRequest::builder()
            .collection_name(&self.name)
            .vector_field(schema::VECTOR)
            .vectors(SearchVectors::Float(vectors))
            .filter(expression)
            .limit(wide as i64)
            .extra_params(parameters)
            .consistency_level(self.consistency.into())
            .build();
        let search = |sdk: ClientV2, request| async move { sdk.search(request).await };
        let answer = self.call(request, search).await?;
        let lists = answer.results().get_results();
        if lists.len() != queries.len() {
            let (expected, found) = (format!("{} lists", queries.len()), lists.len().to_string());
            return Err(self.client.about.senseless(expected, found));
        }
        lists.iter().map(|list| self.neighbors(list)).collect()
    }

    fn neighbors(&self, list: &SingleResult) -> Result<Vec<Neighbor>> {
        let senseless = || self.client.about.senseless("an id and a score each", "others");
        let ids = match list.get_ids() {
            Ids::Int64(ids) => ids,
            ids if ids.is_empty() => return Ok(Vec::new()),
            _ => return Err(senseless()),
        };
        let neighbor = |(&id, score): (&i64, &f32)| {
            let id = u64::try_from(id).map_err(|_| senseless())?;
            Ok(Neighbor { id, score: score.clamp(-1.0, 1.0) })
        };
        ids.iter().zip(list.get_scores()).map(neighbor).collect()
    }
}

/// Whether neighbors as good as the last of the best `limit` may not have come.
fn cuts_a_tie(list: &[Neighbor], limit: usize, wide: usize) -> bool {
    list.len() == wide
        && list.last().zip(list.get(limit - 1)).is_some_and(|(a, b)| a.score >= b.score)
}

fn best(mut list: Vec<Neighbor>, limit: usize) -> Vec<Neighbor> {
    list.sort_by(Neighbor::by_rank);
    list.truncate(limit);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbors(of: &[(u64, f32)]) -> Vec<Neighbor> {
        of.iter().map(|&(id, score)| Neighbor { id, score }).collect()
    }

    #[test]
    fn ties_come_by_rising_id() {
        let list = neighbors(&[(9, 0.5), (7, 0.9), (3, 0.5), (1, 0.1)]);
        assert_eq!(best(list, 3), neighbors(&[(7, 0.9), (3, 0.5), (9, 0.5)]));
    }

    #[test]
    fn a_tie_at_the_end_asks_for_more() {
        let list = neighbors(&[(7, 0.9), (3, 0.5), (9, 0.5)]);
        assert!(cuts_a_tie(&list, 2, 3), "more of 0.5 may follow");
        assert!(!cuts_a_tie(&list, 1, 3), "none follows of 0.9");
        assert!(!cuts_a_tie(&list, 2, 4), "all that there are have come");
    }
}
