//! Cohere's `/v2/embed`: inputs as the content of messages, with what they are for.

use serde_json::{Value, json};

use super::dialect::{Dialect, Limits, Request, image_part, text_part};
use crate::net::config::{Api, Key};

pub(super) struct Cohere;

static API: Api = Api {
    default_url: "https://api.cohere.com/v2",
    base_url_variable: "CO_API_URL", // Both as Cohere's own client reads them.
    api_key_variable: "CO_API_KEY",
    key: Key::Bearer,
    endpoint: "embed",
    max_reply: super::MAX_REPLY,
};

impl Dialect for Cohere {
    fn api(&self) -> &'static Api {
        &API
    }

    fn limits(&self) -> Limits {
        // Cohere's reference: 96 inputs and 20 MB of images a request.
        Limits { batch: 32, bytes: 20_000_000, concurrency: 4, image_side: 1024 }
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let content = |part: Value| json!({ "content": [part] });
        let inputs = request.each(|text| content(text_part(text)), |url| content(image_part(url)));
        let mut body = json!({
            "model": request.model,
            "inputs": inputs,
            "input_type": request.kind.of("search_query", "search_document"),
            "embedding_types": ["float"],
            "truncate": "END",
        });
        if let Some(dimensions) = request.dimensions {
            body["output_dimension"] = dimensions.into();
        }
        body
    }
}
