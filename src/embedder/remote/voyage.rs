//! Voyage's `/v1/multimodalembeddings`: inputs as lists of parts, with what they are for.

use serde_json::{Value, json};

use super::dialect::{Dialect, Limits, Request, text_part};
use crate::net::config::{Api, Key};

pub(super) struct Voyage;

static API: Api = Api {
    default_url: "https://api.voyageai.com/v1",
    base_url_variable: "VOYAGE_BASE_URL",
    api_key_variable: "VOYAGE_API_KEY", // As Voyage's own client reads it.
    key: Key::Bearer,
    endpoint: "multimodalembeddings",
    max_reply: super::MAX_REPLY,
};

impl Dialect for Voyage {
    fn api(&self) -> &'static Api {
        &API
    }

    fn limits(&self) -> Limits {
        // A request has at most 320,000 tokens, and a picture of one megapixel 1,900.
        Limits { batch: 32, bytes: 20_000_000, concurrency: 4, image_side: 1024 }
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let content = |part: Value| json!({ "content": [part] });
        let image = |url: &str| json!({ "type": "image_base64", "image_base64": url });
        let mut body = json!({
            "model": request.model,
            "inputs": request.each(|text| content(text_part(text)), |url| content(image(url))),
            "input_type": request.kind.of("query", "document"),
            "truncation": true,
        });
        if let Some(dimensions) = request.dimensions {
            body["output_dimension"] = dimensions.into();
        }
        body
    }
}
