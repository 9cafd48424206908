//! vLLM's chat form of `/v1/embeddings`: the messages of one conversation to one embedding.

use serde_json::{Value, json};

use super::dialect::{Dialect, Kind, Limits, Request};
use crate::net::config::{Api, Key};

pub(super) struct Vllm;

static API: Api = Api {
    default_url: "http://localhost:8000/v1",
    base_url_variable: "VLLM_BASE_URL",
    api_key_variable: "VLLM_API_KEY", // As `vllm serve` reads it.
    key: Key::Bearer,
    endpoint: "embeddings",
    max_reply: super::MAX_REPLY,
};

impl Dialect for Vllm {
    fn api(&self) -> &'static Api {
        &API
    }

    fn limits(&self) -> Limits {
        // One conversation a request: batches are formed by the server, of requests at a time.
        Limits { batch: 1, bytes: 32 << 20, concurrency: 16, image_side: 1024 }
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let input = request.inputs.first().map_or("", String::as_str);
        let messages = request.templates.messages(request.kind, input);
        let mut body =
            json!({ "model": request.model, "messages": messages, "encoding_format": "float" });
        if request.kind == Kind::Text {
            // To the longest that the model takes. Of a picture's tokens none may be cut.
            body["truncate_prompt_tokens"] = (-1).into();
        }
        if let Some(dimensions) = request.dimensions {
            body["dimensions"] = dimensions.into();
        }
        body
    }
}
