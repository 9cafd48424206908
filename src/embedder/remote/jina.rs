//! Jina's form of `/v1/embeddings`: inputs as objects with a text or an image, and a task.

use serde_json::{Value, json};

use super::dialect::{Dialect, Limits, Request};
use crate::net::config::{Api, Key};

pub(super) struct Jina;

static API: Api = Api {
    default_url: "https://api.jina.ai/v1",
    base_url_variable: "JINA_BASE_URL",
    api_key_variable: "JINA_API_KEY",
    key: Key::Bearer,
    endpoint: "embeddings",
    max_reply: super::MAX_REPLY,
};

impl Dialect for Jina {
    fn api(&self) -> &'static Api {
        &API
    }

    fn limits(&self) -> Limits {
        // The free tier serves 5 requests at once (api.jina.ai's table of rates).
        Limits { batch: 16, bytes: 8 << 20, concurrency: 4, image_side: 512 }
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let input = request.each(|text| json!({ "text": text }), |url| json!({ "image": url }));
        let mut body = json!({
            "model": request.model,
            "input": input,
            "task": request.kind.of("retrieval.query", "retrieval.passage"),
            "normalized": true,
            "embedding_type": "float",
            "truncate": true,
        });
        if let Some(dimensions) = request.dimensions {
            body["dimensions"] = dimensions.into();
        }
        body
    }
}
