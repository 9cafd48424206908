//! OpenAI's form of `/v1/embeddings`, a list of strings, in which gateways take pictures as data URLs.

use serde_json::{Value, json};

use super::dialect::{Dialect, Limits, Request};
use crate::net::config::{Api, Key};

pub(super) struct OpenAi;

static API: Api = Api {
    default_url: "https://api.openai.com/v1",
    base_url_variable: "OPENAI_BASE_URL",
    api_key_variable: "OPENAI_API_KEY",
    key: Key::Bearer,
    endpoint: "embeddings",
    max_reply: super::MAX_REPLY,
};

impl Dialect for OpenAi {
    fn api(&self) -> &'static Api {
        &API
    }

    fn limits(&self) -> Limits {
        Limits { batch: 16, bytes: 8 << 20, concurrency: 4, image_side: 1024 }
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let mut body = json!({
            "model": request.model,
            "input": request.plain(),
            "encoding_format": "float",
        });
        if let Some(dimensions) = request.dimensions {
            body["dimensions"] = dimensions.into();
        }
        body
    }
}
