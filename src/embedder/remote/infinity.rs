//! Infinity's form of `/embeddings`: strings with the modality that they all have.

use serde_json::{Value, json};

use super::dialect::{Dialect, Limits, Request};
use crate::net::config::{Api, Key};

pub(super) struct Infinity;

static API: Api = Api {
    default_url: "http://localhost:7997",
    base_url_variable: "INFINITY_BASE_URL",
    api_key_variable: "INFINITY_API_KEY", // As `infinity_emb` reads it.
    key: Key::Bearer,
    endpoint: "embeddings",
    max_reply: super::MAX_REPLY,
};

impl Dialect for Infinity {
    fn api(&self) -> &'static Api {
        &API
    }

    fn limits(&self) -> Limits {
        Limits { batch: 8, bytes: 16 << 20, concurrency: 4, image_side: 512 }
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let mut body = json!({
            "model": request.model,
            "input": request.plain(),
            "modality": request.kind.of("text", "image"),
            "encoding_format": "float",
        });
        if let Some(dimensions) = request.dimensions {
            body["dimensions"] = dimensions.into();
        }
        body
    }
}
