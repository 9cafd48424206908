//! A re-ranker: the candidates of a caption to scores, the lightest picture first.

use imagerag::retriever::{Ranking, RerankRequest, Reranker};
use imagerag::vlm::Exchange;
use imagerag::{Result, async_trait};

use crate::mean;

/// Prefers light pictures.
#[derive(Clone, Copy, Debug)]
pub struct Lightest;

#[async_trait]
impl Reranker for Lightest {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        let mut rankings = Vec::new();
        for list in &request.lists {
            let mut ranking = Ranking::default();
            for reference in list {
                let light: f32 = mean(&reference.image().await?).iter().sum();
                ranking.scores.push(light);
            }
            // It asks no VLM, and so writes its exchange down itself.
            let mut exchange = Exchange::new("lightness", self.to_string());
            exchange.reply = Some(format!("{:?}", ranking.scores));
            request.log.record(exchange);
            rankings.push(ranking);
        }
        Ok(rankings)
    }
}
