//! An index: embeddings to their nearest rows, all of which are compared.

use imagerag::embedder::Embedding;
use imagerag::index::Neighbor;
use imagerag::{Error, Result, VectorIndex, async_trait};

/// Compares every row.
#[derive(Debug)]
pub struct Rows {
    /// The rows; an id is the place of one.
    pub rows: Vec<Embedding>,
    /// How many values each has.
    pub dim: usize,
}

#[async_trait]
impl VectorIndex for Rows {
    fn dim(&self) -> usize {
        self.dim
    }

    async fn count(&self) -> Result<usize> {
        Ok(self.rows.len())
    }

    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Vec<Vec<Neighbor>>> {
        let find = |query: &Embedding| {
            if query.dim() != self.dim {
                let (expected, found) = (format!("{} values", self.dim), query.dim());
                return Err(Error::invalid_input("query", expected, found));
            }
            let scores = self.rows.iter().map(|row| query.similarity(row));
            let mut found: Vec<Neighbor> =
                (0..).zip(scores).map(|(id, score)| Neighbor { id, score }).collect();
            found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
            found.truncate(limit);
            Ok(found)
        };
        queries.iter().map(find).collect()
    }
}
